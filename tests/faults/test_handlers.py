"""Capturing and waiting in code that interrupts Python: signal handlers, weak reference callbacks, log handlers."""

from __future__ import annotations

import logging
import signal
import sys
import weakref
from collections.abc import Callable
from functools import partial
from time import monotonic

import pytest

import journy_track
from journy_track import Tracker

from .test_crashes import Taken


def at_line(number: int, act: Callable[[], object], interrupt: Callable[[], object]) -> bool:
    """Run *act*, and call *interrupt* before the *number*-th line of the library. Returns whether there was one."""
    lines = 0

    def trace(frame, event, _):
        nonlocal lines
        if "journy_track" not in frame.f_code.co_filename or frame.f_code.co_filename == __file__:
            return None
        if event == "line":
            lines += 1
            if lines == number:
                sys.settrace(None)
                interrupt()
        return trace

    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(None)
    return lines >= number


def flush_shortly(tracker: Tracker) -> None:
    began = monotonic()
    tracker.flush(0.02)  # times out where the interrupted thread holds a lock that settling needs
    assert monotonic() - began < 5


@pytest.mark.slow
def test_flush_in_a_signal_handler_at_any_line_of_a_capture_comes_back(canary):
    # Catches: a lock that capturing holds and flush() needs: the handler waits for the thread that it interrupts.
    number, reached = 0, True
    while reached:
        number += 1
        tracker = Tracker(canary, http_client=Taken())

        def handle(tracker=tracker):
            tracker.track("handlers", user="u1")
            flush_shortly(tracker)

        reached = at_line(number, partial(tracker.track, "signed_in", user="u1"), handle)
        assert tracker.flush(10), number
        assert tracker.stats().delivered == 1 + reached, (number, tracker.stats())
        tracker.shutdown(10)
    assert number > 30


@pytest.mark.slow
def test_asking_in_a_signal_handler_at_any_line_of_asking_comes_back(canary):
    # Catches: a lock that stats() holds and the handler's flush() needs, whatever its timeout.
    number, reached = 0, True
    while reached:
        number += 1
        tracker = Tracker(canary, http_client=Taken())
        tracker.track("signed_in", user="u1")

        def ask(tracker=tracker):
            tracker.stats()
            tracker.health()

        def handle(tracker=tracker, ask=ask):
            ask()
            tracker.recent()
            flush_shortly(tracker)

        reached = at_line(number, ask, handle)
        assert tracker.shutdown(10), number
        assert tracker.stats().delivered == 1, number
    assert number > 30


def test_a_signal_that_interrupts_a_wait_does_not_break_it(api, tracker, agreed):
    # Catches: a wait that ends, or a deadline that restarts, with each signal.
    api.answer_next(None, delay=0.3)
    calls = 0

    def handle(*_: object) -> None:
        nonlocal calls
        calls += 1
        journy_track.track("interrupted", user="handler")

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        journy_track.track("one", user="u1")
        assert tracker.flush(20)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert calls > 5
    assert tracker.flush(20)
    assert tracker.stats().captured == 1 + calls == tracker.stats().delivered
    agreed()


def test_an_exception_of_a_signal_handler_ends_a_wait_and_breaks_nothing_after_it(gate, configure):
    # Catches: a lock that is still held after Ctrl-C interrupts flush().
    class Interrupted(Exception):
        pass

    def handle(*_: object) -> None:
        raise Interrupted

    tracker = configure(http_client=gate)
    journy_track.track("one", user="u1")
    assert gate.entered.wait(10)
    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(Interrupted):
            tracker.flush(20)
    finally:
        signal.signal(signal.SIGALRM, before)
    gate.opened.set()
    journy_track.track("two", user="u1")
    assert tracker.flush(20)
    assert tracker.stats().delivered == 2


def test_capturing_in_the_callback_of_a_weak_reference_loses_nothing(api, tracker, agreed):
    # Catches: a lock in the capture path: the collector runs the callback during another capture.
    class Held:
        pass

    for number in range(50):
        held = Held()
        weakref.finalize(held, journy_track.track, f"gone_{number:02}", user="u1")
        del held
        journy_track.track("here", user="u1")
    assert tracker.flush(20)
    assert tracker.stats().delivered == 100
    assert sorted(event.name for event in api.events if event.name != "here") == [f"gone_{n:02}" for n in range(50)]
    agreed()


@pytest.mark.slow
@pytest.mark.parametrize("answer", [400, 503, "drop"])
def test_a_log_handler_that_captures_while_things_go_wrong_starts_no_loop(api, tracker, agreed, answer):
    # Catches: a guard for the worker that does not cover the senders, whose requests fail.
    class Tracks(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            journy_track.track("logged", user="u1")

    api.answer_next(500, drop=True) if answer == "drop" else api.answer_next(answer)
    loggers, handler = [logging.getLogger(name) for name in ("journy_track", "urllib3")], Tracks(logging.DEBUG)
    for logger in loggers:
        logger.addHandler(handler)
    try:
        journy_track.track("one", user="u1")
        journy_track.track("two", user="u1")
        assert tracker.flush(20)
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
    assert tracker.stats().dropped["own_code"] >= 1  # the library's own log line about it
    assert [event.name for event in api.events] == (["two"] if answer == 400 else ["one", "two"])
    agreed()


GEVENT = """
import sys
if sys.argv[2] == "before":
    from gevent import monkey; monkey.patch_all()
import journy_track
if sys.argv[2] == "after":
    from gevent import monkey; monkey.patch_all()
import gevent
from gevent.pool import Pool

tracker = journy_track.configure(base_url=sys.argv[1], shutdown_timeout=20)

def serve(number):
    with journy_track.user(f"u{number}"):
        journy_track.track(f"event_{number:02}")
        gevent.sleep(0)
        journy_track.track(f"event_{number:02}")

Pool(10).map(serve, range(20))
assert tracker.flush(20)
print(tracker.stats().delivered, dict(tracker.stats().dropped))
"""


@pytest.mark.parametrize("patched", ["before", "after"])
def test_greenlets_that_capture_while_the_worker_sends_lose_nothing(api, run_program, canary, seen, patched):
    # Catches: a guard against self-tracking that all greenlets share; a queue that gevent has replaced.
    pytest.importorskip("gevent", reason="runs greenlets")
    done = run_program(GEVENT, api.url, patched, JOURNY_API_KEY=canary, PYTHONWARNINGS="ignore")
    seen(done)
    assert (done.status, done.out) == (0, "40 {}\n"), done.err
    assert sorted(event.name for event in api.events) == sorted(f"event_{n:02}" for n in range(20) for _ in "ab")
    assert all(event.user == {"userId": f"u{int(event.name[6:])}"} for event in api.events)
