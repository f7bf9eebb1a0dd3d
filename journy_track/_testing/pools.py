"""Thread pools that outlive a test: their threads work for whoever submits, not for whoever began them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import wraps
from typing import Any

_carried: set[ContextVar[Any]] = set()


def carry(variable: ContextVar[Any]) -> None:
    """From now on, *variable* goes along with what is submitted to a `ThreadPoolExecutor`. For tests."""
    if variable in _carried:
        return
    _carried.add(variable)
    original: Callable[..., Future[Any]] = ThreadPoolExecutor.submit

    @wraps(original)
    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        value = variable.get(None)
        if value is None:
            return original(self, fn, *args, **kwargs)

        def carrying() -> Any:
            before = variable.set(value)
            try:
                return fn(*args, **kwargs)
            finally:
                variable.reset(before)

        return original(self, carrying)

    # Never taken away again: others may have wrapped it in the meantime.
    ThreadPoolExecutor.submit = submit  # type: ignore[assignment,method-assign]
