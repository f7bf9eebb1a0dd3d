"""Broken logging in the app costs no items, does not kill the worker, and does not affect callers."""

from __future__ import annotations

import logging
import threading

import pytest

import journy_track


class Broken(logging.Handler):
    """A handler that raises for every log line of the library."""

    def emit(self, record: logging.LogRecord) -> None:
        raise ValueError(record.getMessage())


@pytest.fixture
def broken_logging():
    ours, handler = logging.getLogger("journy_track"), Broken()
    ours.addHandler(handler)
    yield
    ours.removeHandler(handler)


@pytest.mark.slow
@pytest.mark.usefixtures("broken_logging")
def test_a_handler_that_raises_costs_neither_an_item_nor_the_worker(api, configure, agreed):
    # Catches: log.warning() in place of say(): the worker dies of its own log line, and an item stays in flight.
    tracker = configure(debug=False)
    api.answer_next(503)  # delayed
    api.answer_next(400)  # given up
    journy_track.track("one", user="u1", bad=float("nan"))  # the value is left out
    journy_track.track("nobody_did")  # dropped: no identity
    journy_track.track("two", user="u1")
    assert tracker.flush(10)
    stats = tracker.stats()
    assert (stats.delivered, stats.given_up, dict(stats.dropped)) == (1, 1, {"no_identity": 1})
    agreed()


@pytest.mark.usefixtures("broken_logging")
def test_a_handler_that_raises_does_not_reach_who_calls_a_decorated_function(tracker):
    # Catches: log.warning() in warn_once(): the app's handler raises in the caller's own function.
    @journy_track.track_event("signed_in", user="u1", when=lambda call: 1 / 0)
    def sign_in() -> str:
        return "welcome"

    assert sign_in() == "welcome"
    assert tracker.stats().dropped == {"capture_failed": 1}


@pytest.mark.usefixtures("broken_logging")
def test_a_worker_that_died_is_replaced_though_nobody_can_be_told(tracker, monkeypatch, agreed):
    # Catches: log.error() about the worker's death before another worker is started.
    worker = tracker._pipeline().worker
    step, killed = worker.step, threading.Event()

    def dies_once() -> float | None:
        if not killed.is_set():
            killed.set()
            raise SystemExit
        return step()

    monkeypatch.setattr(worker, "step", dies_once)
    journy_track.track("one", user="u1")
    assert killed.wait(10)
    worker.join(10)
    journy_track.track("two", user="u1")
    assert tracker.flush(10)
    assert tracker.stats().delivered == 2
    agreed()


@pytest.mark.usefixtures("broken_logging")
def test_shutdown_with_a_broken_handler_ends_all_the_same(tracker, hung_server, configure):
    # Catches: log.warning() in shutdown(): its counts are lost, and the process ends with a traceback.
    tracker = configure(base_url=hung_server)
    journy_track.track("one", user="u1")
    assert not tracker.shutdown(0.1)
    assert tracker.stats().dropped == {"shutdown": 1}


PROGRAM = """
import logging, os, sys
import journy_track

class Broken(logging.Handler):
    def emit(self, record): raise ValueError("a handler's own mistake")

tracker = journy_track.configure(base_url=sys.argv[1], shutdown_timeout=0.2)
if sys.argv[2] == "closed": os.close(2)
elif sys.argv[2] == "gone": sys.stderr = None
elif sys.argv[2] == "closed file": sys.stderr.close()
elif sys.argv[2] == "raises": logging.getLogger("journy_track").addHandler(Broken())
journy_track.track("nobody_did")
journy_track.track("signed_in", user="u1")
tracker.flush(0.2)
assert tracker.stats().dropped == {"no_identity": 1}, tracker.stats()
"""


@pytest.mark.parametrize("stderr", ["closed", "gone", "closed file"])
def test_a_closed_stderr_breaks_nothing(run_program, hung_server, canary, seen, stderr):
    # Catches: print(..., file=sys.stderr) without checking that stderr exists.
    done = run_program(PROGRAM, hung_server, stderr, JOURNY_API_KEY=canary)
    seen(done)
    assert done.status == 0


def test_a_handler_that_raises_is_named_on_stderr_once(run_program, hung_server, canary, seen):
    # Catches: an error that is swallowed silently; one line for each log line that was lost.
    done = run_program(PROGRAM, hung_server, "raises", JOURNY_API_KEY=canary)
    seen(done)
    assert done.status == 0
    assert done.err == "journy_track: logging raised ValueError; this line was lost\n"
