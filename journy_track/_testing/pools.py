"""Thread pools that outlive a test: their threads work for whoever submits, not for whoever began them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

_lock = threading.RLock()
_users = 0
#: What `ThreadPoolExecutor.submit` was before, and what stands in its place; `None` while nothing does.
_replaced: tuple[Callable[..., Future[Any]], Callable[..., Future[Any]]] | None = None


@contextmanager
def carrying(variable: ContextVar[Any]) -> Iterator[None]:
    """In this block, *variable* goes along with what is submitted to any `ThreadPoolExecutor`.

    While pytest runs, until its end: what a test began may submit after it.
    """
    global _users  # noqa: PLW0603 - there is one ThreadPoolExecutor, too
    with _lock:
        _users += 1
        _replace(variable)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
        plugin = sys.modules.get("pytest_journy_track")
        if plugin is None or not plugin.active():
            restore()


def restore() -> None:
    """Put `ThreadPoolExecutor.submit` back, unless a block still needs it, or others have wrapped ours meanwhile.

    In that case ours stays, and only passes on.
    """
    global _replaced  # noqa: PLW0603 - as above
    with _lock:
        if _replaced is not None and not _users:
            original, ours = _replaced
            if ThreadPoolExecutor.submit is ours:
                ThreadPoolExecutor.submit = original  # type: ignore[method-assign]
            _replaced = None


def _replace(variable: ContextVar[Any]) -> None:
    global _replaced  # noqa: PLW0603 - as above
    if _replaced is not None:
        return
    original: Callable[..., Future[Any]] = ThreadPoolExecutor.submit

    @wraps(original)
    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        value = variable.get(None)
        if value is None:
            return original(self, fn, *args, **kwargs)

        def carried() -> Any:
            before = variable.set(value)
            try:
                return fn(*args, **kwargs)
            finally:
                variable.reset(before)

        return original(self, carried)

    ThreadPoolExecutor.submit = submit  # type: ignore[assignment,method-assign]
    _replaced = original, submit
