"""The bodies and senders of the jobs, which are the same for each job system; an app registers them with its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import redis

import journy_track
from journy_track import track_event

if "SENDS" in os.environ:
    journy_track.configure(enabled=False)
else:
    journy_track.configure(shutdown_timeout=20)

broker = redis.from_url(os.environ["REDIS_URL"])


class Again(Exception):
    """The job failed this time."""


@track_event("worked", capture=("number",), metadata=lambda call: {"process": os.getpid()})
def work(number: int) -> None: ...


@track_event("tried", capture=("number",))
def tries(number: int, again: type[Exception] = Again) -> None:
    if broker.incr(f"tries {number}") == 1:
        journy_track.set_user("somebody else")  # not kept when it fails: the retry has the sender's user
        raise again


@track_event("tried", capture=("number",))
async def atries(number: int, again: type[Exception] = Again) -> None:
    tries.__wrapped__(number, again)


def tries_for_nobody(number: int, again: type[Exception] = Again) -> None:
    if broker.incr(f"tries for nobody {number}") == 1:
        journy_track.set_user("whom it found")
        raise again
    count(number)


async def atries_for_nobody(number: int, again: type[Exception] = Again) -> None:
    tries_for_nobody(number, again)


def leaves_a_user(number: int) -> None:
    journy_track.set_user("left behind")
    journy_track.user("left behind, too").__enter__()


@track_event("was_nobody", account="ours", capture=("number",))
def count(number: int) -> None: ...


def nobody(number: int) -> None:
    count(number)
    broker.incr("ran")


def blocks_of(number: int) -> ExitStack:
    """Enter the blocks of one of the users."""
    stack = ExitStack()
    stack.enter_context(journy_track.user(f"u{number}", email=f"u{number}@acme.com"))
    stack.enter_context(journy_track.account(f"a{number % 10}"))
    stack.enter_context(journy_track.metadata(n=number))
    return stack


def whom_it_finds(number: int) -> ExitStack:
    """Enter the blocks of one of the users in a job that was sent without a user."""
    return ExitStack() if journy_track.current_context().user else blocks_of(number)


def suppressed_or_not(word: str) -> ExitStack:
    stack = ExitStack()
    if word == "suppressed":
        stack.enter_context(journy_track.suppressed())
        stack.enter_context(journy_track.user("whom staff act for"))
    return stack


def main(send: Callable[[str, int], Any], arguments: list[str]) -> None:
    """See `send.py`: users send concurrently, in threads or tasks; jobs without a user are sent one after another."""
    if asyncio.iscoroutinefunction(send):
        asyncio.run(amain(send, arguments))
        return

    def one(number: int) -> None:
        with blocks_of(number):
            for name in arguments[1:]:
                send(name, number)

    if arguments[0].isdigit():
        users = int(arguments[0])
        with ThreadPoolExecutor(users) as pool:
            list(pool.map(one, range(users)))
    else:
        with suppressed_or_not(arguments[0]):
            for number in range(int(arguments[1])):
                send(*arguments[2:] or ["nobody"], number)


async def amain(send: Callable[[str, int], Any], arguments: list[str]) -> None:
    """Like `main`, in a running loop."""

    async def one(number: int) -> None:
        with blocks_of(number):
            for name in arguments[1:]:
                await send(name, number)

    if arguments[0].isdigit():
        await asyncio.gather(*map(one, range(int(arguments[0]))))
    else:
        with suppressed_or_not(arguments[0]):
            for number in range(int(arguments[1])):
                await send(*arguments[2:] or ["nobody"], number)
