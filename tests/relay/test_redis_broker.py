"""The Redis broker from a producer's view: what it reports as stored is stored, once and in order."""

from __future__ import annotations

import copy
import random
import signal
import traceback
from time import monotonic
from traceback import TracebackException

import pytest

from journy_track import ConfigurationError, Tracker
from journy_track._model.broker import BrokerError, Message
from journy_track._model.secret import Secret
from journy_track._stores.redis.broker import RedisBroker
from journy_track._stores.redis.connection import RedisConnection
from journy_track._stores.redis.stream import RelayQueue

from .conftest import NAMES, RedisServer


def messages(*numbers: int) -> list[Message]:
    return [Message(number, str(number)) for number in numbers]


def stored(broker: RedisServer) -> list[int]:
    return broker.messages()


@pytest.fixture
def producer(broker):
    made = RedisBroker(Secret(broker.url), max_waiting=10)
    yield made
    made.close()


def test_messages_are_stored_in_order(broker, producer):
    assert producer.publish(messages(1, 2, 3)) == 3
    assert producer.publish(messages(4)) == 1
    assert stored(broker) == [1, 2, 3, 4]


def test_beyond_the_limit_messages_are_refused_and_nothing_is_trimmed(broker, producer):
    assert producer.publish(messages(*range(1, 9))) == 8
    assert producer.publish(messages(9, 10, 11, 12)) == 2
    assert producer.publish(messages(11, 12)) == 0
    assert stored(broker) == list(range(1, 11))
    broker.client.xtrim(NAMES.stream, maxlen=9, approximate=False)  # like a relay that delivered one
    assert producer.publish(messages(11, 12)) == 1
    assert stored(broker) == list(range(2, 12))


def test_a_call_that_timed_out_and_was_carried_out_is_not_stored_twice(broker, producer):
    producer.publish(messages(1))
    broker.send(signal.SIGSTOP)
    with pytest.raises(BrokerError, match=r"[Tt]imeout"):
        producer.publish(messages(2, 3))
    broker.send(signal.SIGCONT)
    assert producer.publish(messages(2, 3, 4)) == 3
    assert stored(broker) == [1, 2, 3, 4]


def test_each_producer_counts_for_itself(broker, producer):
    other = RedisBroker(Secret(broker.url))
    producer.publish(messages(1, 2))
    assert other.publish(messages(1)) == 1
    other.close()
    assert stored(broker) == [1, 2, 1]


def clone(producer: RedisBroker) -> RedisBroker:
    """Return a producer with the same memory and its own connections, as if restored from the same snapshot."""
    twin = copy.copy(producer)
    twin._connection, twin._script = RedisConnection(Secret(producer.url)), None
    twin._calls = list(producer._calls)
    return twin


@pytest.fixture
def snapshot(broker, monkeypatch):
    """Return a producer that can be cloned; random values in the process are the same in each clone."""
    monkeypatch.setattr(random, "random", lambda: 0.5)
    producer = RedisBroker(Secret(broker.url))
    producer.url = broker.url
    return producer


@pytest.mark.parametrize("published_before", [False, True])
def test_what_clones_of_a_snapshot_publish_is_all_stored(broker, snapshot, published_before):
    if published_before:
        assert snapshot.publish(messages(1, 2)) == 2
    clones = [clone(snapshot) for _ in range(3)]
    for number, one in enumerate(clones):
        assert one.publish([Message(3, str(number * 10)), Message(4, str(number * 10 + 1))]) == 2
    assert stored(broker) == [1, 2] * published_before + [0, 1, 10, 11, 20, 21]
    for one in (snapshot, *clones):
        one.close()


def test_what_was_under_way_in_a_snapshot_is_stored_once_and_what_came_later_of_each(broker, snapshot):
    broker.send(signal.SIGSTOP)
    with pytest.raises(BrokerError):
        snapshot.publish(messages(1, 2))
    twin = clone(snapshot)
    broker.send(signal.SIGCONT)
    assert snapshot.publish(messages(1, 2, 3)) == 3
    assert twin.publish([*messages(1, 2), Message(3, "30")]) == 3
    assert stored(broker) == [1, 2, 3, 30]
    snapshot.close(), twin.close()


