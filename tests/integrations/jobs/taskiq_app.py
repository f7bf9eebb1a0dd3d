"""Taskiq."""

import asyncio
import os

import bodies
from taskiq import SimpleRetryMiddleware
from taskiq_redis import ListQueueBroker

import journy_track
from journy_track import track_event
from journy_track.integrations.taskiq import instrument_taskiq

broker = instrument_taskiq(ListQueueBroker(os.environ["REDIS_URL"]).with_middlewares(SimpleRetryMiddleware()))


async def parent(number: int) -> None:
    with bodies.whom_it_finds(number):
        await send("work", number)


@track_event("worked", capture=("number",), metadata=lambda call: {"process": os.getpid()})
async def work(number: int) -> None:
    await asyncio.sleep(0)


async def leaves_a_user(number: int) -> None:
    journy_track.set_user("left behind")
    journy_track.user("left behind, too").__enter__()


registered = {
    "work": broker.task("work")(work),
    "tries": broker.task("tries", retry_on_error=True, max_retries=3)(bodies.atries),
    "tries_for_nobody": broker.task("tries_for_nobody", retry_on_error=True, max_retries=3)(bodies.atries_for_nobody),
    "parent": broker.task("parent")(parent),
    "leaves_a_user": broker.task("leaves_a_user")(leaves_a_user),
    "nobody": broker.task("nobody")(bodies.nobody),  # a sync task, which runs in a thread
}


async def send(name: str, number: int) -> None:
    await registered[name].kiq(number)
