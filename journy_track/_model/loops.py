"""Detecting the running event loop (asyncio, trio or curio), and waiting in it without blocking it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, TypeVar

R = TypeVar("R")


def in_asyncio() -> bool:
    """Whether the current code runs on an asyncio loop, such as uvloop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def in_loop() -> bool:
    """Whether the current code runs on an event loop of asyncio, trio or curio."""
    if in_asyncio():
        return True
    trio: Any = sys.modules.get("trio")
    if trio is not None and _runs_in_trio(trio):
        return True
    curio: Any = sys.modules.get("curio")
    return curio is not None and bool(curio.meta.curio_running())


async def in_thread(function: Callable[[], R]) -> R:
    """Run *function* in a thread, and wait for it on the running loop: asyncio, trio or curio.

    On an unknown loop, or without one, it runs in the current thread and blocks.
    """
    if in_asyncio():
        return await asyncio.to_thread(function)
    result: R
    trio: Any = sys.modules.get("trio")
    if trio is not None and _runs_in_trio(trio):
        try:
            result = await trio.to_thread.run_sync(function, abandon_on_cancel=True)
        except TypeError:  # trio below 0.23
            result = await trio.to_thread.run_sync(function, cancellable=True)
        return result
    curio: Any = sys.modules.get("curio")
    if curio is not None and curio.meta.curio_running():
        result = await curio.run_in_thread(function)
        return result
    return function()


def _runs_in_trio(trio: Any) -> bool:
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True
