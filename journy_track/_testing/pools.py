"""Thread pools that outlive a test: their threads work for the test that submits, not the one that started them."""

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
#: The original `ThreadPoolExecutor.submit` and its replacement; `None` while it is not replaced.
_replaced: tuple[Callable[..., Future[Any]], Callable[..., Future[Any]]] | None = None


@contextmanager
def carrying(variable: ContextVar[Any]) -> Iterator[None]:
    """In this block, pass the value of *variable* on to whatever is submitted to any `ThreadPoolExecutor`.

    While pytest runs, this lasts until its end, since threads of a test may submit after the test is over.
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
    """Restore `ThreadPoolExecutor.submit`, unless a block still needs the replacement.

    If other code has wrapped the replacement meanwhile, it stays in place and only passes calls on.
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
