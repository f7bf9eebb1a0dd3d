"""What tracking costs, in counts that do not depend on the machine: bytecodes, calls, bytes, modules.

Times and ratios are in `python -m benchmarks`. A margin here is what a change may add before it needs a review.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry import trace

import journy_track
from journy_track import Event, UserIdentified
from journy_track._capture import context
from journy_track._delivery.ledger import Ledger
from journy_track._delivery.outbox import Outbox
from journy_track._delivery.preparing import Preparer
from journy_track._delivery.worker import Worker
from journy_track._model.config import Config
from journy_track._model.notices import Notices
from journy_track._model.secret import Secret
from journy_track._transport.rest import HttpTransport

sys.path.append(str(Path(__file__).parents[1]))  # the benchmarks are in the repository, but not in the wheel

from benchmarks import capture as prototypes

SPAN = trace.NonRecordingSpan(trace.SpanContext(1 << 100, 1 << 50, is_remote=False))


@pytest.fixture
def capturing(api, monkeypatch):
    """A tracker whose worker never runs: captured items stay in the queue, and no other thread uses the CPU."""
    monkeypatch.setattr(Worker, "start", lambda self: self._queue.with_worker())
    monkeypatch.setattr(context, "any_dead", False)  # whatever other tests did in this process
    tracker = journy_track.configure("a-key", base_url=api.url, queue_size=100_000, shutdown_timeout=0)
    with journy_track.user("u1"), journy_track.account("acme"), journy_track.metadata(plan="pro"):
        yield tracker
    tracker.shutdown(0)


def bytecodes(call: Callable[[], object]) -> int:
    """Count the bytecodes that one call runs in any Python code."""
    count = 0

    def trace_one(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace_one

    before = sys.gettrace()
    for _ in range(3):  # run anything that happens only once
        call()
    gc.disable()  # no finaliser may run in between
    sys.settrace(trace_one)
    try:
        call()
    finally:
        sys.settrace(before)
        gc.enable()
    return count


def calls(call: Callable[[], object]) -> list[str]:
    """Return the functions that one call goes through, including those written in C."""
    names: list[str] = []

    def profile(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            names.append(frame.f_code.co_qualname)
        elif event == "c_call":
            names.append(argument.__qualname__)

    before = sys.getprofile()
    for _ in range(3):
        call()
    gc.disable()
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(before)
        gc.enable()
    return names[:-1]  # the last one is the setprofile above


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="from Python 3.12 on, tracing does not tell of each bytecode")
@pytest.mark.parametrize("span", [trace.INVALID_SPAN, SPAN], ids=["no span", "in a span"])
def test_a_captured_event_runs_little_more_than_what_any_such_library_has_to(capturing, span):
    bare = bytecodes(prototypes.bare())
    with trace.use_span(span):
        least, ours = bytecodes(prototypes.floor()), bytecodes(prototypes.ours())
    assert capturing.stats().captured == 4
    assert 1 < (ours - bare) / (least - bare) < 4.2, (bare, least, ours)


def test_a_captured_event_takes_few_calls(capturing):
    names = calls(prototypes.ours())
    assert "Recorder.record" in names
    assert "BoundedQueue.offer" in names
    assert len(names) <= 22, names


def test_capturing_takes_no_lock_and_formats_nothing(capturing):
    with trace.use_span(SPAN):
        names = calls(prototypes.ours())
    assert "BoundedQueue.offer" in names
    for costly in ("acquire", "__enter__", "format", "dumps", "uuid4", "now", "Condition", "isoformat"):
        assert not [name for name in names if name.endswith(costly)], names


@pytest.mark.parametrize("configured", [False, True], ids=["not configured", "disabled"])
def test_a_function_that_tracks_nothing_runs_no_more_than_a_bare_wrapper_and_a_look(configured):
    if configured:
        journy_track.configure("a-key", enabled=False)
    call = prototypes.ours()
    bytecodes(call)  # logs once that nothing is configured
    assert bytecodes(call) <= bytecodes(prototypes.bare()) + 25


def queued_bytes(record: Callable[[int], object], count: int = 2000) -> float:
    """Return how many bytes each recorded item keeps allocated."""
    for number in range(20):
        record(number)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(count):
            record(1_000_000 + number)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_an_event_that_waits_in_the_queue_takes_few_bytes(capturing):
    """Each event has its own span; the user, account and metadata are those of one request."""
    call = prototypes.ours()

    def record(number: int) -> None:
        span = trace.NonRecordingSpan(trace.SpanContext((1 << 100) + number, (1 << 50) + number, is_remote=False))
        with trace.use_span(span):
            call()

    assert 150 < queued_bytes(record) < 420


def record_one_of_its_own(call: Callable[[], None], number: int) -> None:
    """Record an event that shares its user, account, metadata and span with no other."""
    span = trace.NonRecordingSpan(trace.SpanContext((1 << 100) + number, (1 << 50) + number, is_remote=False))
    with (
        trace.use_span(span),
        journy_track.user(f"u{number}"),
        journy_track.account(f"a{number}"),
        journy_track.metadata(plan="pro", number=number),
    ):
        call()


@pytest.mark.slow
def test_an_event_with_an_identity_of_its_own_takes_few_bytes(capturing):
    call = prototypes.ours()
    assert 300 < queued_bytes(lambda number: record_one_of_its_own(call, number)) < 750


@pytest.mark.slow
def test_an_event_that_waits_in_the_outbox_takes_few_bytes(capturing):
    call, outbox = prototypes.ours(), Outbox()
    ledger, preparer = Ledger(capturing.recorder.queue), Preparer(Config.load("a-key", environ={}), Notices())

    def record(number: int) -> None:
        record_one_of_its_own(call, number)
        ((job, captured),) = ledger.take(1)
        job.item = preparer.prepare(captured)
        outbox.put(job)

    assert 600 < queued_bytes(record) < 1450
    assert len(outbox) == 2020


#: The modules that must not be loaded yet when each of these steps is done.
STEPS = {
    "import journy_track": "wrapt asyncio ssl opentelemetry dataclasses inspect json email",
    "from journy_track import track, user": "wrapt asyncio ssl opentelemetry json email",
    "journy_track.track_event('signed_in')(lambda: None)": (
        "wrapt asyncio ssl opentelemetry journy_track._delivery.pipeline journy_track.client"
    ),
    "import functools; journy_track.track_event('signed_in')(functools.partial(int, 1))": (
        "opentelemetry journy_track._delivery.pipeline journy_track.client"
    ),
    "journy_track.configure('a-key', base_url='http://127.0.0.1:9', shutdown_timeout=0)": (
        "journy_track.client journy_track._stores.sqlite.file"
    ),
}
NEVER = "requests urllib3 starlette uvicorn typer rich redis sqlite3 django flask celery sqlalchemy opentelemetry.sdk"


def test_each_step_loads_what_it_needs_and_no_more(run_program):
    ran = run_program(
        """
        import sys
        for step in sys.argv[1:]:
            exec(step)
            print(*sorted(sys.modules))
        """,
        *STEPS,
    )
    assert ran.status == 0, ran.err
    loaded = [set(line.split()) for line in ran.out.splitlines()]
    for (step, unwanted), modules in zip(STEPS.items(), loaded, strict=True):
        assert not modules & set(f"{unwanted} {NEVER}".split()), step
    assert "journy_track._capture.blocks" not in loaded[0]
    assert "journy_track._capture.blocks" in loaded[1]
    assert "wrapt" in loaded[3]
    assert "opentelemetry.trace" in loaded[4]


def test_once_configured_nothing_is_left_to_import_but_requests(run_program):
    """Events are captured in signal handlers, too, where an import could interrupt itself half done."""
    ran = run_program(
        """
        import sys, journy_track
        @journy_track.track_event("signed_in")
        def sign_in(): ...
        budget = {"X-RateLimit-Limit": "1000000", "X-RateLimit-Remaining": "1000000"}
        class Http:
            def send(self, request):
                return journy_track.HttpResponse(201, budget, b'{"meta": {"requestId": "r"}}')
            def close(self): ...
        journy_track.configure("a-key", http_client=Http())
        before = set(sys.modules)
        with journy_track.scope(), journy_track.user("u1", email="u1@acme.com"), journy_track.metadata(a=1):
            journy_track.set_account("acme")
            journy_track.add_metadata(b=2)
            sign_in()
            journy_track.track("saved", plan="pro")
            journy_track.upsert_user(name="Jane")
            journy_track.link("device")
            journy_track.add_users_to_account("acme", ["u1"])
            journy_track.delete_account("acme")
        assert journy_track.flush(20)
        print(journy_track.stats().captured, sorted(set(sys.modules) - before))
        """
    )
    assert ran.out == "6 []\n", ran.err


def test_configuring_loads_no_requests(run_program):
    ran = run_program(
        """
        import sys, journy_track
        journy_track.configure("a-key", base_url="http://127.0.0.1:9", shutdown_timeout=0)
        print("requests" in sys.modules)
        """
    )
    assert ran.out.split() == ["False"], ran.err


def test_a_delivered_event_takes_far_fewer_calls_than_with_a_session_of_requests(api):
    transport, session = HttpTransport(Secret("a-key"), api.url, 10.0), requests.Session()
    event = Event.for_user("signed_in", UserIdentified("u1"))
    try:
        ours = calls(lambda: transport.send(event))
        theirs = calls(lambda: session.post(f"{api.url}/track", json=event.body(), headers={"X-Api-Key": "a-key"}))
    finally:
        transport.close()
        session.close()
    assert api.counts.accepted == 8
    assert 100 < len(ours) < 0.6 * len(theirs)
