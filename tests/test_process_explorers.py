"""A fork and a capturing signal handler at every line of the capture path: nothing blocks, and nothing is lost."""

from __future__ import annotations

import pytest

EXPLORE = """
import os, sys, threading, warnings
import journy_track
from journy_track import HttpResponse

warnings.simplefilter("ignore", DeprecationWarning)
HEADERS = {"X-RateLimit-Limit": "1000000", "X-RateLimit-Remaining": "1000000"}

class Http:
    def send(self, request): return HttpResponse(201, HEADERS, b'{"meta": {"requestId": "r"}}')
    def close(self): pass

def tracker_of(way):
    tracker = journy_track.Tracker("a-key", http_client=Http(), shutdown_timeout=20)
    if way == "warm":
        tracker.track("first", user="u1")
        assert tracker.flush(20)
    return tracker

def at_line(number, act, captures):
    # Calls captures, and act just before the number-th line of ours that runs in it; false: it has fewer.
    lines = 0
    def trace(frame, event, _):
        nonlocal lines
        # The collector may come at any line, also in Thread.start(): a child that is forked there waits in vain.
        if "journy_track" not in frame.f_code.co_filename or frame.f_code.co_filename.endswith("collecting.py"):
            return None
        if event == "line":
            lines += 1
            if lines == number:
                sys.settrace(None)
                act()
        return trace
    sys.settrace(trace)
    try:
        captures()
    finally:
        sys.settrace(None)
    return lines >= number

def balanced(stats, captured):
    counted = stats.delivered + stats.given_up + stats.coalesced + sum(stats.dropped.values())
    return stats.captured == captured == counted and not stats.dropped

def fork(tracker, way):
    child = None
    def act():
        nonlocal child
        child = os.fork()
        if not child:
            tracker.track("childs", user="u2")
    def captures():
        with journy_track.user("u1"):
            tracker.track("signed_in", theme="dark")
    def both(number):
        reached = at_line(number, act, captures)
        if child == 0:
            # What the fork came in the middle of is the child's as well, unless the queue was its parent's.
            ok = tracker.flush(20) and 1 <= tracker.stats().captured <= 2
            os._exit(0 if ok and balanced(tracker.stats(), tracker.stats().captured) else 1)
        if child is not None:
            assert os.waitpid(child, 0)[1] == 0, number
        assert tracker.flush(20)
        assert balanced(tracker.stats(), 1 + (way == "warm")), (number, tracker.stats())
        return reached
    return both

def reenter(tracker, way):
    def captures():
        with journy_track.user("u1"):
            tracker.track("signed_in", theme="dark")
    def both(number):
        reached = at_line(number, lambda: tracker.track("handlers", user="u2"), captures)
        assert tracker.flush(20)
        assert balanced(tracker.stats(), 1 + reached + (way == "warm")), (number, tracker.stats())
        return reached
    return both

def explore(kind, way):
    number = 0
    while True:
        number += 1
        tracker = tracker_of(way)
        reached = kind(tracker, way)(number)
        tracker.shutdown(20)
        if not reached:
            return number - 1

import faulthandler
faulthandler.dump_traceback_later(100, exit=True)
print(explore(globals()[sys.argv[1]], sys.argv[2]))
"""


@pytest.mark.parametrize("way", ["cold", "warm"])
@pytest.mark.parametrize("kind", ["fork", "reenter"])
def test_at_every_line_of_a_capture(run_program, kind, way):
    # Catches: queue.Queue, Event.set or any lock in the capture path: the child or the handler hangs.
    done = run_program(EXPLORE, kind, way, timeout=120)
    assert (done.status, done.err) == (0, "")
    assert int(done.out) > 50
