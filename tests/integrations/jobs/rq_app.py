"""RQ."""

import asyncio

import bodies
from rq import Callback, Queue, Retry
from rq.job import Job

from journy_track.integrations.rq import instrument_rq

instrument_rq()
queue = Queue(connection=bodies.broker)
work, tries, leaves_a_user, nobody = bodies.work, bodies.tries, bodies.leaves_a_user, bodies.nobody
tries_for_nobody = bodies.tries_for_nobody


def parent(number: int) -> None:
    with bodies.whom_it_finds(number):
        send("work", number)


async def awaits(number: int) -> None:
    await asyncio.sleep(0)
    work(number)


def fails(number: int) -> None:
    leaves_a_user(number)
    raise bodies.Again


def called_back(job: Job, *_: object) -> None:
    work(job.args[0])


def send(name: str, number: int) -> None:
    if name == "calls_back":
        back = Callback("rq_app.called_back")
        queue.enqueue(
            f"rq_app.{'fails' if number % 2 else 'leaves_a_user'}", number, on_success=back, on_failure=back
        )
        return
    queue.enqueue(f"rq_app.{name}", number, retry=Retry(max=2) if "tries" in name else None)
