"""The bounded queue: what it holds, what it drops, and that it never blocks."""

from __future__ import annotations

import gc
import signal
import threading
import time
import tracemalloc

import pytest

import journy_track
from journy_track import Tracker


def saying(caplog: pytest.LogCaptureFixture, part: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if part in record.getMessage()]


def held(gate, **settings) -> Tracker:
    """Return the global tracker, with its worker held in the request of the first event."""
    tracker = journy_track.configure("a-key", http_client=gate, **settings)
    journy_track.track("first", user="u1")
    assert gate.entered.wait(5)
    return tracker


def test_the_newest_is_dropped_when_the_queue_is_full(gate, balance):
    tracker = held(gate, queue_size=5)
    for number in range(10):
        journy_track.track(f"event_{number}", user="u1")
    stats = balance(tracker, captured=11)
    assert (stats.dropped, stats.queued, stats.in_flight) == ({"queue_full": 6}, 4, 1)

    gate.opened.set()
    assert tracker.flush(5)
    assert [b'"event_%d"' % number in body for number, body in enumerate(gate.bodies[1:])] == [True] * 4
    assert balance(tracker, captured=11).delivered == 5


def test_there_is_room_again_once_something_is_settled(gate, balance):
    tracker = held(gate, queue_size=3)
    for _ in range(5):
        journy_track.track("signed_in", user="u1")
    gate.opened.set()
    assert tracker.flush(5)
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert balance(tracker, captured=7).dropped == {"queue_full": 3}


def test_what_the_worker_has_taken_and_not_settled_counts_for_the_bound(desk):
    made = desk(*[503] * 10, queue_size=5)
    made.put_many(5)
    made.turn()
    made.put_many(1)
    stats = made.ledger.stats()
    assert (stats.captured, stats.queued, stats.dropped) == (6, 5, {"queue_full": 1})


