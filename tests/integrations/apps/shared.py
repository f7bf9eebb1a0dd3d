"""What every app of the contract does, whatever its framework: only the routes differ."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator

import journy_track
from journy_track import in_context, track

journy_track.configure("a-key", base_url=os.environ["API_URL"], shutdown_timeout=20)

#: Enough chunks that no socket buffer holds them all.
ENDLESS = 200
CHUNK = b"x" * 65536

_released: dict[str, threading.Event] = defaultdict(threading.Event)


def visit(number: str) -> None:
    track("visited", number=number)


def fail(number: str) -> None:
    track("failed", number=number)
    raise RuntimeError("as asked")


def chunks(number: str) -> Iterator[bytes]:
    for part in range(3):
        track("streamed", number=number, part=part)
        yield b"part"


def endless(number: str) -> Iterator[bytes]:
    try:
        for _ in range(ENDLESS):
            yield CHUNK
    finally:
        track("gave_up", number=number)


async def async_chunks(number: str) -> AsyncIterator[bytes]:
    for part in range(3):
        track("streamed", number=number, part=part)
        yield b"part"
        await asyncio.sleep(0)


async def async_endless(number: str) -> AsyncIterator[bytes]:
    try:
        for _ in range(ENDLESS):
            yield CHUNK
            await asyncio.sleep(0.01)
    finally:
        track("gave_up", number=number)


def work_on(number: str) -> None:
    """Start work that ends after the request, when `release` is called."""

    def late() -> None:
        _released[number].wait(30)
        track("worked", number=number)

    threading.Thread(target=in_context(late)).start()


def release(number: str) -> None:
    _released[number].set()


def plain(action: str, number: str) -> None:
    """Handle the routes that respond at once."""
    {"visit": visit, "error": fail, "late": work_on, "release": release}[action](number)


def streamed(action: str, number: str) -> Iterator[bytes]:
    return {"stream": chunks, "endless": endless}[action](number)


def async_streamed(action: str, number: str) -> AsyncIterator[bytes]:
    return {"stream": async_chunks, "endless": async_endless}[action](number)


PLAIN = ("visit", "error", "late", "release")
