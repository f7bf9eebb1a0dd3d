"""WSGI: who acts, for each request of any WSGI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from journy_track._capture.context import Frame, live_frame, set_frame
from journy_track.integrations._requests import Callback, Callbacks, Request, device_of

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["JournyMiddleware"]


class JournyMiddleware:
    """A scope for each request of a WSGI application.

        app = JournyMiddleware(app, user=lambda environ: environ.get("REMOTE_USER"))

    *user*, *account* and *metadata* get the environ and answer an ID (or `UserIdentified`,
    `AccountIdentified`), `None` for nobody, or a mapping. They are called when an event needs them, on the
    thread that captures it, and once somebody was found not again in that request. *link_devices*: link the
    `__journey` cookie's device to that user, once for each device and user in this process.
    Raises `ConfigurationError` for what is no function.

    The call, the iteration over the body and its close run in one copy of the context, so a streamed body sees
    the request's user, and the next request on that thread does not.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        user: Callback | None = None,
        account: Callback | None = None,
        metadata: Callback | None = None,
        link_devices: bool = False,
    ) -> None:
        self._app = app
        self._callbacks = Callbacks(user, account, metadata, link_devices=link_devices)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def ask(last_chance: bool = False) -> Any:
            return self._callbacks.ask(environ, last_chance=last_chance)

        request = Request(self._callbacks, ask, device_of(environ.get("HTTP_COOKIE")))
        return in_own_context(self._app, environ, start_response, request, lambda: ask(last_chance=True))


def in_own_context(
    app: WSGIApplication,
    environ: WSGIEnvironment,
    start_response: StartResponse,
    request: Request,
    ask: Callable[[], Any] | None,
) -> Iterable[bytes]:
    """Run *app*, its body and the body's close in a context of the request's own."""
    context = copy_context()

    def call() -> Iterable[bytes]:
        set_frame(Frame(live_frame(), None, request.change))  # never left: this context ends with the request
        return app(environ, start_response)

    try:
        body = context.run(call)
    except BaseException:
        context.run(request.close, ask)
        raise
    if type(body) in (list, tuple) or _is_file(body, environ):
        # Nothing of the app runs while these are sent, and the server looks at their type.
        context.run(request.close, ask)
        return body
    return _Body(body, context, request, ask)


def _is_file(body: Iterable[bytes], environ: WSGIEnvironment) -> bool:
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)


class _Body:
    """A response's body, each of its steps in the request's context."""

    def __init__(
        self, body: Iterable[bytes], context: Context, request: Request, ask: Callable[[], Any] | None
    ) -> None:
        self._body = body
        self._context = context
        self._request = request
        self._ask = ask
        self._next: Callable[[], bytes] | None = None

    def __iter__(self) -> _Body:
        return self

    def __next__(self) -> bytes:
        if self._next is None:
            self._next = self._context.run(iter, self._body).__next__
        return self._context.run(self._next)

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                self._context.run(close)
        finally:
            self._context.run(self._request.close, self._ask)
