"""Apps whose broker is absent, hangs, is full or returns: they keep running, and every item is counted once."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic

import pytest

import journy_track
from journy_track import Tracker
from journy_track._model.secret import Secret
from journy_track._stores.redis.broker import RedisBroker
from journy_track._transport import broker as transports

from ..timing import keeps_to
from .conftest import RedisServer, until


@pytest.fixture(autouse=True)
def _all_is_accounted_for(accounts, monkeypatch):
    """After each test, check that every item is in exactly one count. A failed broker is retried soon."""
    monkeypatch.setattr(transports, "MAX_PAUSE", 0.5)


def configure(broker: RedisServer, **settings) -> Tracker:
    return journy_track.configure(broker=broker.url, **settings)


def names(broker: RedisServer) -> list[str]:
    return [message["body"]["name"] for message in broker.messages()]


def track(first: int, last: int) -> list[str]:
    made = [f"event_{number}" for number in range(first, last)]
    for name in made:
        journy_track.track(name, user="u1")
    return made


def flush_in_vain(tracker: Tracker, *, delivered: bool) -> None:
    assert not tracker.flush(0.3, delivered=delivered)


def test_items_are_published_in_the_order_of_capture_and_no_key_is_needed(broker, balance):
    tracker = configure(broker)
    made = track(0, 250)
    assert tracker.flush(20)
    assert names(broker) == made
    stats = balance(tracker, 250)
    assert (stats.published, stats.delivered) == (250, 0)
    assert tracker.recent()[-1].outcome == "published"
    assert tracker.health().ok


def test_a_message_is_json_with_a_version_the_call_its_time_and_the_body_of_the_api(broker):
    tracker = configure(broker)
    journy_track.track("paid", user="u1", account="acme", amount=10)
    journy_track.upsert_user(user="u1", plan="pro", gone=None)
    assert tracker.flush(20)
    event, upsert = broker.messages()
    assert set(event) == {"v", "operation", "captured_at", "id", "body"}
    assert event["id"] != upsert["id"]
    assert (event["v"], event["operation"]) == (1, "track")
    assert event["captured_at"][-1] == "Z"
    assert event["body"] == {
        "name": "paid",
        "identification": {"user": {"userId": "u1"}, "account": {"accountId": "acme"}},
        "triggeredAt": event["captured_at"],
        "metadata": {"amount": 10},
    }
    assert upsert["operation"] == "upsert_user"
    assert upsert["body"] == {"identification": {"userId": "u1"}, "properties": {"plan": "pro", "gone": None}}


def test_a_broker_that_is_down_at_the_start_gets_everything_once_it_is_there(absent_broker, balance):
    tracker = configure(absent_broker)
    began = monotonic()
    made = track(0, 150)
    assert monotonic() - began < 20
    assert not tracker.flush(0.5)
    assert balance(tracker, 150).published == 0
    absent_broker.start()
    assert tracker.flush(20)
    assert names(absent_broker) == made


def test_a_broker_that_is_killed_and_comes_back_has_all_that_it_took(broker, balance):
    tracker = configure(broker)
    made = track(0, 50)
    assert tracker.flush(20)
    broker.kill()
    made += track(50, 100)
    assert not tracker.flush(0.5)
    assert balance(tracker, 100).published == 50
    broker.start()
    assert tracker.flush(20)
    assert names(broker) == made
    assert balance(tracker, 100).published == 100


def test_a_broker_that_is_gone_for_good_costs_the_timeout_and_what_is_lost_is_counted(absent_broker, balance):
    tracker = configure(absent_broker, queue_size=100)
    track(0, 150)
    began = monotonic()
    assert not tracker.flush(0.5)
    assert not tracker.shutdown(0.5)
    assert monotonic() - began < 20
    dropped = balance(tracker, 150).dropped
    assert dropped == {"queue_full": 50, "shutdown": 100}


def test_a_broker_that_hangs_holds_nobody_beyond_the_timeout(broker, balance):
    tracker = configure(broker)
    track(0, 10)
    assert tracker.flush(20)
    broker.send(signal.SIGSTOP)
    track(10, 20)
    for delivered in (False, True):
        keeps_to(0.3, partial(flush_in_vain, tracker, delivered=delivered))
    assert balance(tracker, 20).published == 10
    broker.send(signal.SIGCONT)
    assert tracker.flush(20)
    assert names(broker) == [f"event_{number}" for number in range(20)]


def test_flush_until_delivered_keeps_its_timeout_though_the_broker_hangs_after_it_took_all(broker):
    tracker = configure(broker)
    track(0, 10)
    assert tracker.flush(20)
    assert not tracker.flush(0.3, delivered=True)  # no relay is running
    broker.send(signal.SIGSTOP)
    keeps_to(0.3, partial(flush_in_vain, tracker, delivered=True))


def test_past_the_brokers_limit_producers_keep_what_was_refused(broker, balance):
    tracker = journy_track.configure(broker=RedisBroker(Secret(broker.url), max_waiting=20))
    made = track(0, 50)
    assert not tracker.flush(1)
    assert names(broker) == made[:20]
    stats = balance(tracker, 50)
    assert (stats.published, stats.queued + stats.in_flight) == (20, 30)
    broker.client.flushall()  # as if a relay had delivered them
    until(lambda: names(broker) == made[20:40], "there is room again")
    broker.client.flushall()
    assert tracker.flush(20)
    assert names(broker) == made[40:]


def test_with_a_spool_items_wait_on_disk_while_the_broker_is_away(absent_broker, tmp_path, balance):
    tracker = configure(absent_broker, spool=tmp_path / "spool")
    made = track(0, 30)
    assert tracker.flush(20)  # stored on disk
    assert not tracker.flush(0.3, delivered=True)
    assert balance(tracker, 30).spooled == 30
    absent_broker.start()
    until(lambda: tracker.stats().published == 30, "they leave the disk")
    assert balance(tracker, 30).spooled == 0
    assert names(absent_broker) == made
    assert tracker.shutdown(20)
    journy_track.configure(broker=absent_broker.url, spool=tmp_path / "spool")
    assert journy_track.flush(20)
    assert names(absent_broker) == made  # nothing is left on disk


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_publishes_what_is_its_own(broker):
    tracker = configure(broker)
    made = track(0, 5)
    assert tracker.flush(20)
    child = os.fork()
    if not child:
        track(5, 10)
        os._exit(0 if journy_track.flush(20) else 1)
    made += track(10, 15)
    assert tracker.flush(20)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sorted(names(broker)) == sorted([*made, *(f"event_{number}" for number in range(5, 10))])


def test_the_end_of_a_process_publishes_what_waits(broker, run_program):
    source = """
        import journy_track
        journy_track.configure()
        for number in range(300):
            journy_track.track(f"event_{number}", user="u1")
    """
    done = run_program(source, JOURNY_BROKER_URL=broker.url)
    assert (done.status, done.err) == (0, "")
    assert names(broker) == [f"event_{number}" for number in range(300)]


def test_many_threads_publish_each_item_once(broker, balance):
    tracker = configure(broker)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: track(number * 100, number * 100 + 100), range(8)))
    assert tracker.flush(20)
    assert sorted(names(broker)) == sorted(f"event_{number}" for number in range(800))
    balance(tracker, 800)


# ── The app's own broker ──


class Shelf:
    """An example of a third-party queue."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.closed = False

    def publish(self, messages, /) -> int:
        self.texts += [message.text for message in messages]
        return len(messages)

    def is_empty(self) -> bool:
        return not self.texts

    def close(self) -> None:
        self.closed = True


def test_an_object_can_be_the_broker(balance):
    shelf = Shelf()
    tracker = journy_track.configure(broker=shelf)
    track(0, 3)
    assert tracker.flush(20)
    assert ['"event_' in text for text in shelf.texts] == [True] * 3
    assert not tracker.flush(0.1, delivered=True)
    shelf.texts.clear()
    assert tracker.flush(20, delivered=True)
    assert tracker.shutdown()
    assert shelf.closed
    balance(tracker, 3)


@pytest.mark.parametrize("value", [Shelf, object(), 1, print])
def test_what_is_no_broker_is_refused(value):
    with pytest.raises(journy_track.ConfigurationError, match="publish"):
        journy_track.configure(broker=value)
