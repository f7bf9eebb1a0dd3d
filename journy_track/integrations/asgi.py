"""ASGI: the user of each request and websocket, for Starlette, FastAPI, Litestar or any ASGI application."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from journy_track._capture.carrier import HEADER
from journy_track._capture.context import enter, leave
from journy_track._capture.request import Actor, Moment, same
from journy_track._capture.routes import look_at
from journy_track._model.logs import log
from journy_track._runtime import get_tracker
from journy_track.integrations._requests import Callback, Callbacks, Request, device_of
from journy_track.integrations._sessions import Contents, Untouched, of_the_kind_of
from journy_track.integrations._trust import Trust, trusted

__all__ = ["JournyMiddleware"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class JournyMiddleware:
    """Run each request and websocket of an ASGI application in its own scope, and flush when the server stops.

        app.add_middleware(JournyMiddleware, user=lambda scope: scope["user"].id)   # Starlette, FastAPI
        app = JournyMiddleware(app, user=lambda scope: scope["user"].id)            # any other

    With Channels, place it inside `AuthMiddlewareStack`.

    - *user*, *account* and *metadata* are called with the ASGI scope. The first two return an ID (or a
      `UserIdentified` or `AccountIdentified`) or `None`; *metadata* returns a mapping or `None`. They are called when
      an event needs them. Once they have found somebody, they are called again only if `scope["user"]` is a different
      object or the contents of `scope["session"]` have changed. Async functions are awaited when the request next
      sends or receives a message, or at its end; its events wait until then.
    - *link_devices* links the device in the `__journey` cookie to that user, once per device and user in each
      process.
    - *skip* gets the same argument and is called first. If it returns true, or raises, nothing in that request is
      tracked, except deletes and removals; see `journy_track.suppressed()`.
    - *trust* decides whether to believe the header that another of your services sends (see `propagate_to`): a
      function with the same argument, or `"signed"` if both services have the same `carrier_secret`. What the other
      functions return takes precedence.

    Raises `ConfigurationError` if one of them is not a function.

    At the end of the lifespan, everything captured so far is delivered, within the same time limit as at exit:
    uvicorn ends by a signal, so functions registered with `atexit` do not run.
    """

    def __init__(
        self,
        app: App,
        *,
        user: Callback | None = None,
        account: Callback | None = None,
        metadata: Callback | None = None,
        skip: Callback | None = None,
        trust: Trust = None,
        link_devices: bool = False,
    ) -> None:
        self.app = app
        self._callbacks = Callbacks(
            user, account, metadata, skip=skip, carried=trusted(trust, _carrier_of), link_devices=link_devices
        )
        self._looked_at: object = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a connection, or the server's start and stop. Called by the server."""
        if scope["type"] == "lifespan":
            await _Lifespan(receive, send).run(self.app, scope)
        elif scope["type"] in ("http", "websocket"):
            await self._serve(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        callbacks = self._callbacks
        request = _AsgiRequest(callbacks, scope)
        if callbacks.any_async:
            receive, send = _asking(request, receive, send)
        entry = enter(request.cell)
        try:
            try:
                await self.app(scope, receive, send)
            except GeneratorExit:  # the event loop was closed: nothing can be awaited any more
                request.close(None)
                raise
            except BaseException:
                await request.close_async(request.ask_last)
                raise
            if not request.end():
                await request.close_async(request.ask_last)
        finally:
            leave(entry)
            app = scope.get("app", self.app)  # Starlette and FastAPI set it to the app that handled the request
            if app is not self._looked_at:
                self._looked_at = app
                look_at(app)


class _AsgiRequest(Request):
    """A request or websocket, identified by its ASGI scope."""

    __slots__ = ("_contents", "_scope")

    def __init__(self, callbacks: Callbacks, scope: Scope) -> None:
        super().__init__(callbacks, _device_of(scope) if callbacks.link_devices else None)
        self._scope = scope
        self._contents: Contents | None = None

    def moment(self) -> Moment:
        if self._contents is None:
            self._contents = Contents()
        return _looked_through(self._scope.get("user")), self._contents.of(self._scope.get("session"))

    def ask_now(self, moment: Moment) -> Actor | None:
        if self._callbacks.any_async:
            return None
        with _untouched(self._scope):
            return self._callbacks.ask(self._as_of(moment))

    async def ask(self, moment: Moment) -> Actor | None:
        """Call the callbacks and await the async ones."""
        with _untouched(self._scope):
            return await self._callbacks.ask_async(self._as_of(moment))

    async def ask_last(self, moment: Moment) -> Actor | None:
        """Like `ask`, but for the last time in this request."""
        with _untouched(self._scope):
            return await self._callbacks.ask_async(self._as_of(moment), last_chance=True)

    async def settle(self) -> None:
        """Release the events that wait for the user, if the user can be determined now."""
        pending = self.pending
        if pending is not None and pending.waiting:
            await self.settle_earlier_async(self.ask)
            if pending.waiting and (answer := await self.ask(pending.moment())) is not None:
                pending.settle(answer)

    def _as_of(self, then: Moment) -> Scope:
        """Return the scope with the user and session as they were at *then*, if there were any."""
        scope = self._scope
        if same(then, self.moment()):
            return scope
        user, session = then
        as_then = dict(scope)
        if user is not None:
            as_then["user"] = user
        if session is not None:
            as_then["session"] = of_the_kind_of(scope.get("session"), session)
        return as_then


def _asking(request: _AsgiRequest, receive: Receive, send: Send) -> tuple[Receive, Send]:
    """Wrap *receive* and *send* so that they also call the callbacks when an event is waiting for the user."""

    async def receiving() -> Message:
        await request.settle()
        return await receive()

    async def sending(message: Message) -> None:
        await request.settle()
        await send(message)

    return receiving, sending


def _looked_through(user: Any) -> Any:
    """Return *user*, or the object behind Channels' lazy user: signing in replaces that object, not the lazy one."""
    functional = sys.modules.get("django.utils.functional")
    if functional is None or not issubclass(type(user), functional.LazyObject):
        return user
    held = user.__dict__.get("_wrapped")
    return user if held is None or held is functional.empty else held


def _untouched(scope: Scope) -> Untouched:
    session = scope.get("session")
    return Untouched(session if issubclass(type(session), dict) else None)  # Channels' session is lazy


def _carrier_of(scope: Scope) -> str | None:
    header = HEADER.encode()
    return next((value.decode("latin-1") for name, value in scope.get("headers", ()) if name.lower() == header), None)


def _device_of(scope: Scope) -> str | None:
    cookies = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name.lower() == b"cookie"]
    return device_of(";".join(cookies))


