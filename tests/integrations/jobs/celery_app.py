"""Celery."""

import os

import bodies
from celery import Celery

from journy_track.integrations.celery import instrument_celery

app = instrument_celery(Celery("celery_app", broker=os.environ["REDIS_URL"]))
app.conf.update(worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)


def parent(number: int) -> None:
    with bodies.whom_it_finds(number):
        send("work", number)


registered = {
    "work": app.task(bodies.work, name="work"),
    "tries": app.task(bodies.tries, name="tries", autoretry_for=(bodies.Again,), default_retry_delay=0),
    "tries_for_nobody": app.task(
        bodies.tries_for_nobody, name="tries_for_nobody", autoretry_for=(bodies.Again,), default_retry_delay=0
    ),
    "parent": app.task(parent, name="parent"),
    "leaves_a_user": app.task(bodies.leaves_a_user, name="leaves_a_user"),
    "nobody": app.task(bodies.nobody, name="nobody"),
}


def send(name: str, number: int) -> None:
    registered[name].delay(number)
