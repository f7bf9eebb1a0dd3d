"""Redis fails over, is slow or refuses writes for a while: everything arrives afterwards, over new connections."""

from __future__ import annotations

import json
from functools import partial

import pytest
import redis

import journy_track
from journy_track._model.broker import BrokerError, Message
from journy_track._model.secret import Secret
from journy_track._stores.redis.broker import RedisBroker
from journy_track._stores.redis.stream import RelayQueue
from journy_track._transport import broker as transports

from ..conftest import PLENTY
from .conftest import NAMES, RedisServer, until


@pytest.fixture(autouse=True)
def _all_is_accounted_for(accounts, monkeypatch):
    monkeypatch.setattr(transports, "MAX_PAUSE", 0.2)


def names(broker: RedisServer) -> list[str]:
    return [message["body"]["name"] for message in broker.messages()]


def in_sync(replica: RedisServer) -> bool:
    return replica.client.info("replication").get("master_link_status") == "up"


@pytest.fixture
def failing_over(broker, redis_server, forward):
    """Return an address that leads to a primary, and a function that promotes a replica and redirects the address."""
    broker.client.config_set("repl-diskless-sync-delay", 0)
    replica = redis_server().start("--replicaof", "127.0.0.1", str(broker.port))
    until(partial(in_sync, replica), "the replica follows")
    name = forward(broker)

    def fail_over() -> RedisServer:
        until(lambda: replica.messages() == broker.messages(), "the replica has seen all")
        replica.client.replicaof("NO", "ONE")
        broker.client.replicaof("127.0.0.1", replica.port)
        name.target = replica.port
        return replica

    return name, fail_over


def test_after_a_failover_a_producer_publishes_to_the_new_primary(failing_over, caplog):
    name, fail_over = failing_over
    tracker = journy_track.configure(broker=name.url)
    journy_track.track("before", user="u1")
    assert tracker.flush(20)
    primary = fail_over()
    journy_track.track("behind", user="u1")
    assert tracker.flush(20)
    assert names(primary) == ["before", "behind"]
    assert "it is a replica, perhaps after a failover: the address is looked up again" in caplog.text
    assert tracker.shutdown(5)


def test_after_a_failover_a_relay_leads_at_the_new_primary(api, failing_over, relay):
    name, fail_over = failing_over
    made = relay(url=name.url, lease=1.0)
    until(lambda: made.status().role == "active", "it leads")
    primary = fail_over()
    primary.client.xadd(NAMES.stream, {"m": one_message("behind")})
    until(lambda: [event.name for event in api.events] == ["behind"], "it is delivered")
    until(lambda: primary.client.xlen(NAMES.stream) == 0, "it is settled")
    assert primary.client.get(NAMES.lease)


def test_after_a_failover_a_relay_that_stands_by_leads_at_the_new_primary(failing_over, relay):
    name, fail_over = failing_over
    first = RelayQueue(Secret(name.url), lease=60)
    assert first.acquire()
    standing_by = relay(url=name.url, lease=1.0)
    until(lambda: name.connections >= 2, "both are connected")
    primary = fail_over()
    primary.client.delete(NAMES.lease)
    until(lambda: standing_by.status().role == "active", "it leads")
    first.close()


def one_message(name: str) -> str:
    body = {"name": name, "identification": {"user": {"userId": "u1"}}}
    return json.dumps({"v": 1, "operation": "track", "body": body})


