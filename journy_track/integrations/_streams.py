"""Streamed bodies, which outlive their view: each step runs in the request's scope, which ends with the last one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Final

from journy_track._capture.bodies import Body, driven_async
from journy_track._capture.context import Frame, current_frame, set_frame

_END: Final = object()


class Stream:
    """Iterates over *content* with each step run in *frame*. Closing it closes *content* there, then calls *end*.

    Each step continues in the context that the previous one left, and restores the server's own context afterwards.
    """

    __slots__ = ("_content", "_end", "_frame", "_iterator", "_steps")

    def __init__(self, content: Iterable[Any], frame: Frame, end: Callable[[], None]) -> None:
        self._content = content
        self._frame = frame
        self._end = end
        self._iterator: Iterator[Any] | None = None
        self._steps: Iterator[Any] | None = None  # used if the caller takes the parts with `next()`

    def __iter__(self) -> Iterator[Any]:
        return self._in_scope()

    def __next__(self) -> Any:
        if self._steps is None:
            self._steps = self._in_scope()
        return next(self._steps)

    def _in_scope(self) -> Iterator[Any]:
        while True:
            server = current_frame()
            set_frame(self._frame)
            try:
                if self._iterator is None:
                    self._iterator = iter(self._content)
                part = next(self._iterator, _END)
            finally:
                self._frame = current_frame()
                set_frame(server)
            if part is _END:
                return
            yield part

    def close(self) -> None:
        server = current_frame()
        set_frame(self._frame)
        try:
            close = getattr(self._content, "close", None)
            if close is not None:
                close()
        finally:
            try:
                self._end()
            finally:
                self._frame = current_frame()
                set_frame(server)


async def async_stream(content: Any, body: Body, end: Callable[[], None]) -> AsyncIterator[Any]:
    """Like `Stream`, for an async iterator. When it ends, even early, *content* is closed too."""
    parts = driven_async(content if hasattr(content, "asend") else _generator_of(content), body)
    try:
        async for part in parts:
            yield part
    finally:
        await parts.aclose()
        end()


async def _generator_of(content: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    async for part in content:
        yield part
