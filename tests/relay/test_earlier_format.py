"""A stream written by version 0.1.0: a relay delivers it, and its dead letters are counted and put back."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from journy_track._model.secret import Secret
from journy_track._stores.redis.broker import RedisBroker
from journy_track.cli.app import app

from ..conftest import KEY
from ..earlier import AT, MAX_AGE, MESSAGES, REQUESTS, published, requests_of
from .conftest import until

STREAM, DEAD = "journy:{items}:v1", "journy:{items}:v1:dead"


def letter(message: str) -> str:
    told = {
        "message": message,
        "died": AT + 5,
        "reason": "400 Invalid",
        "status": 400,
        "request_id": "r7",
        "fields": {"name": "is empty"},
        "attempts": 2,
    }
    return json.dumps(told, ensure_ascii=False)


def test_what_waits_in_it_is_delivered(api, broker, relay):
    for message in MESSAGES:
        broker.client.xadd(STREAM, {"m": published(message)})
    broker.client.set("journy:{items}:v1:producer:0123456789abcdef01234567", len(MESSAGES), ex=86400)
    made = relay(max_age=MAX_AGE)
    until(lambda: broker.client.xlen(STREAM) == 0, "all is settled")
    assert requests_of(api) == REQUESTS
    stats = made.status().stats
    assert (stats.delivered, stats.given_up, dict(stats.dropped)) == (len(MESSAGES), 0, {})
    assert broker.client.xlen(DEAD) == 0
    assert RedisBroker(Secret(broker.url)).is_empty()


def test_its_dead_letters_are_counted_and_put_back(api, broker, relay, monkeypatch):
    for message in MESSAGES:
        broker.client.xadd(DEAD, {"m": letter(published(message))})
    made = relay()
    until(lambda: made.status().dead_letters == len(MESSAGES), "its dead letters are counted")

    monkeypatch.setenv("JOURNY_API_KEY", KEY)
    ended = CliRunner().invoke(app, ["relay", "--broker", broker.url, "--retry-dead"])
    assert (ended.exit_code, ended.stdout) == (0, f"{len(MESSAGES)} items put back.\n")
    until(lambda: made.status().stats.delivered == len(MESSAGES), "they are delivered, as captured now")
    assert requests_of(api) == REQUESTS
    assert broker.client.xlen(DEAD) == broker.client.xlen(STREAM) == 0