def test_the_count_of_dropped_items_is_exact_with_8_threads_at_once(gate, balance):
    tracker = held(gate, queue_size=100)
    start = threading.Barrier(8)

    def capture() -> None:
        start.wait()
        for _ in range(2_000):
            journy_track.track("signed_in", user="u1")

    threads = [threading.Thread(target=capture) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = balance(tracker, captured=16_001)
    # Each thread checks the length before it appends, so each may exceed the bound by one.
    assert 100 <= stats.queued + stats.in_flight <= 108
    gate.opened.set()
    assert tracker.flush(10)
    assert balance(tracker, captured=16_001).delivered == len(gate.bodies)


@pytest.mark.slow
@pytest.mark.parametrize(
    "event",
    [
        {"text": "x" * 10_000},
        {"tags": "x" * 5_000, "more": "x" * 5_000, "at": time},
        {f"key {number:0100}": number for number in range(100)},
        {f"k{number}": 1 for number in range(1000)},
    ],
    ids=["a long text", "texts beside a refused value", "long keys", "many keys"],
)
def test_the_queue_is_bounded_by_bytes(gate, event):
    tracker = held(gate, queue_bytes=200_000)
    for _ in range(1000):
        journy_track.track("signed_in", event, user="u1")
    assert tracker.stats().queued < 40
    gate.opened.set()
    assert tracker.flush(10)


@pytest.mark.slow
def test_a_user_list_counts_by_its_length(gate):
    tracker = held(gate, queue_bytes=200_000)
    journy_track.add_users_to_account("acme", [f"user-{number}" for number in range(100_000)])
    assert tracker.stats().queued < 40
    gate.opened.set()
    assert tracker.flush(10)


def test_metadata_that_items_share_counts_for_each(gate):
    tracker = held(gate, queue_bytes=100_000)
    with journy_track.scope(), journy_track.metadata(page="x" * 5_000):
        journy_track.add_metadata(referrer="x" * 5_000)
        for _ in range(100):
            journy_track.track("signed_in", user="u1")
    assert tracker.stats().queued < 12
    gate.opened.set()
    assert tracker.flush(5)


def small(number: int) -> None:
    journy_track.track("signed_in", user=f"u{number}")


def usual(number: int) -> None:
    who = {"user": f"user-{number}", "account": f"account-{number}"}
    journy_track.track("signed_in", **who, plan=f"pro {number}", seats=1000 + number, source=f"web {number}")


def membership(number: int) -> None:
    journy_track.add_users_to_account(f"a{number}", [f"user-{number}-{one}" for one in range(100)])


def long_id(number: int) -> None:
    journy_track.track("signed_in", user=f"{'u' * 20_000}{number}")


def block_of_a_long_id(number: int) -> None:
    with journy_track.user(f"{'u' * 20_000}{number}"):
        journy_track.track("signed_in")


def request_of_a_long_id(number: int) -> None:
    with journy_track.scope():
        journy_track.set_account(f"{'a' * 20_000}{number}")
        journy_track.track("signed_in", user="u1")


def wide_text(number: int) -> None:
    journy_track.track("signed_in", user="u1", text="\U0001f600" * 8_000 + str(number))


def wide_name(number: int) -> None:
    journy_track.track("\U0001f600" * 8_000 + str(number), user="u1")


def long_keys(number: int) -> None:
    journy_track.track("signed_in", {f"{'k' * 2_000}{number}-{one}": one for one in range(20)}, user="u1")


def many_keys(number: int) -> None:
    journy_track.upsert_user({f"k{one}": f"v{number}-{one}" for one in range(50)}, user=f"u{number}")


def lists(number: int) -> None:
    journy_track.upsert_user(user=f"u{number}", tags=[f"{one}-{number}" for one in range(200)])


@pytest.mark.slow
@pytest.mark.parametrize(
    "capture",
    [
        small,
        usual,
        membership,
        long_id,
        block_of_a_long_id,
        request_of_a_long_id,
        wide_text,
        wide_name,
        long_keys,
        many_keys,
        lists,
    ],
)
def test_what_is_held_takes_about_as_much_as_it_may_whatever_it_is(gate, capture):
    bound = 2 * 1024 * 1024
    tracker = held(gate, queue_bytes=bound)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(2_000):
            capture(number)
            if tracker.stats().dropped:
                break
        deadline = time.monotonic() + 60
        while tracker._pipeline().dispatcher.waiting < tracker.stats().queued:  # until all items are in the outbox
            assert time.monotonic() < deadline
            time.sleep(0.01)
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert tracker.stats().dropped["queue_full"]
    assert 0.3 < taken / bound < 1.4
    tracker.shutdown(0)


def test_bytes_are_given_back_when_items_are_settled(api, balance):
    tracker = journy_track.configure("a-key", base_url=api.url, queue_bytes=64_000)
    for _ in range(20):
        journy_track.track("signed_in", user="u1", text="x" * 10_000)
        assert tracker.flush(5)
    assert balance(tracker, captured=20).delivered == 20


def test_what_was_dropped_is_said_once_a_minute_with_its_count(desk, caplog):
    made = desk(queue_size=1)
    made.put_many(4)
    made.turn()
    made.clock.now += 30
    made.put_many(3)
    made.turn()
    assert [line[:44] for line in saying(caplog, "queue is full")] == ["the queue is full: 3 items were dropped so f"]
    made.clock.now += 31
    made.put_many(3)
    made.turn()
    assert len(saying(caplog, "queue is full: 7 items")) == 1


def test_nothing_is_said_while_nothing_is_dropped(desk, caplog):
    made = desk(queue_size=1)
    made.put()
    made.turn()
    made.clock.now += 61
    made.turn()
    assert not caplog.records


def test_capturing_never_waits_for_a_server_that_does_not_answer(hung_server, balance):
    tracker = journy_track.configure(base_url=hung_server, queue_size=100)
    journy_track.track("signed_in", user="u1")
    slowest = 0.0
    for _ in range(2_000):
        before = time.thread_time()
        began = time.perf_counter()
        journy_track.track("signed_in", user="u1")
        # Do not count CPU time that other threads and processes used.
        slowest = max(slowest, min(time.perf_counter() - began, time.thread_time() - before + 0.05))
    assert slowest < 0.1
    assert balance(tracker, captured=2_001).dropped == {"queue_full": 1_901}


@pytest.mark.slow
def test_capturing_in_a_signal_handler_that_interrupts_capturing_loses_nothing(api, balance):
    # Catches: a lock in the capture path, or a counter with a separate read and write.
    tracker = journy_track.configure("a-key", base_url=api.url, queue_size=1_000)
    interruptions = 0

    def handle(*_: object) -> None:
        nonlocal interruptions
        interruptions += 1
        journy_track.track("interrupted", user="handler")

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    captured = 0
    try:
        while interruptions < 300:
            journy_track.track("signed_in", user="u1")
            captured += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    balance(tracker, captured=captured + interruptions)


@pytest.mark.slow
def test_capturing_in_a_finaliser_loses_nothing(gate, balance):
    class Tracked:
        def __init__(self) -> None:
            self.itself = self  # a cycle: the garbage collector runs the finaliser, wherever it starts

        def __del__(self) -> None:
            journy_track.track("finalised", user="u1")

    tracker = held(gate, queue_size=1_000)
    threshold = gc.get_threshold()
    gc.set_threshold(5)
    try:
        for _ in range(2_000):
            Tracked()
            journy_track.track("made", user="u1")
    finally:
        gc.set_threshold(*threshold)
    deadline = time.monotonic() + 20
    while tracker.stats().captured < 4_001 and time.monotonic() < deadline:
        gc.collect()  # does nothing while the collector runs in another thread
    balance(tracker, captured=4_001)


def test_a_million_events_for_a_server_that_hangs_leave_memory_flat(hung_server, run_program):
    done = run_program(
        """
        import resource, sys
        import journy_track

        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * resource.getpagesize() / 1e6

        tracker = journy_track.configure(base_url=sys.argv[1], shutdown_timeout=0.2)
        for number in range(12_000):
            journy_track.track("signed_in", user=f"u{number}", theme="dark", number=number)
        full = resident()
        for number in range(1_000_000 - 12_000):
            journy_track.track("signed_in", user=f"u{number}", theme="dark", number=number)
        print(resident() - full)
        stats = tracker.stats()
        counted = stats.delivered + stats.given_up + sum(stats.dropped.values()) + stats.queued + stats.in_flight
        assert stats.captured == counted == 1_000_000, stats
        # The one that the worker is just taking may be counted nowhere for a moment.
        assert 10_000 <= stats.queued + stats.in_flight <= 10_001, stats
        """,
        hung_server,
    )
    assert done.status == 0, done.err
    assert float(done.out) < 20
