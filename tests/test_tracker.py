"""flush(), aflush() and shutdown() of a tracker."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta

import pytest

import journy_track
from journy_track import InvalidArgument, Tracker

from .timing import keeps_to


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "journy_track"]


@pytest.fixture
def hung(hung_server) -> Tracker:
    """The global tracker with two events, pointed at a server that accepts connections and never responds."""
    tracker = journy_track.configure(base_url=hung_server)
    journy_track.track("signed_in", user="u1")
    journy_track.track("signed_out", user="u1")
    return tracker


# ── flush ──


def test_flush_waits_until_everything_captured_before_is_settled(api, tracker, balance):
    api.answer_next(None, delay=0.2)
    journy_track.track("signed_in", user="u1")
    journy_track.track("nobody_did")
    assert tracker.flush(5)
    stats = balance(tracker, captured=2)
    assert (stats.delivered, stats.dropped) == (1, {"no_identity": 1})


def test_flush_without_anything_captured_is_true_and_starts_nothing(tracker):
    assert tracker.flush(0)
    assert asyncio.run(tracker.aflush(0))
    assert not ours()


@pytest.mark.parametrize("timeout", [0, 0.3, timedelta(seconds=0.3)], ids=str)
def test_flush_keeps_its_time_in_front_of_a_server_that_hangs(hung, balance, timeout):
    def flush() -> None:
        assert not hung.flush(timeout)

    keeps_to(timeout.total_seconds() if isinstance(timeout, timedelta) else timeout, flush)
    balance(hung, captured=2)


def test_flush_without_a_timeout_takes_the_one_of_shutdown(hung_server):
    tracker = journy_track.configure(base_url=hung_server, shutdown_timeout=0.2)
    journy_track.track("signed_in", user="u1")

    def flush() -> None:
        assert not tracker.flush()

    keeps_to(0.2, flush)


def test_flush_does_not_wait_for_what_is_captured_meanwhile(api, tracker):
    stop = threading.Event()

    def capture() -> None:
        while not stop.wait(0.001):
            journy_track.track("signed_in", user="u1")

    thread = threading.Thread(target=capture)
    thread.start()
    try:
        api.wait_for(lambda api: len(api.events) > 5)
        assert tracker.flush(5)
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("timeout", [-1, "5", True, float("nan"), None], ids=repr)
def test_a_timeout_is_seconds_or_a_timedelta(tracker, timeout):
    if timeout is None:
        assert tracker.flush(None)
        return
    for wait in (tracker.flush, tracker.shutdown, journy_track.flush):
        with pytest.raises(InvalidArgument, match="timeout must be seconds"):
            wait(timeout)


def test_an_endless_timeout_is_taken(api, tracker):
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(float("inf"))


def test_many_threads_may_flush_at_once(api, tracker):
    answers = []

    def capture_and_flush(number: int) -> None:
        journy_track.track("signed_in", user=f"u{number}")
        answers.append(tracker.flush(10))

    threads = [threading.Thread(target=capture_and_flush, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 8
    assert len(api.events) == 8


# ── aflush ──


def test_aflush_waits_and_lets_the_loop_run(api, tracker):
    api.answer_next(None, delay=0.3)

    async def main() -> tuple[bool, int]:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.01)

        turning = asyncio.create_task(turn())
        journy_track.track("signed_in", user="u1")
        flushed = await journy_track.aflush(5)
        turning.cancel()
        return flushed, turns

    flushed, turns = asyncio.run(main())
    assert flushed
    assert len(api.events) == 1
    assert turns >= 5


def test_aflush_keeps_its_time_in_front_of_a_server_that_hangs(hung):
    async def aflush() -> float:
        began = time.monotonic()
        assert not await hung.aflush(0.3)
        return time.monotonic() - began

    keeps_to(0.3, lambda: asyncio.run(aflush()))


def test_aflush_can_be_cancelled(hung):
    async def main() -> None:
        task = asyncio.create_task(hung.aflush(30))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


@pytest.mark.slow
def test_a_loop_that_is_gone_when_items_are_settled_hurts_nobody(api, tracker):
    api.answer_next(503)
    journy_track.track("signed_in", user="u1")
    assert not asyncio.run(tracker.aflush(0))
    assert tracker.flush(5)


# ── shutdown ──


def test_shutdown_delivers_what_waits_and_ends_the_thread(api, tracker, balance):
    for _ in range(10):
        journy_track.track("signed_in", user="u1")
    assert tracker.shutdown(5)
    assert len(api.events) == 10
    assert not ours()
    assert tracker.closed
    assert balance(tracker, captured=10).delivered == 10


def test_shutdown_keeps_its_time_in_front_of_a_server_that_hangs(hung_server):
    def shutdown() -> float:
        tracker = Tracker(base_url=hung_server, timeout=2)
        tracker.track("signed_in", user="u1")
        began = time.monotonic()
        assert not tracker.shutdown(0.3)
        return time.monotonic() - began

    keeps_to(0.3, shutdown)


@pytest.mark.slow
def test_shutdown_counts_and_says_what_it_could_not_deliver(hung, caplog, balance):
    assert not hung.shutdown(0.3)
    assert balance(hung, captured=2).dropped == {"shutdown": 2}
    assert "2 items could not be delivered in the 0." in caplog.text


def test_after_shutdown_everything_is_counted_as_dropped_and_nothing_is_sent(api, tracker, balance):
    assert tracker.shutdown(5)
    journy_track.track("signed_in", user="u1")
    journy_track.upsert_user(user="u1")
    assert tracker.flush(5)
    assert tracker.shutdown(5)
    assert balance(tracker, captured=2).dropped == {"closed": 2}
    assert not api.requests


def test_what_a_request_brought_after_shutdown_does_not_count_twice(gate, balance):
    tracker = journy_track.configure("a-key", http_client=gate)
    journy_track.track("signed_in", user="u1")
    assert gate.entered.wait(5)
    assert not tracker.shutdown(0.05)
    gate.opened.set()
    for thread in ours():
        thread.join(5)
    assert balance(tracker, captured=1).dropped == {"shutdown": 1}


def test_shutdown_ends_a_worker_that_waits_to_try_again(api, tracker, balance):
    api.answer_next(503, headers={"Retry-After": "200"})
    journy_track.track("signed_in", user="u1")
    api.wait_for(lambda api: api.requests)
    assert not tracker.shutdown(0.2)
    for thread in ours():
        thread.join(1)
    assert not ours()
    assert balance(tracker, captured=1).dropped == {"shutdown": 1}


def test_no_thread_of_ours_stays_when_the_server_answers_after_shutdown(hung_server):
    tracker = journy_track.configure(base_url=hung_server, timeout=0.5)
    journy_track.track("signed_in", user="u1")
    assert not tracker.shutdown(0.1)
    for thread in ours():
        thread.join(5)
    assert not ours()


# ── The worker's thread ──


def test_the_thread_starts_with_the_first_item(api, tracker):
    assert not ours()
    journy_track.track("signed_in", user="u1")
    assert len(ours()) == 1
    assert ours()[0].daemon
    assert tracker.flush(5)


def test_a_thread_that_cannot_start_loses_nothing(api, tracker, balance, monkeypatch):
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        journy_track.track("signed_in", user="u1")
        assert not ours()
    journy_track.track("signed_out", user="u1")
    assert len(ours()) == 1
    assert tracker.flush(5)
    assert balance(tracker, captured=2).delivered == 2


def test_without_any_thread_flush_sends_by_itself_and_keeps_its_time(hung_server, monkeypatch, balance):
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    tracker = journy_track.configure(base_url=hung_server)
    journy_track.track("signed_in", user="u1")

    def flush() -> None:
        assert not tracker.flush(0.3)

    keeps_to(0.3, flush)
    assert balance(tracker, captured=1).queued == 1


def test_eight_threads_that_come_first_start_one(api, tracker):
    start = threading.Barrier(8)

    def capture() -> None:
        start.wait()
        journy_track.track("signed_in", user="u1")

    threads = [threading.Thread(target=capture) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ours()) == 1
    assert tracker.flush(5)
    assert len(api.events) == 8


@pytest.mark.slow
def test_an_event_after_a_long_silence_is_sent_without_being_asked_for(api, tracker):
    journy_track.track("signed_in", user="u1")
    api.wait_for(lambda api: len(api.events) == 1)
    threading.Event().wait(2.5)  # longer than the worker's polling interval: now it sleeps
    journy_track.track("signed_out", user="u1")
    api.wait_for(lambda api: len(api.events) == 2, timeout=0.5)


def test_a_tracker_that_was_never_made_can_be_shown():
    assert repr(Tracker.__new__(Tracker)) == "<journy_track.Tracker not made>"


def test_what_is_captured_after_the_end_is_logged_once(tracker, caplog):
    tracker.shutdown(0)
    for _ in range(3):
        journy_track.track("too_late", user="u1")
    assert tracker.stats().dropped == {"closed": 3}
    assert caplog.text.count("an item was captured after shutdown()") == 1
