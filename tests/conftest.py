"""Fixtures for all tests: one shared inspector, and a clean process around each test with no threads left behind."""

from __future__ import annotations

import io
import itertools
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from hypothesis import settings

import journy_track
from journy_track import HttpRequest, HttpResponse, Stats, Tracker, _process, _runtime
from journy_track._capture import context
from journy_track._capture.recorder import Recorder
from journy_track._delivery.budget import forget_budgets
from journy_track._model.ending import Ending
from journy_track.inspector import Inspector

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: child processes would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

KEY = "test-key-0123456789"
#: Directories and files that are slow as a whole: they build wheels, or start browsers, servers, workers and Redis.
#: Elsewhere, a test that took half a second on two busy cores is marked individually.
SLOW = ("browser/", "examples/", "packaging/", "relay/", "servers/", "windows/", "delivery/test_signs.py")
#: Fixtures that start an interpreter for the test.
SLOW_FIXTURES = {"run_program", "start_program"}
#: Response headers for a budget that never runs out, so that pacing does not matter.
PLENTY = {"X-RateLimit-Limit": "1000000", "X-RateLimit-Remaining": "1000000"}

# How long one example takes depends on the machine, and is not what the tests check.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.hookimpl(tryfirst=True)  # runs before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that `pytest -m "not slow"` leaves out."""
    for item in items:
        place = item.path.relative_to(Path(__file__).parent).as_posix()
        if place.startswith(SLOW) or SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def _inspector() -> Iterator[Inspector]:
    with Inspector(port=0, limit=1_000_000) as api:
        yield api


@pytest.fixture
def api(_inspector: Inspector) -> Inspector:
    """The local inspector, on a real socket, without any requests yet."""
    _inspector.reset()
    return _inspector


@pytest.fixture
def tracker(api: Inspector) -> Tracker:
    """The global tracker, pointed at the local inspector."""
    return journy_track.configure(KEY, base_url=api.url)


@pytest.fixture(autouse=True)
def _clean_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start without tracker, environment and logged warnings; afterwards no thread and no identity may be left."""
    for name in list(os.environ):
        if name.startswith("JOURNY_"):
            monkeypatch.delenv(name)
    _runtime.reset()
    forget_budgets()
    yield
    _runtime.reset()
    for tracker in list(_process._living):
        tracker.at_exit(Ending(0.0))  # at once: a test flushes what it wants delivered
    for thread in threading.enumerate():
        if thread.name.startswith("journy_track"):
            thread.join(10)
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("journy_track")]
    assert not left, f"threads of ours outlive the test: {left}"
    frame = context.live_frame()
    context.set_frame(context.BOTTOM)  # so that a leak fails only the test that caused it
    assert frame is context.BOTTOM, "an identity outlives the test"


@pytest.fixture(autouse=True)
def _logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="journy_track")


@pytest.fixture
def hung_server() -> Iterator[str]:
    """The URL of a server that accepts every connection and never responds."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@dataclass(frozen=True)
class Ran:
    """The result of a program. *seconds* is how long it took, including the interpreter's start."""

    status: int
    out: str
    err: str
    seconds: float


def _command(source: str, arguments: tuple[str, ...], environment: dict[str, str]) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JOURNY_", "PYTHON"))}
    return {
        "args": [sys.executable, "-c", textwrap.dedent(source), *arguments],
        "env": {**kept, **environment},
        "cwd": Path(__file__).parent.parent,
        "text": True,
    }


@pytest.fixture
def run_program() -> Callable[..., Ran]:
    """Run a program's source in its own process, with these environment variables."""

    def run(source: str, *arguments: str, timeout: float = 60, **environment: str) -> Ran:
        began = monotonic()
        command = _command(source, arguments, environment)
        done = subprocess.run(**command, capture_output=True, timeout=timeout, check=False)
        return Ran(done.returncode, done.stdout, done.stderr, monotonic() - began)

    return run


