"""The worker: a dead one is replaced, delivery works where none can start, and nothing is sent after the end."""

from __future__ import annotations

import asyncio
import sys
import threading
from time import monotonic

import pytest

import journy_track
from journy_track import Tracker, _process
from journy_track._capture.queue import BoundedQueue

from ..timing import keeps_to

KEY = "a-key"


@pytest.fixture
def no_threads(monkeypatch):
    """No thread of the library can be started until this is undone."""
    start = threading.Thread.start

    def refused(thread):
        if thread.name.startswith("journy_track"):
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        yield patched


def test_without_any_thread_flush_sends_by_itself(api, tracker, no_threads):
    tracker.track("signed_in", user="u1")
    assert tracker.flush(10)
    assert len(api.events) == 1


@pytest.mark.slow
def test_after_a_flush_without_threads_the_next_thread_has_all_its_time_again(api, tracker, no_threads, balance):
    tracker.track("signed_in", user="u1")
    assert tracker.flush(0.5)
    no_threads.undo()
    api.answer_next(None, delay=0.7)  # later than that flush's deadline
    tracker.track("signed_in", user="u1")
    assert tracker.flush(10)
    assert balance(tracker, 2).retried == 0


def test_an_exception_of_a_signal_handler_while_the_worker_starts_costs_no_later_item(api, tracker, monkeypatch):
    def interrupted(_):
        raise TimeoutError("the app's time limit")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(TimeoutError):
            tracker._pipeline().worker.start()
    tracker.track("signed_in", user="u1")
    assert tracker.flush(10)
    assert len(api.events) == 1


def test_a_tracker_that_is_made_while_the_first_item_is_captured_is_no_error(monkeypatch):
    class Living:
        @property
        def wraps_os_exit(self):
            _process._living.add(Living())
            return False

    with monkeypatch.context() as patched:
        patched.setattr(_process, "_living", {Living()})
        _process.first_capture()
        assert len(_process._living) == 2


def test_an_error_before_the_worker_starts_is_not_taken_for_a_lack_of_threads(api, tracker, monkeypatch, caplog):
    worker = tracker._pipeline().worker
    on_start, errors = worker._on_start, [RuntimeError("Set changed size during iteration")]

    def fails_once():
        if errors:
            raise errors.pop()
        on_start()

    monkeypatch.setattr(worker, "_on_start", fails_once)
    tracker.track("signed_in", user="u1")
    assert not worker.alive
    tracker.track("signed_in", user="u1")
    assert worker.alive
    assert tracker.flush(10)
    assert len(api.events) == 2
    assert "no thread" not in caplog.text


# ── Retiring while an item is captured ──


def retired_by(tracker: Tracker) -> threading.Thread:
    thread = threading.Thread(target=tracker.retire)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    return thread


def test_a_tracker_that_retires_before_its_first_item_wakes_the_worker_ends(api, tracker, balance):
    pipeline = tracker._pipeline()
    start = pipeline.queue.wake

    def overtaken():
        retired_by(tracker)
        start()

    pipeline.queue.wake = overtaken
    tracker.track("signed_in", user="u1")
    pipeline.worker.join(10)
    assert not pipeline.worker.alive
    assert tracker not in _process._living
    assert balance(tracker, 1).delivered == len(api.events) == 1


def test_a_tracker_that_retires_before_its_first_item_is_queued_ends(api, tracker, monkeypatch, balance):
    charge = BoundedQueue._charge

    def overtaken(queue, extra):
        retired_by(tracker)
        charge(queue, extra)

    monkeypatch.setattr(BoundedQueue, "_charge", overtaken)
    worker = tracker._pipeline().worker
    tracker.track("signed_in", user="u1", text="x" * 10_000)
    worker.join(10)
    assert not worker.alive
    assert balance(tracker, 1).delivered == len(api.events) == 1


@pytest.mark.parametrize("death", [SystemExit, GeneratorExit, KeyboardInterrupt])
def test_a_worker_that_was_killed_is_replaced(api, tracker, caplog, monkeypatch, death):
    worker = tracker._pipeline().worker
    step = worker.step
    killed = threading.Event()

    def dies_once():
        if not killed.is_set():
            killed.set()
            raise death
        return step()

    monkeypatch.setattr(worker, "step", dies_once)
    tracker.track("signed_in", user="u1")
    assert killed.wait(5)
    worker.join(5)
    tracker.track("signed_in", user="u1")
    assert tracker.flush(10)
    assert len(api.events) == 2
    assert f"ended with {death.__name__}" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("end", ["flush", "shutdown"])
def test_with_all_senders_hanging_the_wait_ends_in_time(hung_server, end):
    def wait() -> float:
        tracker = Tracker(KEY, base_url=hung_server, timeout=2, max_connections=8)
        for number in range(20):
            tracker.track("signed_in", user=f"u{number}")
        began = monotonic()
        assert not getattr(tracker, end)(0.5)
        return monotonic() - began

    keeps_to(0.5, wait)


@pytest.mark.slow
def test_aflush_ends_in_time_with_all_senders_hanging_too(hung_server):
    tracker = journy_track.configure(KEY, base_url=hung_server, timeout=2, max_connections=8)
    for number in range(20):
        tracker.track("signed_in", user=f"u{number}")

    async def aflush() -> float:
        began = monotonic()
        assert not await tracker.aflush(0.5)
        return monotonic() - began

    keeps_to(0.5, lambda: asyncio.run(aflush()))


def test_nothing_is_sent_after_the_end_that_was_counted_as_dropped(gate, balance):
    tracker = journy_track.configure(KEY, http_client=gate, max_connections=1)
    for number in range(5):
        tracker.track("signed_in", user=f"u{number}")
    assert gate.entered.wait(5)
    assert not tracker.shutdown(0.1)
    dispatcher = tracker._pipeline().dispatcher
    gate.opened.set()
    dispatcher.join(5)
    assert not dispatcher.alive
    assert len(gate.bodies) == 1  # the event that was in flight
    assert balance(tracker, 5).dropped == {"shutdown": 5}


@pytest.mark.parametrize("awake", [lambda queue: queue.wake_worker(), lambda queue: queue.wait(0, wakeable=False)])
def test_a_worker_that_dies_at_any_line_of_being_woken_is_replaced(awake):
    starts: list[str] = []
    line = lines = 0

    def trace(frame, event, _):
        nonlocal lines
        if event == "line" and frame.f_code.co_filename.endswith("_capture/queue.py"):
            lines += 1
            if lines == line:
                sys.settrace(None)
                queue.without_worker(lambda: starts.append("one"))
        return trace

    while lines >= line:
        line, lines = line + 1, 0
        starts.clear()
        queue = BoundedQueue(10, 10_000)
        queue.with_worker()
        before = sys.gettrace()  # such as the trace function of coverage
        sys.settrace(trace)
        try:
            awake(queue)
        finally:
            sys.settrace(before)
        if lines == line:
            queue.offer("an item", 0)
            assert starts == ["one"], line
    assert line > 4


def test_who_drains_does_not_wait_beyond_the_deadline_that_a_request_has_reached(desk):
    made = desk()

    def send(request):
        made.clock.now += 5
        return journy_track.HttpResponse(503, {"Retry-After": "60"}, b"")

    made.script.send = send
    made.put()
    began = monotonic()
    until = made.clock.now + 5
    made.worker.drain(lambda: until)
    assert monotonic() - began < 20  # it does not wait for the next attempt
    assert made.ledger.stats().queued == 1
