"""ASGI: who acts, for each request and websocket of Starlette, FastAPI, Litestar or any ASGI application."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from journy_track._capture.context import enter, leave
from journy_track._capture.pending import Answer
from journy_track._model.logs import say
from journy_track._runtime import aflush
from journy_track.integrations._requests import Callback, Callbacks, Request, device_of

__all__ = ["JournyMiddleware"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class JournyMiddleware:
    """A scope for each request and each websocket of an ASGI application, and a flush when the server stops.

        app.add_middleware(JournyMiddleware, user=lambda scope: scope["user"].id)   # Starlette, FastAPI
        app = JournyMiddleware(app, user=lambda scope: scope["user"].id)            # any other

    *user*, *account* and *metadata* get the ASGI scope and answer an ID (or `UserIdentified`,
    `AccountIdentified`), `None` for nobody, or a mapping. They are called when an event needs them, and once
    somebody was found not again in that request. Async ones are awaited when the request next sends or receives
    something, at the latest at its end; until then its events wait. *link_devices*: link the `__journey`
    cookie's device to that user, once for each device and user in this process.
    Raises `ConfigurationError` for what is no function.

    At the end of the lifespan everything that is captured is delivered, for as long as `shutdown_timeout` seconds:
    uvicorn ends by a signal, so nothing that is registered with `atexit` runs.
    """

    def __init__(
        self,
        app: App,
        *,
        user: Callback | None = None,
        account: Callback | None = None,
        metadata: Callback | None = None,
        link_devices: bool = False,
    ) -> None:
        self.app = app
        self._callbacks = Callbacks(user, account, metadata, link_devices=link_devices)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the server calls, for each connection and for its own start and stop."""
        if scope["type"] == "lifespan":
            await _Lifespan(receive, send).run(self.app, scope)
        elif scope["type"] in ("http", "websocket"):
            await self._serve(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        callbacks = self._callbacks
        device = _device_of(scope) if callbacks.link_devices else None

        def now() -> Answer | None:
            return None if callbacks.any_async else callbacks.ask(scope)

        async def ask() -> Answer | None:
            return await callbacks.ask_async(scope, last_chance=True)

        request = Request(callbacks, now, device)
        if callbacks.any_async:
            receive, send = _asking(request, callbacks, scope, receive, send)
        entry = enter(request.change)
        try:
            try:
                await self.app(scope, receive, send)
            except GeneratorExit:  # the event loop was closed: there is no awaiting any more
                request.close(None)
                raise
            except BaseException:
                await request.close_async(ask)
                raise
            await request.close_async(ask)
        finally:
            leave(entry)


def _asking(
    request: Request, callbacks: Callbacks, scope: Scope, receive: Receive, send: Send
) -> tuple[Receive, Send]:
    """*receive* and *send*, which also ask who acts, when something waits to know."""

    async def settle() -> None:
        if request.pending.waiting:
            answer = await callbacks.ask_async(scope)
            if answer is not None:
                request.pending.settle(answer)

    async def receiving() -> Message:
        await settle()
        return await receive()

    async def sending(message: Message) -> None:
        await settle()
        await send(message)

    return receiving, sending


def _device_of(scope: Scope) -> str | None:
    cookies = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name.lower() == b"cookie"]
    return device_of(";".join(cookies))


class _Lifespan:
    """The server's start and stop, with a flush before the stop is complete."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._known = False

    async def run(self, app: App, scope: Scope) -> None:
        try:
            await app(scope, self._receiving, self._sending)
        except Exception:
            if self._known:
                raise
        if not self._known:
            # The app knows no lifespan, and raises, as Django's, or returns. The server would take that as "none
            # here", and never tell of the stop: so it is answered here.
            await self._instead()

    async def _receiving(self) -> Message:
        self._known = True
        return await self._receive()

    async def _sending(self, message: Message) -> None:
        self._known = True
        if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            await _flush()
        await self._send(message)

    async def _instead(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "lifespan.startup":
                await self._send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await _flush()
                await self._send({"type": "lifespan.shutdown.complete"})
                return


async def _flush() -> None:
    if not await aflush():
        say(
            logging.WARNING,
            "the server stops, and not everything could be delivered in shutdown_timeout: see stats()",
        )
