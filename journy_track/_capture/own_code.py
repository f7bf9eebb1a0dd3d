"""Running code of the app during capture, such as callbacks and conversions, without capturing what it tracks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any, TypeVar

from journy_track._capture.bodies import Body, Steps
from journy_track._capture.context import Internal, current_frame, marked, set_frame

T = TypeVar("T")


def uncaptured(function: Callable[..., T], /, *arguments: Any) -> T:
    """Call *function*, which may run code of the app, without capturing anything in it.

    The function sees the current context, and may set values in the enclosing scope. It runs in a copy of the
    context, so that an exception at any line cannot leave the mark behind.
    """
    return copy_context().run(_marked, function, arguments)


def _marked(function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    internal = Internal(None)
    set_frame(marked(current_frame(), internal))
    try:
        return function(*arguments)
    finally:
        internal.active = False


async def uncaptured_async(awaitable: Awaitable[T]) -> T:
    """Like `uncaptured`, for an awaitable."""
    internal = Internal(None)
    try:
        result: T = await Steps(awaitable, Body(marked(current_frame(), internal)))
    finally:
        internal.active = False
    return result