class _Lifespan:
    """Handles the server's start and stop, and flushes before the stop is complete."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._known = False

    async def run(self, app: App, scope: Scope) -> None:
        try:
            await app(scope, self._receiving, self._sending)
        except Exception as error:
            if self._known:
                raise
            if not _is_about_the_scope(error):
                log(
                    logging.WARNING,
                    "the application raised %s before its lifespan began. If the server runs anyway, it does not "
                    "announce its shutdown, and items still waiting then are delivered only by the exit handler.",
                    type(error).__name__,
                )
                raise
            log(
                logging.INFO,
                "the application does not support the lifespan protocol: it raised %s",
                type(error).__name__,
            )
        if not self._known:
            # The app does not support the lifespan: it raises, as Django's does, or returns. The server would then
            # not send the shutdown message either, so this class handles the protocol in its place.
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


def _is_about_the_scope(error: Exception) -> bool:
    """Whether an app raised *error* because it does not support the lifespan scope.

    Django and Channels raise ValueError and name the scope type. Others assert a type, or look up a key that only a
    request's scope has. Anything else is a failure at startup, which the server has to see.
    """
    if isinstance(error, KeyError):
        return error.args[:1] in _ONLY_REQUESTS_HAVE
    if isinstance(error, (AssertionError, NotImplementedError)):
        return True
    text = str(error).lower()
    if isinstance(error, ValueError) and re.search(r"\b(http|websocket)\b(?!:)", text):
        return True
    return "lifespan" in text or "scope type" in text


#: Keys that a request's scope has and the lifespan's scope does not.
_ONLY_REQUESTS_HAVE = [
    (key,) for key in ("client", "headers", "http_version", "method", "path", "query_string", "raw_path", "scheme")
]


async def _flush() -> None:
    tracker = get_tracker()
    if tracker is not None and not await tracker.aflush_at_end():
        log(
            logging.WARNING,
            "the server is shutting down with items still undelivered: see stats(), and raise shutdown_limit to wait "
            "longer",
        )
