"""arq."""

import os

import arq
import bodies
from arq.connections import RedisSettings, create_pool

import journy_track
from journy_track import track_event
from journy_track.integrations.arq import instrument_arq

instrument_arq()
pools = []


@track_event("worked", capture=("number",), metadata=lambda call: {"process": os.getpid()})
async def work(ctx, number: int) -> None: ...


async def tries(ctx, number: int) -> None:
    await bodies.atries(number, arq.Retry)


async def tries_for_nobody(ctx, number: int) -> None:
    await bodies.atries_for_nobody(number, arq.Retry)


async def parent(ctx, number: int) -> None:
    with bodies.whom_it_finds(number):
        await ctx["redis"].enqueue_job("work", number)


async def leaves_a_user(ctx, number: int) -> None:
    journy_track.set_user("left behind")
    journy_track.user("left behind, too").__enter__()


async def nobody(ctx, number: int) -> None:
    bodies.nobody(number)


class WorkerSettings:
    redis_settings = RedisSettings.from_dsn(os.environ["REDIS_URL"])
    functions = (work, tries, tries_for_nobody, parent, leaves_a_user, nobody)
    poll_delay = 0.05


async def send(name: str, number: int) -> None:
    if not pools:
        pools.append(await create_pool(WorkerSettings.redis_settings))
    await pools[0].enqueue_job(name, number)
