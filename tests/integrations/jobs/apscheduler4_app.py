"""APScheduler 4: the sender of jobs is the process that runs them. It reads from stdin what to send."""

import asyncio
import os
import signal
import sys
import threading

import bodies
from apscheduler import AsyncScheduler, Scheduler

import journy_track
from journy_track.integrations.apscheduler import instrument_apscheduler

#: `async`, `threadpool` or `processpool`: one of its executors; `sync` is the scheduler for threads.
KIND = os.environ.get("KIND", "async")
OPTIONS = {} if KIND == "sync" else {"job_executor": KIND}
scheduler = None


async def work(number: int) -> None:
    bodies.work(number)


async def parent(number: int) -> None:
    with bodies.whom_it_finds(number):
        await send("work", number)


def parent_in_a_thread(number: int) -> None:
    with bodies.whom_it_finds(number):
        send_now("work", number)


def function_of(name: str):
    here = {"work": work, "parent": parent} if KIND == "async" else {"parent": parent_in_a_thread}
    return here.get(name) or getattr(bodies, name)


async def send(name: str, number: int) -> None:
    await scheduler.add_job(function_of(name), args=(number,), **OPTIONS)


def send_now(name: str, number: int) -> None:
    scheduler.add_job(function_of(name), args=(number,), job_executor="threadpool")


async def main() -> None:
    global scheduler  # noqa: PLW0603 - an app's own
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    async with AsyncScheduler() as made:
        scheduler = instrument_apscheduler(made)
        for name in ("work", "parent", "leaves_a_user", "nobody"):
            await made.configure_task(function_of(name), max_running_jobs=None)
        with journy_track.user("whoever started the scheduler"):
            await made.start_in_background()
        threading.Thread(target=serve, args=(loop,), daemon=True).start()
        await ended.wait()
        await made.stop()
        await made.wait_until_stopped()


def serve(loop: asyncio.AbstractEventLoop) -> None:
    for line in sys.stdin:
        asyncio.run_coroutine_threadsafe(bodies.amain(send, line.split()), loop)


def main_in_threads() -> None:
    global scheduler  # noqa: PLW0603 - an app's own
    with Scheduler() as made:
        scheduler = instrument_apscheduler(made)
        for name in ("work", "parent", "leaves_a_user", "nobody"):
            made.configure_task(function_of(name), max_running_jobs=None)
        with journy_track.user("whoever started the scheduler"):
            made.start_in_background()
        for line in sys.stdin:
            bodies.main(send_now, line.split())


if __name__ == "__main__":
    if KIND == "sync":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        main_in_threads()
    else:
        asyncio.run(main())
