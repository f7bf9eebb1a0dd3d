"""Event loops other than asyncio's: how to wait there without blocking them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, TypeVar

R = TypeVar("R")


def in_asyncio() -> bool:
    """Whether an asyncio loop runs here; uvloop is one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def in_loop() -> bool:
    """Whether a loop runs here: of asyncio, trio or curio."""
    if in_asyncio():
        return True
    trio: Any = sys.modules.get("trio")
    if trio is not None and _runs_in_trio(trio):
        return True
    curio: Any = sys.modules.get("curio")
    return curio is not None and bool(curio.meta.curio_running())


async def in_thread(function: Callable[[], R]) -> R:
    """Run *function* in a thread and wait for it as the running loop waits: asyncio, trio or curio.

    In a loop that is not known, and in none, it runs here and blocks.
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
