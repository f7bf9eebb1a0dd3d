"""The control: a difference that it makes, too, is none of ours."""

from __future__ import annotations

import functools
import inspect
from typing import Any


def passing(function: Any) -> Any:
    """A decorator as people write them, with `functools.wraps`, which does nothing."""
    if not inspect.isroutine(function):
        return function
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)

        return awaited

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return called
