"""Huey."""

import os

import bodies
from huey import RedisHuey

from journy_track.integrations.huey import instrument_huey

huey = instrument_huey(RedisHuey("jobs", url=os.environ["REDIS_URL"]))


def parent(number: int) -> None:
    with bodies.whom_it_finds(number):
        send("work", number)


registered = {
    function.__name__: huey.task(retries=2)(function)
    for function in (bodies.work, bodies.tries, bodies.tries_for_nobody, bodies.leaves_a_user, bodies.nobody, parent)
}


def send(name: str, number: int) -> None:
    registered[name](number)
