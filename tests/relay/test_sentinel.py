"""A primary behind sentinels: real ones, and a real failover."""

from __future__ import annotations

import signal

import pytest
import redis

import journy_track
from journy_track._model.broker import BrokerError, Message
from journy_track._model.secret import Secret
from journy_track._stores.redis.broker import RedisBroker
from journy_track._transport import broker as transports

from .conftest import NAMES, RedisServer, until

#: Seconds that a failover may take: sentinels wait for one another.
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def _all_is_accounted_for(accounts, monkeypatch):
    monkeypatch.setattr(transports, "MAX_PAUSE", 0.2)


@pytest.fixture
def watched(broker, redis_server):
    """Return a primary, a replica and three sentinels, with the URL that names the sentinels."""
    broker.client.config_set("repl-diskless-sync-delay", 0)
    replica = redis_server().start("--replicaof", "127.0.0.1", str(broker.port))
    until(lambda: replica.client.info("replication").get("master_link_status") == "up", "the replica follows")
    sentinels = [redis_server().start_sentinel(watches=broker) for _ in range(3)]
    for sentinel in sentinels:
        until(lambda one=sentinel: knows_the_others(one), "the sentinels know one another", PATIENCE)
    hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
    return broker, replica, sentinels, f"redis+sentinel://{hosts}/shop"


def knows_the_others(sentinel: RedisServer) -> bool:
    state = sentinel.client.sentinel_masters()["shop"]
    return state["num-other-sentinels"] == 2 and state["num-slaves"] == 1


def names(broker: RedisServer) -> list[str]:
    return [message["body"]["name"] for message in broker.messages()]


def test_producers_and_relays_follow_the_sentinels_through_a_failover(api, watched, relay):
    primary, replica, _, url = watched
    tracker = journy_track.configure(broker=url)
    journy_track.track("before", user="u1")
    assert tracker.flush(20)
    until(lambda: names(replica) == ["before"], "the replica has it")
    primary.kill()
    journy_track.track("meanwhile", user="u1")
    assert not tracker.flush(0.2)
    assert tracker.flush(PATIENCE)
    assert names(replica) == ["before", "meanwhile"]
    made = relay(url=url)
    assert tracker.flush(PATIENCE, delivered=True)
    assert [event.name for event in api.events] == ["before", "meanwhile"]
    assert made.status().trouble is None
    assert tracker.shutdown(5)


def test_a_primary_that_lives_on_as_a_replica_is_left(watched):
    primary, replica, sentinels, url = watched
    tracker = journy_track.configure(broker=url)
    journy_track.track("before", user="u1")
    assert tracker.flush(20)
    until(lambda: names(replica) == ["before"], "the replica has it")
    until(lambda: fails_over(sentinels[0]), "it fails over", PATIENCE)
    until(lambda: primary.client.info("replication")["role"] == "slave", "it is a replica now", PATIENCE)
    journy_track.track("behind", user="u1")
    assert tracker.flush(PATIENCE)
    assert names(replica) == ["before", "behind"]
    assert tracker.shutdown(5)


def fails_over(sentinel: RedisServer) -> bool:
    try:
        return bool(sentinel.client.execute_command("SENTINEL", "FAILOVER", "shop"))
    except redis.ResponseError:  # not ready yet
        return False


def test_a_sentinel_that_is_down_or_hangs_is_passed_over(watched):
    _, _, sentinels, url = watched
    sentinels[0].kill()
    sentinels[1].send(signal.SIGSTOP)
    producer = RedisBroker(Secret(url))
    assert producer.publish([Message(1, "1")]) == 1
    assert not producer.is_empty()
    producer.close()


@pytest.mark.parametrize("service", ["other", None])
def test_a_service_that_no_sentinel_knows_is_named_without_a_password(watched, service, canary):
    _, _, sentinels, url = watched
    url = url.replace("//", f"//:{canary}@") + f"?sentinel_password={canary}"
    if service is None:
        for sentinel in sentinels:
            sentinel.kill()
    producer = RedisBroker(Secret(url.replace("/shop", f"/{service or 'shop'}")))
    with pytest.raises(
        BrokerError, match=r"Authentication|no sentinel that can be reached knows a primary"
    ) as refused:
        producer.publish([Message(1, "1")])
    assert canary not in str(refused.value)
    producer.close()


def test_the_lease_is_with_the_primary(watched, relay):
    primary, _, _, url = watched
    relay(url=url, lease=2.0)
    until(lambda: primary.client.get(NAMES.lease), "it leads")