def test_redis_remembers_no_more_calls_than_may_be_asked_about(broker, producer):
    for number in range(1, 6):
        producer.publish(messages(number))
    assert len(broker.client.keys(f"{NAMES.producer}*")) == 1


def test_it_is_empty_when_what_was_published_has_left(broker, producer):
    assert producer.is_empty()
    producer.publish(messages(1))
    assert not producer.is_empty()
    later = RedisBroker(Secret(broker.url))
    broker.client.xtrim(NAMES.stream, maxlen=0, approximate=False)
    later.publish(messages(1))  # another producer's, and newer
    assert producer.is_empty()
    later.close()


def test_a_hung_broker_holds_a_call_for_seconds_at_most(broker, producer):
    broker.send(signal.SIGSTOP)
    began = monotonic()
    with pytest.raises(BrokerError):
        producer.publish(messages(1))
    assert monotonic() - began < 20


def test_a_broker_that_has_no_memory_left_refuses(broker, producer):
    broker.client.config_set("maxmemory", "1")
    with pytest.raises(BrokerError, match="memory"):
        producer.publish(messages(1))
    broker.client.config_set("maxmemory", "0")
    assert producer.publish(messages(1)) == 1


def test_it_refuses_as_well_what_comes_after_calls_that_ended_well(broker, producer):
    assert producer.publish(messages(1)) == 1
    broker.client.config_set("maxmemory", "1")
    with pytest.raises(BrokerError, match="memory"):
        producer.publish(messages(2))
    assert stored(broker) == [1]
    broker.client.config_set("maxmemory", "0")
    assert producer.publish(messages(2)) == 1
    assert len(broker.client.keys(f"{NAMES.producer}*")) == 1


def test_what_was_stored_survives_a_kill(broker, producer):
    producer.publish(messages(1, 2))
    broker.kill()
    broker.start()
    assert producer.publish(messages(2, 3)) == 2  # Redis still knows what it accepted from which producer
    assert stored(broker) == [1, 2, 3]


def test_a_socket_file_and_a_queue_of_another_name(absent_broker):
    path = absent_broker.folder / "socket"
    absent_broker.start("--unixsocket", str(path))
    url = Secret(f"unix://{path}?queue=staging")
    producer = RedisBroker(url)
    assert producer.publish([Message(1, "x")]) == 1
    producer.close()
    queue = RelayQueue(url, lease=1)
    assert [entry.text for entry in queue.read("", 10)] == ["x"]
    assert absent_broker.client.keys("journy:{staging}*")
    queue.close()


# ── The password ──


@pytest.mark.parametrize(
    "url",
    ["redis://:{}/x@127.0.0.1:1/0", "redis://:{}@127.0.0.1:1x/0", "redis://:{}@127.0.0.1/0?nonsense=1",
     "redis://:{}@127.0.0.1/0?socket_timeout=x", "redis://:{} x@127.0.0.1/0", "rediss://[:{}@127.0.0.1/0"],
)  # fmt: skip
def test_a_url_that_is_none_is_refused_at_once_without_its_password(url, canary):
    with pytest.raises(ConfigurationError, match="broker") as refused:
        Tracker(broker=url.format(canary))
    assert canary not in "".join(traceback.format_exception(refused.value))


def test_the_password_shows_nowhere(absent_broker, canary, shows_no_key, accounts):
    absent_broker.start("--requirepass", "another")
    url = f"redis://:{canary}@127.0.0.1:{absent_broker.port}/0"
    tracker = Tracker(broker=url)
    tracker.track("signed_in", user="u1")
    assert not tracker.flush(1)
    with pytest.raises(BrokerError) as refused:
        RedisBroker(Secret(url)).publish(messages(1))
    ours = [
        repr(frame.locals) for frame in TracebackException.from_exception(refused.value, capture_locals=True).stack
    ]
    shows_no_key += [str(refused.value), *ours[1:], RelayQueue(Secret(url), lease=1)]  # the first is this function
    assert "AuthenticationError" in str(refused.value)
    assert not tracker.shutdown(0.1)
