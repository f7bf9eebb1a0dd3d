"""flushed(): everything captured is delivered before a short-lived process is frozen or gone."""

from __future__ import annotations

import threading
from collections.abc import Awaitable
from datetime import timedelta
from types import TracebackType
from typing import Any, Protocol

from journy_track._capture.bodies import Inner
from journy_track._capture.functions import F, Kind, check_decoratable, kind_of, named_like, wrapped_in
from journy_track._model.errors import InvalidArgument, described
from journy_track._model.once import warn_once

#: Seconds or a timedelta; `None`: the tracker's `shutdown_timeout`.
Timeout = float | timedelta | None


class Flush(Protocol):
    """Waits until everything captured so far is settled; false when the time was not enough."""

    def __call__(self, timeout: Timeout = None) -> bool: ...


class AsyncFlush(Protocol):
    """As `Flush`, for an event loop."""

    def __call__(self, timeout: Timeout = None) -> Awaitable[bool]: ...


class Flushed:
    """Flushes at the end of a `with` or `async with` block, or of each call of a decorated function.

    Also when that ends with an exception.
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
        _tell(self._flush(self._timeout))

    async def __aenter__(self) -> None:
        """Nothing to prepare."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _tell(await self._aflush(self._timeout))

    def __call__(self, function: F) -> F:
        check_decoratable(function, "@flushed()")
        kind = kind_of(function)
        if kind not in (Kind.PLAIN, Kind.COROUTINE):
            raise InvalidArgument(
                "@flushed() decorates handlers that return: put a `with flushed()` block around this"
            )

        def coroutine(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            return named_like(self._awaited(Inner(wrapped(*args, **kwargs))), wrapped)

        def plain(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            with self:
                return wrapped(*args, **kwargs)

        return wrapped_in(coroutine if kind is Kind.COROUTINE else plain, function)

    def __repr__(self) -> str:
        return "<journy_track.flushed block>"

    async def _awaited(self, pending: Inner) -> Any:
        async with self:
            return await pending.coroutine


def seconds_of(timeout: float | timedelta) -> float:
    """*timeout* in seconds. Raises `InvalidArgument`."""
    seconds: Any = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
        raise InvalidArgument(f"timeout must be seconds, 0 or more, or a timedelta; got {described(timeout)}")
    return min(float(seconds), threading.TIMEOUT_MAX)


def _tell(settled: bool) -> None:
    if not settled:
        warn_once(
            "not flushed in time",
            "flushed(): the time was not enough to deliver everything. What is left goes on when the process does; "
            "see timeout= and stats().",
        )
