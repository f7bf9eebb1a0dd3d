"""flushed(): deliver everything captured before a short-lived process is frozen or ends."""

from __future__ import annotations

import threading
from collections.abc import Awaitable
from datetime import timedelta
from types import TracebackType
from typing import Any, Protocol

from journy_track._capture.around import Around, decorated
from journy_track._capture.bodies import QuietCoroutine
from journy_track._capture.functions import F, FunctionKind, check_decoratable, kind_of
from journy_track._capture.results import Goes
from journy_track._model.errors import InvalidArgument, described
from journy_track._model.once import warn_once

#: Seconds or a timedelta; `None` is the tracker's `shutdown_timeout`.
Timeout = float | timedelta | None


class Flush(Protocol):
    """Waits until everything captured so far is settled; returns false if the timeout expired."""

    def __call__(self, timeout: Timeout = None) -> bool: ...


class AsyncFlush(Protocol):
    """Like `Flush`, for an event loop."""

    def __call__(self, timeout: Timeout = None) -> Awaitable[bool]: ...


class Flushed:
    """Flushes at the end of a `with` or `async with` block, or of each call of a decorated function.

    It also flushes if the block or the call raises.
    """

    __slots__ = ("_aflush", "_flush", "_timeout")

    def __init__(self, flush: Flush, aflush: AsyncFlush, timeout: Timeout) -> None:
        self._flush = flush
        self._aflush = aflush
        self._timeout = None if timeout is None else seconds_of(timeout)

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _warn_unless(self._flush(self._timeout))

    async def __aenter__(self) -> None:
        """Nothing to prepare."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _warn_unless(await self._aflush(self._timeout))

    def __call__(self, function: F) -> F:
        check_decoratable(function, "@flushed()")
        if kind_of(function) in (FunctionKind.GENERATOR, FunctionKind.ASYNC_GENERATOR):
            raise InvalidArgument(
                "@flushed() decorates handlers that return: put a `with flushed()` block around this"
            )
        return decorated(function, _Flushing(self))

    def __repr__(self) -> str:
        return "<journy_track.flushed block>"


class _Flushing(Around):
    """Flushes at the end of each call of a decorated handler."""

    __slots__ = ("_flushed",)

    # Otherwise a handler has ended when it returns; and code that ends on an event loop must not wait.
    follows = frozenset({Goes.COROUTINE})

    def __init__(self, flushed: Flushed) -> None:
        self._flushed = flushed

    def finish(self, result: Any, error: BaseException | None) -> None:
        self._flushed.__exit__(None, None, None)

    async def awaited(self, quiet: QuietCoroutine) -> Any:
        async with self._flushed:
            return await quiet.coroutine


def seconds_of(timeout: float | timedelta, name: str = "timeout") -> float:
    """Convert *timeout* to seconds. Raises `InvalidArgument` with the argument's *name*."""
    seconds: Any = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
        raise InvalidArgument(f"{name} must be seconds, 0 or more, or a timedelta; got {described(timeout)}")
    return min(float(seconds), threading.TIMEOUT_MAX)


def _warn_unless(settled: bool) -> None:
    if not settled:
        warn_once(
            "not flushed in time",
            "flushed(): not everything was delivered in time. The rest is delivered when the process resumes; "
            "see timeout= and stats().",
        )
