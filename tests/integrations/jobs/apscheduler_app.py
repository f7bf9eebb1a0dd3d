"""APScheduler: the sender of jobs is the process that runs them. It reads from stdin what to send."""

import asyncio
import os
import signal
import sys
import threading

import bodies
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.jobstores.redis import RedisJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler

import journy_track
from journy_track.integrations.apscheduler import instrument_apscheduler

KIND = os.environ.get("KIND", "threads")
scheduler = None


def parent(number: int) -> None:
    with bodies.whom_it_finds(number):
        send("work", number)


async def work(number: int) -> None:
    bodies.work(number)


async def leaves_a_user(number: int) -> None:
    bodies.leaves_a_user(number)


def send(name: str, number: int) -> None:
    function = {**globals(), **vars(bodies)}[name] if KIND == "asyncio" else {**vars(bodies), "parent": parent}[name]
    scheduler.add_job(function, args=(number,), misfire_grace_time=None)


def serve() -> None:
    for line in sys.stdin:
        bodies.main(send, line.split())


def main() -> None:
    global scheduler  # noqa: PLW0603 - an app's own
    if KIND == "asyncio":
        asyncio.run(amain())
        return
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    where = {name: bodies.broker.get_connection_kwargs()[name] for name in ("host", "port", "db")}
    executors = {"default": ProcessPoolExecutor(2)} if KIND == "processes" else {}
    made = BackgroundScheduler(jobstores={"default": RedisJobStore(**where)}, executors=executors)
    scheduler = instrument_apscheduler(made)
    scheduler.start()
    threading.Thread(target=serve, daemon=True).start()
    ended.wait()
    scheduler.shutdown()


async def amain() -> None:
    global scheduler  # noqa: PLW0603 - an app's own
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    scheduler = instrument_apscheduler(AsyncIOScheduler())
    with journy_track.user("whoever started the loop's timers"):
        scheduler.start()
    threading.Thread(target=serve, daemon=True).start()
    await ended.wait()
    scheduler.shutdown()


if __name__ == "__main__":
    main()
