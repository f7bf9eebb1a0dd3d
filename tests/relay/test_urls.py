"""What a broker URL may contain: other schemes, and redis-py options that other clients use."""

from __future__ import annotations

import json

import pytest

import journy_track
from journy_track._model.broker import BrokerError, Message
from journy_track._model.broker_url import sentinels_of
from journy_track._model.secret import Secret
from journy_track._stores.redis.broker import RedisBroker
from journy_track._stores.redis.connection import RedisConnection
from journy_track._stores.redis.stream import RelayQueue

from .conftest import NAMES

OPTIONS = [
    "decode_responses=True",
    "encoding=utf-16",
    "encoding_errors=replace&encoding=ascii",
    "protocol=3",
    "protocol=3&decode_responses=True&legacy_responses=False",
    "max_connections=1",
    "retry_on_timeout=True&retry_on_error=x",
    "health_check_interval=1&socket_keepalive=True&client_name=shop",
    "lib_name=shop&lib_version=1",
]


@pytest.mark.parametrize("options", OPTIONS)
def test_options_of_redis_py_in_a_url_change_nothing_of_what_is_delivered(api, broker, relay, options):
    url = f"{broker.url}?{options}"
    tracker = journy_track.configure(broker=url)
    journy_track.track("paid", user="é", price="5 €")
    assert tracker.flush(20)
    assert not tracker.flush(0.1, delivered=True)
    relay(url=url)
    assert tracker.flush(20, delivered=True)
    (event,) = api.events
    assert (event.name, event.user, event.metadata["price"]) == ("paid", {"userId": "é"}, "5 €")
    assert broker.letters() == []


def test_dead_letters_are_kept_and_put_back_whatever_the_url_says(broker):
    queue = RelayQueue(Secret(f"{broker.url}?decode_responses=True&encoding=utf-16"), lease=5)
    letter = json.dumps({"message": '{"v": 1, "name": "é"}'}, ensure_ascii=False)
    broker.client.xadd(NAMES.dead, {"m": letter})
    assert queue.retry_dead() == 1
    assert broker.messages() == [{"v": 1, "name": "é"}]
    queue.close()


@pytest.mark.parametrize(
    "option",
    ["credential_provider=x", "redis_connect_func=x", "parser_class=x", "connection_class=x", "nonsense=1",
     "socket_timeout=0", "socket_timeout=nan", "socket_connect_timeout=-1", "socket_timeout=x"],
)  # fmt: skip
def test_options_that_would_fail_later_are_refused_at_once(option):
    with pytest.raises(journy_track.ConfigurationError, match="one of its options"):
        journy_track.Tracker(broker=f"redis://127.0.0.1:1/0?{option}")


@pytest.mark.parametrize(("asked", "taken"), [("", 1.0), ("?socket_timeout=3", 3.0), ("?socket_timeout=60", 5.0)])
def test_a_url_may_ask_for_more_time_within_a_bound(asked, taken):
    connection = RedisConnection(Secret(f"redis://127.0.0.1:1/0{asked}"))
    assert connection._client.connection_pool.connection_kwargs["socket_timeout"] == taken


def test_valkey_urls_are_those_of_redis(broker):
    producer = RedisBroker(Secret(broker.url.replace("redis:", "valkey:")))
    assert producer.publish([Message(1, "1")]) == 1
    assert broker.messages() == [1]
    producer.close()


@pytest.mark.parametrize(
    ("url", "secured"),
    [("redis://h/2", False), ("rediss://h/2", True), ("valkey://h/2", False), ("valkeys://h/2", True)],
)
def test_a_scheme_with_a_double_s_is_tls(url, secured):
    pool = RedisConnection(Secret(url))._client.connection_pool
    assert ("SSL" in pool.connection_class.__name__) is secured
    assert pool.connection_kwargs["db"] == 2


@pytest.mark.parametrize(
    ("url", "hosts", "service", "database"),
    [
        ("redis+sentinel://one:1,two/shop", (("one", 1), ("two", 26379)), "shop", ""),
        ("rediss+sentinel://u:p%40@[::1]:5/my-shop.1/3?queue=x", (("::1", 5),), "my-shop.1", "3"),
    ],
)
def test_a_url_of_sentinels_names_them_and_their_service(url, hosts, service, database):
    assert sentinels_of(url) == (hosts, service, database)


def test_a_url_of_sentinels_holds_what_each_connection_needs():
    url = "rediss+sentinel://u:p%40@one:1/shop/3?sentinel_username=s&sentinel_password=q&ssl_ca_certs=/ca&queue=x"
    connection = RedisConnection(Secret(url))
    primary = connection._client.connection_pool
    sentinel = connection._sentinel.sentinels[0].connection_pool
    seen = [
        {name: pool.connection_kwargs.get(name) for name in ("username", "password", "db", "ssl_ca_certs")}
        for pool in (primary, sentinel)
    ]
    assert seen == [
        {"username": "u", "password": "p@", "db": 3, "ssl_ca_certs": "/ca"},
        {"username": "s", "password": "q", "db": 0, "ssl_ca_certs": "/ca"},
    ]
    assert "SSL" in primary.connection_class.__name__
    assert "SSL" in sentinel.connection_class.__name__
    assert connection.hosts == ("one",)


@pytest.mark.parametrize(
    "url",
    ["redis+sentinel://h:1", "redis+sentinel://h:1/", "redis+sentinel:///shop", "redis+sentinel://h:0/shop",
     "redis+sentinel://h:x/shop", "redis+sentinel://h:1,/shop", "redis+sentinel://h:1/shop/x", "redis+sentinel://h:1/a/1/2",
     "redis+sentinel://:{}/x@h:1/shop", "redis://h:1,i:2/0", "sentinel://h:1/shop"],
)  # fmt: skip
def test_a_url_of_sentinels_that_is_none_is_refused_with_its_form(url, canary):
    with pytest.raises(journy_track.ConfigurationError, match="broker must be a URL of redis://") as refused:
        journy_track.Tracker(broker=url.format(canary))
    assert canary not in str(refused.value)
    if url.startswith("redis+sentinel"):
        assert "redis+sentinel://host:port,host:port/service/database" in str(refused.value)


def test_a_sentinel_that_is_taken_for_a_redis_is_named(absent_broker):
    absent_broker.start_sentinel()
    producer = RedisBroker(Secret(absent_broker.url))
    with pytest.raises(BrokerError, match=r"it is a sentinel: write redis\+sentinel://"):
        producer.publish([Message(1, "x")])
    producer.close()


def test_the_pytest_plugin_refuses_sentinels_elsewhere():
    producer = RedisBroker(Secret("redis+sentinel://127.0.0.1:1,sentinel.example:2/shop"))
    with pytest.raises(BrokerError, match=r"sentinel\.example"):
        producer.publish([Message(1, "x")])
    producer.close()
