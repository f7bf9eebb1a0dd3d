"""Flask: who acts, for each request of an app."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from threading import get_ident
from typing import TYPE_CHECKING, Any

from flask import Flask, Response

from journy_track._capture.pending import Answer
from journy_track.integrations._requests import Callback, Callbacks, Request, device_of
from journy_track.integrations.wsgi import in_own_context

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["JournyTrack"]


class JournyTrack:
    """A scope for each request of a Flask app.

        JournyTrack(app, user=lambda: current_user.get_id())

    or, with an application factory, ``journy = JournyTrack(user=...)`` and ``journy.init_app(app)``.

    *user*, *account* and *metadata* are called in the request's own Flask context and answer an ID (or
    `UserIdentified`, `AccountIdentified`), `None` for nobody, or a mapping. They are called when an event needs
    them, and once somebody was found not again in that request: where its user changes, call `set_user()`.
    Events of other threads wait for them, at the latest until the request's context ends. *link_devices*: link
    the `__journey` cookie's device to that user, once for each device and user in this process.
    Raises `ConfigurationError` for what is no function.

    A streamed body sees the request's user, and the next request on that thread does not.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        user: Callback | None = None,
        account: Callback | None = None,
        metadata: Callback | None = None,
        link_devices: bool = False,
    ) -> None:
        self._callbacks = Callbacks(user, account, metadata, link_devices=link_devices)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Have *app*'s requests run in scopes of their own."""
        app.extensions["journy_track"] = self
        app.after_request(_after)
        app.teardown_request(_teardown)
        app.wsgi_app = _Around(app.wsgi_app, self._callbacks)  # type: ignore[method-assign]


class _Around:
    """The app's WSGI side, around all that Flask does."""

    def __init__(self, app: WSGIApplication, callbacks: Callbacks) -> None:
        self._app = app
        self._callbacks = callbacks

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = _FlaskRequest(self._callbacks, environ.get("HTTP_COOKIE"))
        return in_own_context(request.carrying(self._app), environ, start_response, request, None)


class _FlaskRequest(Request):
    """A request whose callbacks need Flask's own context: that of its thread."""

    def __init__(self, callbacks: Callbacks, cookies: str | None) -> None:
        super().__init__(callbacks, self._now, device_of(cookies))
        self._own_thread = get_ident()

    def carrying(self, app: WSGIApplication) -> WSGIApplication:
        """*app*, called where this request is the current one."""

        def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            _current.set(self)
            return app(environ, start_response)

        return call

    def ask(self, *, needed: bool) -> None:
        """Ask, while there is a Flask context: where that ends, the answer holds for what comes."""
        if needed or self.unanswered:
            self.pending.close(self._callbacks.ask(last_chance=True))

    def _now(self) -> Answer | None:
        return self._callbacks.ask() if get_ident() == self._own_thread else None


_current: ContextVar[_FlaskRequest | None] = ContextVar("journy_track_flask", default=None)


def _after(response: Response) -> Response:
    request = _current.get()
    if request is not None and request.cell.pending is not None and response.is_streamed:
        request.ask(needed=True)  # Flask's context is gone when the body is produced
    return response


def _teardown(_: Any) -> None:
    request = _current.get()
    if request is not None:
        request.ask(needed=False)
