"""Streamed bodies whose producer is long gone: each step in the request's scope, which ends with the last."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any

from journy_track._capture.bodies import Body, driven_async


class Stream:
    """*content*, each of its steps in *body*; closing it closes *content* there, and then calls *end*."""

    def __init__(self, content: Iterator[Any], body: Body, end: Callable[[], None]) -> None:
        self._content = content
        self._body = body
        self._end = end

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self._body.step(next, self._content)

    def close(self) -> None:
        try:
            close = getattr(self._content, "close", None)
            if close is not None:
                self._body.step(close)
        finally:
            self._end()


async def async_stream(content: Any, body: Body, end: Callable[[], None]) -> AsyncIterator[Any]:
    """As `Stream`, for an async iterator. Its own end, also an early one, is the end of *content*."""
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
