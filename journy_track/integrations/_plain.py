"""Requests represented by a single object, which is passed to the callbacks."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

from journy_track._capture.context import current_frame, enter, leave, live_frame, scoped, set_frame
from journy_track._capture.request import Actor, Moment
from journy_track.integrations._requests import Callbacks, SyncRequest

T = TypeVar("T")


class PlainRequest(SyncRequest):
    """A request or call represented by *subject*. Once somebody was found, the callbacks are not called again."""

    __slots__ = ("_subject",)

    def __init__(self, callbacks: Callbacks, subject: Any, device: str | None = None) -> None:
        super().__init__(callbacks, device)
        self._subject = subject

    def moment(self) -> Moment:
        return ()

    def ask_now(self, moment: Moment) -> Actor | None:
        return None if self._callbacks.any_async else self._callbacks.ask(self._subject)

    def ask_last(self, moment: Moment) -> Actor | None:
        return self._callbacks.ask(self._subject, last_chance=True)

    async def ask_last_async(self, moment: Moment) -> Actor | None:
        """Like `ask_last`, and await the async callbacks."""
        return await self._callbacks.ask_async(self._subject, last_chance=True)

    def run(self, function: Any, *arguments: Any) -> Any:
        """Call *function* in this request's scope, and end the request with it."""
        server = current_frame()
        set_frame(scoped(live_frame(), self.cell))
        try:
            return function(*arguments)
        finally:
            try:
                self.finish()
            finally:
                set_frame(server)

    async def serve(self, awaitable: Awaitable[T]) -> T:
        """Await *awaitable* in this request's scope, and end the request with it."""
        entry = enter(self.cell)
        try:
            try:
                result = await awaitable
            except GeneratorExit:  # the event loop was closed: nothing can be awaited any more
                self.close(None)
                raise
            except BaseException:
                await self.finish_async()
                raise
            await self.finish_async()
            return result
        finally:
            leave(entry)

    async def finish_async(self) -> None:
        """Like `finish`, and await the async callbacks."""
        if not self.end():
            await self.close_async(self.ask_last_async)
