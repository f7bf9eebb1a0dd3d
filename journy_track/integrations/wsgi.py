"""WSGI: the user of each request, for any WSGI application."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from journy_track._capture.carrier import HEADER
from journy_track._capture.context import current_frame, live_frame, scoped, set_frame
from journy_track._capture.request import Actor, Moment, same
from journy_track._capture.routes import look_at
from journy_track.integrations._requests import Callback, Callbacks, SyncRequest, device_of
from journy_track.integrations._streams import Stream
from journy_track.integrations._trust import Trust, trusted

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["JournyMiddleware"]


class JournyMiddleware:
    """Run each request of a WSGI application in its own scope.

        app = JournyMiddleware(app, user=lambda environ: environ.get("REMOTE_USER"))

    - *user*, *account* and *metadata* are called with the environ. The first two return an ID (or a `UserIdentified`
      or `AccountIdentified`) or `None`; *metadata* returns a mapping or `None`. They are called when an event needs
      them, on the thread that captures it. Once they have found somebody, they are called again only if
      ``REMOTE_USER`` has changed.
    - *link_devices* links the device in the `__journey` cookie to that user, once per device and user in each
      process.
    - *skip* gets the same argument and is called first. If it returns true, or raises, nothing in that request is
      tracked, except deletes and removals; see `journy_track.suppressed()`.
    - *trust* decides whether to believe the header that another of your services sends (see `propagate_to`): a
      function with the same argument, or `"signed"` if both services have the same `carrier_secret`. What the other
      functions return takes precedence.

    Raises `ConfigurationError` if one of them is not a function.

    The application's call, the iteration over its body and the body's `close()` all run in the request's scope. A
    streamed body therefore sees the request's user, and the next request on that thread does not.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        user: Callback | None = None,
        account: Callback | None = None,
        metadata: Callback | None = None,
        skip: Callback | None = None,
        trust: Trust = None,
        link_devices: bool = False,
    ) -> None:
        self._app = app
        self._callbacks = Callbacks(
            user, account, metadata, skip=skip, carried=trusted(trust, _carrier_of), link_devices=link_devices
        )
        self._looked = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not self._looked:
            self._looked = True
            look_at(getattr(self._app, "__self__", self._app))  # usually `app.wsgi_app`, a method of a Flask app
        return in_scope(self._app, environ, start_response, _WsgiRequest(self._callbacks, environ))


class _WsgiRequest(SyncRequest):
    """A request of which only the environ is known."""

    __slots__ = ("_environ",)

    def __init__(self, callbacks: Callbacks, environ: WSGIEnvironment) -> None:
        super().__init__(callbacks, device_of(environ.get("HTTP_COOKIE")) if callbacks.link_devices else None)
        self._environ = environ

    def moment(self) -> Moment:
        return (self._environ.get("REMOTE_USER"),)

    def ask_now(self, moment: Moment) -> Actor | None:
        return self._callbacks.ask(self._as_of(moment))

    def ask_last(self, moment: Moment) -> Actor | None:
        return self._callbacks.ask(self._as_of(moment), last_chance=True)

    def _as_of(self, moment: Moment) -> WSGIEnvironment:
        return self._environ if same(moment, self.moment()) else {**self._environ, "REMOTE_USER": moment[0]}


def _carrier_of(environ: WSGIEnvironment) -> str | None:
    found: str | None = environ.get(_HEADER)
    return found


#: The carrier's header, as WSGI spells it.
_HEADER = "HTTP_" + HEADER.upper().replace("-", "_")


def in_scope(
    app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse, request: SyncRequest
) -> Iterable[bytes]:
    """Run *app*, the iteration over its body and the body's `close()` in the request's scope.

    They run in the caller's own context, not in a copy of it: Flask's test client keeps a request's context for its
    caller.
    """
    server = current_frame()
    set_frame(scoped(live_frame(), request.cell))
    try:
        body = app(environ, start_response)
        if type(body) in (list, tuple) or _is_file(body, environ):
            # No app code runs while these are sent, and the server checks their type.
            request.finish()
            return body
        return Stream(body, current_frame(), request.finish)
    except BaseException:
        request.finish()
        raise
    finally:
        set_frame(server)


def _is_file(body: Iterable[bytes], environ: WSGIEnvironment) -> bool:
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)
