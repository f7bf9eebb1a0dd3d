"""Dramatiq."""

import os

import bodies
import dramatiq
from dramatiq.brokers.redis import RedisBroker

from journy_track.integrations.dramatiq import instrument_dramatiq

dramatiq.set_broker(instrument_dramatiq(RedisBroker(url=os.environ["REDIS_URL"])))


def parent(number: int) -> None:
    with bodies.whom_it_finds(number):
        send("work", number)


registered = {
    function.__name__: dramatiq.actor(function, min_backoff=1, max_backoff=1, max_retries=3)
    for function in (bodies.work, bodies.tries, bodies.tries_for_nobody, bodies.leaves_a_user, bodies.nobody, parent)
}


def send(name: str, number: int) -> None:
    registered[name].send(number)
