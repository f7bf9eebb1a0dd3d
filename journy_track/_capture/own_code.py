"""Code of the app that capturing calls: callbacks, conversions. What it does is not an event of the app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any, TypeVar

from journy_track._capture.bodies import Body, Steps
from journy_track._capture.context import Internal, current_frame, marked, set_frame

T = TypeVar("T")


def uncaptured(function: Callable[..., T], /, *arguments: Any) -> T:
    """Call *function*, which runs code of the app: nothing is captured from there.

    It sees the context as it is, and may set what it likes in the enclosing scope. It runs in a copy of the context,
    so that no exception, at whichever line it comes, leaves the mark behind.
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
    """As `uncaptured`, for what has to be awaited."""
    internal = Internal(None)
    try:
        result: T = await Steps(awaitable, Body(marked(current_frame(), internal)))
    finally:
        internal.active = False
    return result
