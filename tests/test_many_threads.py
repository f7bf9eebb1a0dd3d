"""Threads that capture concurrently, also during shutdown: each item is in exactly one count, and the right one.

Worth running with `PYTHON_GIL=0` on a free-threaded Python. With the GIL, threads switch as often as Python can.
"""

from __future__ import annotations

import sys
import threading
from time import monotonic

import pytest

from journy_track import HttpResponse, Tracker
from journy_track._capture.queue import UNIT, BoundedQueue, Tally

PLENTY = {"X-RateLimit-Limit": "1000000", "X-RateLimit-Remaining": "1000000"}
THREADS = 8
#: A generous deadline, in seconds; no test depends on it.
LONG = 30.0


@pytest.fixture(autouse=True)
def _switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Server:
    """Accepts every request, but holds those that contain a given text until it is released."""

    def __init__(self, *held: bytes) -> None:
        self.held = {text: threading.Event() for text in held}
        self.arrived = {text: threading.Event() for text in held}
        self.requests: list[bytes] = []

    def send(self, request):
        body = request.body or b""
        self.requests.append(body)
        for text, released in self.held.items():
            if text in body:
                self.arrived[text].set()
                assert released.wait(LONG)
        return HttpResponse(201, PLENTY, b'{"meta": {"requestId": "r"}}')

    def close(self): ...


def at_once(work, count=THREADS):
    """Run work(number) in threads that start together, and wait until all have ended."""
    barrier = threading.Barrier(count)
    problems = []

    def run(number):
        barrier.wait(LONG)
        try:
            work(number)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert problems == []


def test_a_tally_loses_no_count():
    tally = Tally()
    at_once(lambda number: [(tally.add(), tally.read()) for _ in range(2000)])
    assert tally.read() == THREADS * 2000


def test_units_are_charged_and_given_back_without_loss():
    # Catches: `self.used += units`, which loses updates between threads.
    queue = BoundedQueue(100_000, 100_000 * UNIT)
    queue.with_worker()
    at_once(lambda number: [queue.offer(object(), 3) for _ in range(500)])
    assert len(queue) == THREADS * 500
    while queue.take() is not None:
        queue.release(3)
    assert queue.has_room(95_000)
    assert next(queue._units) - 1 == queue._released == THREADS * 500 * 3


def test_everything_that_threads_capture_is_delivered_and_counted_once():
    server = Server()
    tracker = Tracker("test-key-0123456789", http_client=server)
    at_once(lambda number: [tracker.track("worked", user=f"u{number}", at=at) for at in range(100)])
    assert tracker.flush(LONG)
    stats = tracker.stats()
    assert (stats.captured, stats.delivered, stats.dropped) == (THREADS * 100, THREADS * 100, {})
    assert len(server.requests) == len(set(server.requests)) == THREADS * 100
    assert tracker.shutdown(LONG)


def test_what_threads_capture_during_shutdown_is_delivered_or_refused():
    server = Server()
    tracker = Tracker("test-key-0123456789", http_client=server)

    def work(number):
        if number == 0:
            assert tracker.shutdown(LONG)
        else:
            for at in range(60):
                tracker.track("worked", user=f"u{number}", at=at)

    at_once(work)
    stats = tracker.stats()
    assert stats.captured == (THREADS - 1) * 60
    assert stats.delivered == len(server.requests)
    assert set(stats.dropped) <= {"closed", "shutdown"}
    assert stats.delivered + sum(stats.dropped.values()) == stats.captured


def test_an_item_that_was_just_being_captured_when_shutdown_began_is_waited_for(monkeypatch):
    # Catches: a shutdown that only waits for what was in the queue when it closed, and counts this item as dropped
    # while its request is in flight.
    server = Server(b"first", b"second")
    tracker = Tracker("test-key-0123456789", http_client=server)
    tracker.track("known", user="u0")  # so that the pacer allows several requests at once
    assert tracker.flush(LONG)
    tracker.track("first", user="u1")
    assert server.arrived[b"first"].wait(LONG)
    charging, go_on = threading.Event(), threading.Event()
    charge = BoundedQueue._charge

    def charge_late(queue, extra):
        charging.set()
        assert go_on.wait(LONG)
        charge(queue, extra)

    monkeypatch.setattr(BoundedQueue, "_charge", charge_late)
    capturing = threading.Thread(
        target=tracker.track, args=("second", {"text": "long" * 1000}), kwargs={"user": "u2"}
    )
    capturing.start()
    assert charging.wait(LONG)
    ended = []
    ending = threading.Thread(target=lambda: ended.append(tracker.shutdown(LONG)))
    ending.start()
    until(lambda: tracker._pipeline().ledger.is_awaited)
    go_on.set()
    assert server.arrived[b"second"].wait(LONG)
    server.held[b"first"].set()
    ending.join(0.5)  # not a wait for anything: with the bug, shutdown() returned here
    server.held[b"second"].set()
    ending.join(LONG)
    capturing.join(LONG)
    stats = tracker.stats()
    assert (ended, stats.delivered, stats.dropped) == ([True], 3, {})


def until(condition):
    deadline = monotonic() + LONG
    while not condition():
        assert monotonic() < deadline
        threading.Event().wait(0.002)
