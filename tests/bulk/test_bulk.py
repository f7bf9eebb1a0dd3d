"""`bulk()`: verbs wait for room in the queue, leaving the block waits for delivery, and the report adds up."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import journy_track
from journy_track import InvalidArgument, JournyError, Report, Tracker
from journy_track._capture.context import Change, enter, leave
from journy_track._capture.request import RequestCell
from tests.timing import eventually

KEY = "test-key-0123456789"


@pytest.fixture
def small(api):
    """A tracker with a queue of ten items."""
    return journy_track.configure(KEY, base_url=api.url, queue_size=10)


def test_what_a_full_queue_would_drop_waits_for_room(api, small):
    with journy_track.bulk() as job:
        for number in range(200):
            journy_track.track("counted", user="u1", number=number)
    assert len(api.events) == 200
    assert job.report.captured == job.report.delivered == 200
    assert job.report.ok
    assert not job.report.dropped


def test_without_it_a_full_queue_drops(gate, tracker):
    full = Tracker(KEY, base_url="http://127.0.0.1:1", queue_size=10, http_client=gate, shutdown_timeout=0)
    for _ in range(50):
        full.track("counted", user="u1")
    assert full.stats().dropped["queue_full"] >= 40


def test_memory_stays_within_the_bound(gate, api):
    tracker = journy_track.configure(KEY, base_url=api.url, queue_size=10, http_client=gate)
    most = []

    def open_once_full() -> None:
        eventually(lambda: tracker.stats().queued + tracker.stats().in_flight == 10)
        most.append(tracker.stats().captured)
        gate.opened.set()

    opener = threading.Thread(target=open_once_full)
    opener.start()
    with journy_track.bulk() as job:
        for number in range(40):
            journy_track.track("counted", user=f"u{number}")
    opener.join()
    assert most == [10]
    assert job.report.delivered == 40


def test_an_item_that_never_fits_is_dropped_at_once(api):
    journy_track.configure(KEY, base_url=api.url, queue_bytes=4096)
    with journy_track.bulk() as job:
        journy_track.upsert_user(user="u1", text="x" * 20_000)
    assert job.report.dropped == {"queue_full": 1}
    assert not job.report.ok


def test_a_pool_waits_where_its_function_carries_the_context(api, small):
    def count(number: int) -> None:
        journy_track.track("counted", user=f"u{number}")

    with journy_track.bulk() as job, ThreadPoolExecutor(4) as pool:
        list(pool.map(journy_track.in_context(count), range(100)))
    assert job.report.delivered == 100


def test_nested_blocks_each_report_their_own(api, small):
    with journy_track.bulk() as outer:
        journy_track.track("before", user="u1")
        with journy_track.bulk() as inner:
            for _ in range(20):
                journy_track.track("inside", user="u1")
        assert (inner.report.captured, inner.report.waiting) == (20, 0)
    assert outer.report.delivered == 21


def test_an_exception_passes_at_once_and_what_was_captured_goes_on(gate, api):
    tracker = journy_track.configure(KEY, base_url=api.url, http_client=gate)
    with pytest.raises(ZeroDivisionError), journy_track.bulk() as job:
        journy_track.track("counted", user="u1")
        raise ZeroDivisionError
    assert job.report.waiting == 1
    gate.opened.set()
    assert tracker.flush(10)


def test_ctrl_c_while_leaving_ends_the_wait_and_says_how_to_go_on(gate, api, caplog):
    journy_track.configure(KEY, base_url=api.url, http_client=gate)
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        assert gate.entered.wait(30)
        signal.pthread_kill(main, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt), journy_track.bulk() as job:
        journy_track.track("counted", user="u1")
    interrupter.join()
    gate.opened.set()
    assert job.report.stopped == "Ctrl-C"
    assert job.report.waiting == 1
    assert "To send the rest, run it again" in caplog.text


def test_where_nothing_is_settled_it_does_not_wait_for_ever(hung_server, caplog):
    journy_track.configure(KEY, base_url=hung_server, queue_size=5, shutdown_timeout=0)
    with journy_track.bulk(patience=0.5) as job:
        for number in range(20):
            journy_track.track("counted", user=f"u{number}")
    assert job.report.stopped == "nothing was settled for 0.5 s"
    assert job.report.dropped == {"queue_full": 15}
    assert job.report.waiting == 5


def test_a_refused_key_ends_the_wait(api):
    api.answer_next(401, count=50)
    journy_track.configure(KEY, base_url=api.url, queue_size=5, shutdown_timeout=0)
    with journy_track.bulk() as job:
        for number in range(20):
            journy_track.track("counted", user=f"u{number}")
    assert job.report.stopped == "the key is refused"


def test_a_shutdown_meanwhile_ends_the_wait(gate, api):
    tracker = journy_track.configure(KEY, base_url=api.url, queue_size=5, http_client=gate)
    ender = threading.Timer(0.2, lambda: tracker.shutdown(0))
    ender.start()
    with journy_track.bulk() as job:
        for number in range(10):
            journy_track.track("counted", user=f"u{number}")
    ender.join()
    gate.opened.set()
    assert job.report.dropped["closed"] == 5
    assert job.report.dropped["shutdown"] == 5


def test_an_event_loop_is_refused(tracker):
    async def nightly() -> None:
        with journy_track.bulk():
            pass

    with pytest.raises(JournyError, match=r"on an event loop.*asyncio\.to_thread"):
        asyncio.run(nightly())


def test_a_thread_of_an_event_loop_may(api, small):
    def nightly() -> Report:
        with journy_track.bulk() as job:
            for _ in range(30):
                journy_track.track("counted", user="u1")
        return job.report

    async def main() -> Report:
        return await asyncio.to_thread(nightly)

    assert asyncio.run(main()).delivered == 30


def test_a_web_request_is_refused(tracker):
    entry = enter(Change(cell=RequestCell()))
    try:
        with pytest.raises(JournyError, match="in a web request"), journy_track.bulk():
            pass
    finally:
        leave(entry)


def test_a_job_with_a_scope_of_its_own_may(api, small):
    with journy_track.scope(), journy_track.bulk() as job:
        for _ in range(30):
            journy_track.track("counted", user="u1")
    assert job.report.delivered == 30


def test_a_signal_handler_is_refused(tracker):
    raised: list[JournyError] = []

    def handler(number: int, frame: object) -> None:
        try:
            with journy_track.bulk():
                pass
        except JournyError as error:
            raised.append(error)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        eventually(lambda: raised)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert "in a signal handler" in str(raised[0])


def test_a_verb_in_a_signal_handler_drops_inside_the_block(gate, api):
    tracker = journy_track.configure(KEY, base_url=api.url, queue_size=3, http_client=gate, shutdown_timeout=0)
    handled = threading.Event()

    def handler(number: int, frame: object) -> None:
        journy_track.track("interrupted", user="u1")
        handled.set()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with journy_track.bulk() as job:
            for _ in range(3):
                journy_track.track("counted", user="u1")
            os.kill(os.getpid(), signal.SIGUSR1)
            assert handled.wait(10)
            gate.opened.set()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert job.report.dropped == {"queue_full": 1}
    assert tracker.stats().delivered == 3


def test_a_disabled_tracker_waits_for_nothing():
    journy_track.configure(enabled=False)
    with journy_track.bulk() as job:
        journy_track.track("counted", user="u1")
    assert job.report == Report()


def test_before_configure_it_does_nothing_and_warns(caplog):
    with journy_track.bulk() as job:
        journy_track.track("counted", user="u1")
    assert job.report == Report()
    assert "nothing is captured before journy_track.configure()" in caplog.text


def test_a_capturing_test_sees_what_was_captured(journy_events):
    with journy_track.bulk() as job:
        journy_track.track("counted", user="u1")
    journy_events.assert_tracked("counted", user="u1")
    assert job.report.delivered == 1


def test_a_spool_is_waited_for_until_it_is_delivered(api, tmp_path):
    journy_track.configure(KEY, base_url=api.url, spool=tmp_path, queue_size=10)
    with journy_track.bulk() as job:
        for number in range(100):
            journy_track.track("counted", user=f"u{number % 7}")
    assert job.report.delivered == len(api.events) == 100


def test_batches_are_waited_for(api):
    journy_track.configure(write_key="write-key", base_url=api.url, queue_size=100)
    with journy_track.bulk() as job:
        for number in range(1000):
            journy_track.track("counted", user=f"u{number % 7}")
    assert job.report.delivered == 1000


def test_merged_and_unchanged_are_counted_apart(api):
    journy_track.configure(KEY, base_url=api.url, skip_unchanged=60)
    with journy_track.bulk():
        journy_track.upsert_user(user="u1", plan="pro")
    with journy_track.bulk() as job:
        journy_track.upsert_user(user="u1", plan="pro")
    assert (job.report.unchanged, job.report.merged, job.report.delivered) == (1, 0, 0)


def test_what_was_given_up_is_counted_by_reason(api):
    api.answer_next(400)
    journy_track.configure(KEY, base_url=api.url)
    with journy_track.bulk() as job:
        journy_track.track("counted", user="u1")
    assert sum(job.report.given_up.values()) == 1
    assert next(iter(job.report.given_up)).startswith("400")
    assert not job.report.ok


def test_a_fork_inside_leaves_the_parents_items_to_the_parent(api, small):
    with journy_track.bulk() as job:
        journy_track.track("counted", user="u1")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for _ in range(30):
                    journy_track.track("of_the_child", user="u2")
                status = 0 if journy_track.flush(30) and not journy_track.stats().dropped else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert job.report.captured == 1
    assert sorted(event.name for event in api.events) == ["counted"] + ["of_the_child"] * 30


def test_a_wrong_patience_raises():
    with pytest.raises(InvalidArgument, match="patience must be seconds"):
        journy_track.bulk(patience=-1)
