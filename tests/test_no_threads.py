"""Where threads cannot be started, as in Pyodide, the caller that waits delivers."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from journy_track import HttpResponse, Tracker

#: Seconds until a test gives up.
PATIENCE = 20.0
PLENTY = {"X-RateLimit-Limit": "1000000", "X-RateLimit-Remaining": "1000000"}


class Server:
    def send(self, request):
        return HttpResponse(201, PLENTY, b'{"meta": {"requestId": "r"}}')

    def close(self): ...


@pytest.fixture
def tracker(monkeypatch):
    tried = []

    def start(thread):
        tried.append(thread.name)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    monkeypatch.setattr(sys, "platform", "emscripten")
    tracker = Tracker("test-key-0123456789", http_client=Server())
    for _ in range(3):
        tracker.track("worked", user="u1")
    assert tried == ["journy_track"]  # once, and not for each capture
    return tracker


@pytest.mark.parametrize(
    "wait",
    [
        lambda tracker: tracker.flush(30),
        # Catches: waiting for the whole timeout for a thread that cannot be started.
        lambda tracker: asyncio.run(tracker.aflush(30)),
        lambda tracker: tracker.shutdown(30),
    ],
    ids=["flush", "aflush", "shutdown"],
)
def test_whoever_waits_delivers(tracker, wait, caplog):
    assert wait(tracker)
    assert tracker.stats().delivered == 3
    assert ["no thread can deliver" in record.message for record in caplog.get_records("setup")] == [True]


@pytest.fixture
def threadless(monkeypatch):
    """Return a function that makes a tracker whose threads cannot start."""
    start = threading.Thread.start

    def only_ours_fail(thread):
        if thread.name.startswith("journy_track"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", only_ours_fail)
    made = []

    def make(http_client):
        made.append(Tracker("test-key-0123456789", http_client=http_client))
        return made[-1]

    yield make
    for tracker in made:
        tracker.shutdown(PATIENCE)


class Held(Server):
    """Holds up its requests until it is opened."""

    def __init__(self):
        self.entered, self.opened = threading.Event(), threading.Event()

    def send(self, request):
        self.entered.set()
        assert self.opened.wait(PATIENCE)
        return super().send(request)


def in_thread(name, function, results):
    thread = threading.Thread(target=lambda: results.append(function()), name=name, daemon=True)
    thread.start()
    return thread


def test_two_that_wait_at_once_do_not_limit_later_requests(threadless, monkeypatch):
    # Catches: both save and restore the settings for sending in the caller's thread, in an order that keeps them.
    tracker = threadless(held := Held())
    pipeline = tracker._pipeline()
    drain, wait = pipeline.worker.drain, pipeline.ledger.wait
    draining, second_waits, first_is_done = [], threading.Event(), threading.Event()

    def drained(until):
        draining.append(until)
        if len(draining) == 1:
            drain(until)
            assert second_waits.wait(PATIENCE)
        else:
            second_waits.set()
            assert first_is_done.wait(PATIENCE)
            drain(until)

    def waited(*arguments):
        if threading.current_thread().name == "second":
            second_waits.set()
        return wait(*arguments)

    pipeline.worker.drain, pipeline.ledger.wait = drained, waited
    results = []
    tracker.track("one", user="u1")
    first = in_thread("first", lambda: tracker.flush(PATIENCE), results)
    assert held.entered.wait(PATIENCE)
    tracker.track("two", user="u2")
    second = in_thread("second", lambda: tracker.flush(PATIENCE), results)
    assert second_waits.wait(PATIENCE)
    held.opened.set()
    first.join(PATIENCE)
    first_is_done.set()
    second.join(PATIENCE)
    assert results == [True, True]
    assert (pipeline.dispatcher.inline, pipeline.dispatcher.until) == (False, None)


def test_a_shutdown_takes_over_from_a_flush_that_gives_up(threadless):
    tracker = threadless(held := Held())
    pipeline, results = tracker._pipeline(), []
    drain, tried = pipeline._drain, threading.Event()

    def drained(until):
        if threading.current_thread().name == "second":
            tried.set()
        return drain(until)

    pipeline._drain = drained
    tracker.track("one", user="u1")
    first = in_thread("first", lambda: tracker.flush(0.5), results)
    assert held.entered.wait(PATIENCE)
    tracker.track("two", user="u2")
    second = in_thread("second", lambda: tracker.shutdown(PATIENCE), results)
    assert tried.wait(PATIENCE)
    pipeline._clock = later = lambda clock=pipeline._clock: clock() + 1.0  # flush() has no time left
    pipeline.worker._clock = later
    held.opened.set()
    first.join(PATIENCE)
    second.join(PATIENCE)
    assert True in results
    assert tracker.stats().delivered == 2
