"""Flask: the user of each request of an app."""

from __future__ import annotations

from collections.abc import Iterable
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flask import Flask, Response, g, request
from flask.globals import app_ctx, request_ctx

from journy_track._capture.carrier import HEADER
from journy_track._capture.request import Actor, Moment, same
from journy_track._capture.routes import look_at
from journy_track._model.loops import in_asyncio
from journy_track.integrations._requests import Callback, Callbacks, SyncRequest, device_of
from journy_track.integrations._sessions import Contents, Untouched
from journy_track.integrations._trust import Trust, trusted
from journy_track.integrations.wsgi import in_scope

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

__all__ = ["JournyTrack", "instrument_flask"]

F = TypeVar("F", bound=Flask)


def instrument_flask(
    app: F,
    *,
    user: Callback | None = None,
    account: Callback | None = None,
    metadata: Callback | None = None,
    skip: Callback | None = None,
    trust: Trust = None,
    link_devices: bool = False,
) -> F:
    """Run each request of a Flask app in its own scope. Returns *app*.

        instrument_flask(app, user=lambda: current_user.get_id())

    - *user*, *account* and *metadata* are called without arguments, in the request's own Flask context. The first two
      return an ID (or a `UserIdentified` or `AccountIdentified`) or `None`; *metadata* returns a mapping or `None`.
      They are called when an event needs them. Once they have found somebody, they are called again only if the
      session or Flask-Login's user has changed; if your user comes from elsewhere, call `set_user()` when it changes.
      Events captured on other threads wait for them, at most until the request's context ends; events in an async
      view do not wait.
    - *link_devices* links the device in the `__journey` cookie to that user, once per device and user in each
      process.
    - *skip* is called first. If it returns true, or raises, nothing in that request is tracked, except deletes and
      removals; see `journy_track.suppressed()`.
    - *trust* decides whether to believe the header that another of your services sends (see `propagate_to`): a
      function, or `"signed"` if both services have the same `carrier_secret`. What the other functions return takes
      precedence.

    Raises `ConfigurationError` if one of them is not a function.

    A streamed body sees the request's user, and the next request on that thread does not.
    """
    JournyTrack(app, user=user, account=account, metadata=metadata, skip=skip, trust=trust, link_devices=link_devices)
    return app


class JournyTrack:
    """The earlier name of `instrument_flask`, as a Flask extension: ``JournyTrack(app)``, with the same options.

    With an application factory, use ``journy = JournyTrack(user=...)`` and later ``journy.init_app(app)``.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        user: Callback | None = None,
        account: Callback | None = None,
        metadata: Callback | None = None,
        skip: Callback | None = None,
        trust: Trust = None,
        link_devices: bool = False,
    ) -> None:
        self._callbacks = Callbacks(
            user, account, metadata, skip=skip, carried=trusted(trust, _carrier), link_devices=link_devices
        )
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Run each request of *app* in its own scope."""
        app.extensions["journy_track"] = self
        app.after_request(_after)
        app.teardown_request(_teardown)
        app.wsgi_app = _AroundRequests(app, self._callbacks)  # type: ignore[method-assign]


class _AroundRequests:
    """Wraps the app's `wsgi_app`, and so everything that Flask does for a request."""

    def __init__(self, app: Flask, callbacks: Callbacks) -> None:
        self._inner = app.wsgi_app
        self._app = app
        self._callbacks = callbacks
        self._looked = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        tracked = _FlaskRequest(self._callbacks, environ)
        environ[_KEY] = tracked
        body = in_scope(self._inner, environ, start_response, tracked)
        if not self._looked:
            self._looked = True
            look_at(self._app)
        return body


class _FlaskRequest(SyncRequest):
    """A request whose callbacks need its Flask context."""

    __slots__ = ("_contents", "_own_thread", "_seen")

    def __init__(self, callbacks: Callbacks, environ: WSGIEnvironment) -> None:
        super().__init__(callbacks, device_of(environ.get("HTTP_COOKIE")) if callbacks.link_devices else None)
        self._own_thread = get_ident()
        self._seen: Moment = (None, None)
        self._contents: Contents | None = None

    def moment(self) -> Moment:
        """Flask-Login's user and the session's contents."""
        if not self._is_current():
            return self._seen
        if self._contents is None:
            self._contents = Contents()
        self._seen = (g.get("_login_user"), self._contents.of(_session()))
        return self._seen

    def ask_now(self, moment: Moment) -> Actor | None:
        # Also on an async view's own thread, since the request's thread waits for it. Other threads run concurrently.
        if get_ident() != self._own_thread and not in_asyncio():
            return None
        return self._asked() if self._is_current() and (moment is self._seen or same(moment, self.moment())) else None

    def ask_last(self, moment: Moment) -> Actor | None:
        """Ask at the end of the request: in a test client's `with` block, Flask's context still exists then."""
        return self._asked(last_chance=True) if self._is_current() and same(moment, self.moment()) else None

    def ask_for_good(self) -> None:
        """Ask while the Flask context exists; the result is also used after the context has ended."""
        if (pending := self.pending) is not None:
            pending.close(self._asked(last_chance=True))

    def _asked(self, *, last_chance: bool = False) -> Actor | None:
        with Untouched(_session()):
            return self._callbacks.ask(last_chance=last_chance)

    def _is_current(self) -> bool:
        return _current() is self


#: The environ key that holds our request.
_KEY = "journy_track.request"


def _current() -> _FlaskRequest | None:
    """Return the request of the current Flask context."""
    try:
        known = request._get_current_object()  # type: ignore[attr-defined]  # documented for whoever needs it itself
    except RuntimeError:  # there is none
        return None
    found: _FlaskRequest | None = known.environ.get(_KEY)
    return found


def _carrier() -> str | None:
    return request.headers.get(HEADER)


def _session() -> Any:
    """Return the session without marking it as accessed, which would make the response vary by cookie."""
    for context in (request_ctx, app_ctx):  # one and the same from Flask 3.2 on
        known = vars(cast("Any", context)._get_current_object())
        if (session := known.get("_session", known.get("session"))) is not None:
            return session
    return None


def _after(response: Response) -> Response:
    if response.is_streamed and (tracked := _current()) is not None:
        tracked.ask_for_good()  # Flask's context is gone when the body is produced
    return response


def _teardown(_: Any) -> None:
    tracked = _current()
    if tracked is not None and tracked.unanswered:
        tracked.ask_for_good()