def test_a_redis_that_cannot_save_refuses_and_is_tried_again(broker, caplog):
    # Like a full disk: the folder is gone, and the append-only file is off.
    broker.client.config_set("appendonly", "no")
    broker.client.config_set("save", "1 1")
    tracker = journy_track.configure(broker=broker.url)
    journy_track.track("first", user="u1")
    assert tracker.flush(20)
    for path in sorted(broker.folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    broker.folder.rmdir()
    until(lambda: broker.client.info("persistence")["rdb_last_bgsave_status"] == "err", "it cannot save", 60)
    journy_track.track("second", user="u1")
    assert not tracker.flush(0.5)
    assert "MISCONF" in caplog.text
    broker.client.config_set("stop-writes-on-bgsave-error", "no")
    assert tracker.flush(20)
    assert names(broker) == ["first", "second"]
    broker.folder.mkdir()


def test_a_replica_whose_primary_is_away_is_tried_again(broker, redis_server):
    replica = redis_server().start("--replicaof", "127.0.0.1", "1")
    replica.client.config_set("replica-serve-stale-data", "no")
    producer = RedisBroker(Secret(replica.url))
    with pytest.raises(BrokerError, match="Link with MASTER is down"):
        producer.publish([Message(1, "x")])
    replica.client.replicaof("NO", "ONE")
    assert producer.publish([Message(1, '"x"')]) == 1
    producer.close()


@pytest.mark.parametrize("login", ["", ":wrong@"])
def test_a_wrong_password_is_named_and_tried_again(broker, login):
    producer = RedisBroker(Secret(broker.url.replace("//", f"//{login}")))
    broker.client.config_set("requirepass", "right")
    with pytest.raises(BrokerError, match="AuthenticationError"):
        producer.publish([Message(1, "x")])
    admin = redis.Redis(port=broker.port, password="right")
    admin.config_set("requirepass", login.strip(":@"))
    assert producer.publish([Message(1, '"x"')]) == 1
    producer.close(), admin.close()


def test_a_redis_cluster_is_refused_with_the_reason(redis_server, caplog):
    cluster = redis_server().start("--cluster-enabled", "yes", "--appendonly", "no")
    tracker = journy_track.configure(broker=cluster.url)
    journy_track.track("kept", user="u1")
    assert not tracker.flush(0.5)
    assert "it is a Redis Cluster, which is not supported" in caplog.text
    assert tracker.stats().queued + tracker.stats().in_flight == 1
    assert not tracker.shutdown(0)


def test_a_redis_cluster_that_does_not_say_so_is_refused_where_it_says_moved(redis_server):
    cluster = redis_server().start("--cluster-enabled", "yes", "--appendonly", "no")
    cluster.client.execute_command("ACL", "SETUSER", "default", "-info")
    producer = RedisBroker(Secret(cluster.url))
    with pytest.raises(BrokerError, match="it is a Redis Cluster, which is not supported"):
        producer.publish([Message(1, "x")])
    producer.close()


# ── A slow network ──

#: Bytes per second, and a payload too large for one call at that rate.
RATE, LARGE = 1_000_000, "x" * 20_000


def test_large_items_make_progress_over_a_slow_connection(broker, forward):
    tracker = journy_track.configure(broker=forward(broker, RATE).url)
    for number in range(200):
        journy_track.track(f"event_{number}", user="u1", text=LARGE)
    assert tracker.flush(30)
    assert names(broker) == [f"event_{number}" for number in range(200)]
    assert tracker.shutdown(5)


def test_a_call_that_takes_too_long_is_made_smaller(broker, forward):
    tracker = journy_track.configure(broker=forward(broker, 100_000).url)
    for number in range(20):
        journy_track.track(f"event_{number}", user="u1", text=LARGE)
    assert tracker.flush(40)
    assert names(broker) == [f"event_{number}" for number in range(20)]
    assert tracker.shutdown(5)


def test_a_relay_reads_and_acknowledges_large_items_over_a_slow_connection(api, broker, forward, relay):
    tracker = journy_track.configure(broker=broker.url)
    for number in range(200):
        journy_track.track(f"event_{number}", user=f"u{number}", text=LARGE)
    assert tracker.flush(30)
    made = relay(url=forward(broker, RATE).url, lease=4.0)
    until(lambda: broker.client.xlen(NAMES.stream) == 0, "all are delivered", 60)
    assert len(api.events) == 200
    assert made.status().terms == 1
    assert tracker.shutdown(5)


def test_large_dead_letters_are_kept_over_a_slow_connection(api, broker, forward, relay):
    api.answer_next(400, {"message": "bad", "meta": {"requestId": "r", "status": 400}}, headers=PLENTY, count=200)
    tracker = journy_track.configure(broker=broker.url)
    for number in range(150):
        journy_track.track(f"event_{number}", user=f"u{number}", text=LARGE)
    assert tracker.flush(30)
    made = relay(url=forward(broker, RATE).url, lease=4.0)
    until(lambda: broker.client.xlen(NAMES.dead) == 150, "all are dead letters", 60)
    assert made.status().terms == 1
    assert tracker.shutdown(5)