@pytest.fixture
def start_program() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a program with pipes to it. It is killed at the end of the test."""
    started: list[subprocess.Popen[str]] = []

    def start(source: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        command = _command(source, arguments, environment)
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        started.append(subprocess.Popen(**command, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def balance() -> Callable[..., Stats]:
    """Check that each item captured so far is in exactly one count, and return the counts."""

    def check(tracker: Tracker, captured: int) -> Stats:
        stats = tracker.stats()
        ended = stats.delivered + stats.published + stats.given_up + sum(stats.dropped.values())
        counted = ended + stats.coalesced + stats.throttled + stats.queued + stats.spooled + stats.in_flight
        assert stats.captured == captured == counted - stats.adopted, stats
        assert min(stats.delivered, stats.given_up, stats.queued, stats.in_flight, *stats.dropped.values(), 0) == 0
        return stats

    return check


class Gate:
    """An HTTP client that holds each request until it is opened, and then accepts it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.bodies: list[bytes] = []

    def send(self, request: HttpRequest, /) -> HttpResponse:
        self.entered.set()
        assert self.opened.wait(60)
        self.bodies.append(request.body or b"")
        return HttpResponse(201, PLENTY, b'{"meta": {"requestId": "r", "status": 201}}')

    def close(self) -> None:
        """Do nothing: no connection is kept open."""


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A server that does not respond until the gate is opened, at the latest at the end of the test."""
    made = Gate()
    yield made
    made.opened.set()


# ── Checks that hold after every test, whatever the test does ──


@dataclass
class Accounts:
    """Counts independently what each tracker captured, and compares that with the tracker's own numbers."""

    #: Every tracker that the test created.
    trackers: list[Tracker] = field(default_factory=list)
    #: Requests that the server accepted but whose response was lost, so that they are not counted as delivered.
    answers_lost: int = 0
    captured: dict[int, Callable[[], int]] = field(default_factory=dict)

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        start, record, refuse = Tracker._start, Recorder.record, Recorder.refuse

        def started(tracker: Tracker, *arguments: Any) -> None:
            start(tracker, *arguments)
            self.trackers.append(tracker)

        def recorded(recorder: Recorder, *arguments: Any, **options: Any) -> bool:
            taken = record(recorder, *arguments, **options)
            self._count(recorder)
            return taken

        def refused(recorder: Recorder, reason: str) -> None:
            refuse(recorder, reason)
            if reason in ("capture_failed", "invalid"):  # for any other reason, the item was recorded, too
                self._count(recorder)

        monkeypatch.setattr(Tracker, "_start", started)
        monkeypatch.setattr(Recorder, "record", recorded)
        monkeypatch.setattr(Recorder, "refuse", refused)

    def _count(self, recorder: Recorder) -> None:
        self.captured.setdefault(id(recorder), itertools.count(1).__next__)()

    def check(self) -> None:
        """Assert that each captured item is in exactly one count of its tracker."""
        for tracker in self.trackers:
            stats = tracker.stats()
            counts = [
                stats.delivered,
                stats.published,
                stats.coalesced,
                stats.throttled,
                stats.given_up,
                stats.queued,
                stats.spooled,
                stats.in_flight,
            ]
            assert min(counts) >= 0, stats
            assert stats.captured + stats.adopted == sum(counts) + sum(stats.dropped.values()), stats
            counted = self.captured.get(id(tracker.recorder))
            assert stats.captured == (counted() - 1 if counted else 0), stats

    def check_against(self, api: Inspector) -> None:
        """Assert that the server's own log has each delivered item once, and nothing else."""
        taken = [request for request in api.requests if 200 <= request.status < 300 and request.method != "GET"]
        delivered = sum(t.stats().delivered for t in self.trackers if t.config.base_url == api.url)
        assert len(taken) == delivered + self.answers_lost


@pytest.fixture
def accounts(_clean_process: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Accounts]:
    """At the end of the test, compare what each tracker captured with what became of it."""
    made = Accounts()
    made.watch(monkeypatch)
    yield made
    made.check()


@pytest.fixture
def canary() -> str:
    """A unique API key, which must not appear anywhere."""
    return "canary" + secrets.token_hex(16)


def with_locals(error: BaseException) -> str:
    """Format a traceback with local variables, as error trackers show it."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


@pytest.fixture
def everything_said() -> Iterator[Callable[[], str]]:
    """Everything that any logger logs at any level, formatted with exceptions and their local variables."""
    stream = io.StringIO()

    class WithLocals(logging.Formatter):
        def formatException(self, ei: Any) -> str:
            return with_locals(ei[1])

    handler = logging.StreamHandler(stream)
    handler.setFormatter(WithLocals("%(name)s %(message)s %(args)s"))
    root = logging.getLogger()
    level, ours = root.level, logging.getLogger("journy_track").level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    logging.getLogger("journy_track").setLevel(logging.DEBUG)
    yield stream.getvalue
    root.removeHandler(handler)
    root.setLevel(level)
    logging.getLogger("journy_track").setLevel(ours)


@pytest.fixture
def shows_no_key(
    canary: str, accounts: Accounts, everything_said: Callable[[], str], capfd: pytest.CaptureFixture[str]
) -> Iterator[list[object]]:
    """At the end of the test, search for the canary in everything that was logged, printed, or held by a tracker.

    The test adds what only it sees: responses, and exceptions, whose tracebacks are searched with their locals.
    """
    seen: list[object] = []
    yield seen
    shown = [with_locals(thing) if isinstance(thing, BaseException) else repr(thing) for thing in seen]
    for tracker in accounts.trackers:
        holds = [tracker, tracker.config, vars(tracker), tracker.stats(), tracker.health(), tracker.recent()]
        shown += map(repr, holds)
    assert canary not in "\n".join([*shown, everything_said(), *capfd.readouterr()])
