"""An exception at every line of the capture path: it is counted, and does not reach the caller."""

from __future__ import annotations

import asyncio
import linecache
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

import pytest

import journy_track
from journy_track import HttpRequest, HttpResponse, Tracker
from journy_track._capture.decorators import TrackedCall
from journy_track._capture.recorder import Recorder
from journy_track._verbs import Verbs

PLENTY = {"X-RateLimit-Limit": "1000000", "X-RateLimit-Remaining": "1000000"}
#: The functions where capturing begins: what runs before them is the caller's own function.
CAPTURING = {Recorder.record.__code__, TrackedCall.finish.__code__, Verbs._record.__code__}
#: Lines at which nothing can fail yet, or nothing can fail any more.
SAFE = {
    *("try:", "return True", "options = self._options", "recorder = self.recorder", "at = None"),
    *("given = kind, subject, mapping, user, account, named, after_commit, happened_at", "return False"),
    *("except Exception as error:", "if not self._went_on(recorder, kind, given, values, error):"),
}


class Taken:
    """An HTTP client whose server accepts everything."""

    def __init__(self) -> None:
        self.count = 0

    def send(self, request: HttpRequest, /) -> HttpResponse:
        self.count += 1
        return HttpResponse(201, PLENTY, b'{"meta": {"requestId": "r"}}')

    def close(self) -> None:
        """Do nothing: no connection is kept open."""


class Crash:
    """Raises *error* at the *number*-th line of this library that runs inside a function of *begin*."""

    def __init__(self, number: int, begin: set[CodeType], error: type[BaseException]) -> None:
        self.number = number
        self.begin = begin
        self.error = error
        self.lines = 0
        self.at = ""

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        path = frame.f_code.co_filename
        # The garbage collector may run at any line; what it calls does not count as capturing.
        if "journy_track" not in path or path.endswith("collecting.py") or not self._within(frame):
            return None
        return self._line

    def _within(self, frame: FrameType | None) -> bool:
        while frame is not None:
            if frame.f_code in self.begin:
                return True
            frame = frame.f_back
        return False

    def _line(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            if line not in SAFE:
                self.lines += 1
                if self.lines == self.number:
                    sys.settrace(None)
                    self.at = f"{frame.f_code.co_filename}:{frame.f_lineno} {line}"
                    raise self.error("injected")
        return self._line

    @property
    def reached(self) -> bool:
        return bool(self.at)


# ── The ways to capture, each of which returns "welcome" ──


def by_decorator(tracker: Tracker) -> Callable[[], object]:
    return tracker.track_event("signed_in", user="u1")(lambda: "welcome")


def by_decorator_with_options(tracker: Tracker) -> Callable[[], object]:
    @tracker.track_event(
        "signed_in",
        user=lambda call: call.arguments["user"],
        account="acme",
        metadata=lambda call: {"result": call.result},
        capture=["plan"],
        duration=True,
        when=lambda call: True,
        at_most_every=1,
    )
    def sign_in(user: str, plan: str) -> str:
        return "welcome"

    return lambda: sign_in("u1", plan="pro")


def by_coroutine(tracker: Tracker) -> Callable[[], object]:
    @tracker.track_event("signed_in", user="u1", on="always")
    async def sign_in() -> str:
        return "welcome"

    return lambda: asyncio.run(sign_in())


def by_generator(tracker: Tracker) -> Callable[[], object]:
    @tracker.track_event("signed_in", user="u1")
    def sign_in() -> Iterator[str]:
        yield "welcome"

    return lambda: next(iter(list(sign_in())))


def by_failure(tracker: Tracker) -> Callable[[], object]:
    @tracker.track_event("failed", user="u1", on="error")
    def sign_in() -> None:
        raise KeyError("welcome")

    def call() -> object:
        try:
            return sign_in()
        except KeyError as error:  # and no other exception
            return error.args[0]

    return call


def by_verb(tracker: Tracker) -> Callable[[], object]:
    return lambda: tracker.track("signed_in", {"tags": ["a"]}, user="u1", plan="pro") or "welcome"


def in_a_scope(tracker: Tracker) -> Callable[[], object]:
    sign_in = tracker.track_event("signed_in")(lambda: "welcome")

    def call() -> object:
        with journy_track.scope(), journy_track.account("acme"):
            journy_track.set_user("u1")
            return sign_in()

    return call


def by_verb_with_a_wrong_user(tracker: Tracker) -> Callable[[], object]:
    return lambda: tracker.track("signed_in", user="", account="acme") or "welcome"


def by_upsert(tracker: Tracker) -> Callable[[], object]:
    return lambda: tracker.upsert_user(user_id="u1", email="jane@acme.com") or "welcome"


WAYS = [
    *(by_decorator, by_decorator_with_options, by_coroutine, by_generator, by_failure, in_a_scope),
    *(by_verb, by_verb_with_a_wrong_user, by_upsert),
]


@pytest.mark.slow
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("way", WAYS)
def test_an_exception_at_any_line_of_a_capture_reaches_nobody_and_is_counted(canary, way, warm):
    # Catches: a line of capturing outside the try, and a failure that is not counted or counted twice.
    crash, number = None, 0
    while crash is None or crash.reached:
        number += 1
        server = Taken()
        tracker = Tracker(canary, http_client=server, strict=False)
        if warm:
            tracker.track("first", user="u1")
            assert tracker.flush(10)
        call = way(tracker)
        crash = Crash(number, CAPTURING, MemoryError)
        before = sys.gettrace()
        sys.settrace(crash)
        try:
            answer = call()
        finally:
            sys.settrace(before)
        assert answer == "welcome", crash.at
        assert tracker.flush(10), crash.at
        stats = tracker.stats()
        assert stats.captured == 1 + warm, (crash.at, stats)
        assert server.count + sum(stats.dropped.values()) == 1 + warm, (crash.at, stats)
        assert set(stats.dropped) <= {"capture_failed", "invalid"}, (crash.at, stats)
        tracker.shutdown(10)
    assert number > 20
