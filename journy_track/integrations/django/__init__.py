"""Django: a middleware that provides the user of each request, in sync and async stacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import get_ident
from typing import Any, Protocol

from asgiref.sync import SyncToAsync, iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.apps import apps as installed_apps  # `apps` is a module of this package
from django.conf import settings
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.exceptions import ImproperlyConfigured
from django.urls import get_resolver

from journy_track._capture.bodies import Body
from journy_track._capture.carrier import HEADER
from journy_track._capture.context import current_frame, enter, leave, live_frame, scoped, set_frame
from journy_track._capture.request import Actor, Moment, Pending, same
from journy_track._capture.routes import look_at
from journy_track._model.errors import ConfigurationError
from journy_track._model.loops import in_asyncio
from journy_track.integrations._requests import COOKIE, Callbacks, SyncRequest, device_in
from journy_track.integrations._requests import is_async as needs_await
from journy_track.integrations._sessions import Untouched
from journy_track.integrations._streams import Stream, async_stream
from journy_track.integrations._trust import trusted
from journy_track.integrations.django._settings import OPTIONS, function_of, keys_of
from journy_track.integrations.django._user import WatchedSession, default_user, load_user, loaded_user

__all__ = ["JournyMiddleware"]

#: The attribute of Django's request that holds ours until it is closed.
_KEY = "_journy_track"


class RequestLike(Protocol):
    """The part of Django's request that is used here."""

    COOKIES: Mapping[str, str]


class ResponseLike(Protocol):
    """The part of Django's response that is used here."""

    streaming: bool


class JournyMiddleware:
    """Run each request in its own scope, in sync and async stacks alike.

        MIDDLEWARE += ["journy_track.integrations.django.JournyMiddleware"]   # after Django's authentication

    The user is `request.user`: its primary key and e-mail address. It is looked up when an event needs it, so a
    page that tracks nothing costs no query and does not gain ``Vary: Cookie``. It may be any object with a `pk`. If
    it changes within the request, each event gets the user at the time of the event. In async code, events wait
    until the user is loaded: before a sign-in or sign-out, and at the latest at the end of the request, or before
    its body if that is streamed.

    To determine the user or account differently, set functions of the request in the settings, by import path:

        JOURNY = {"account": "shop.tracking.account_of", "user": ..., "metadata": ..., "link_devices": True}
        JOURNY |= {"skip": "shop.tracking.is_staff", "trust": "signed", "snippet": {"domain": "shop.example"}}
        JOURNY |= {"sync": {...}, "events": {...}}

    - *user* and *account* return an ID (or a `UserIdentified` or `AccountIdentified`) or `None`; *metadata* returns a
      mapping or `None`. They may use ``request.user`` and the database, and may be async in an async stack.
    - *link_devices* links the device in the `__journey` cookie to that user, once per device and user in each
      process.
    - *skip* gets the same argument and is called first. If it returns true, or raises, nothing in that request is
      tracked, except deletes and removals; see `journy_track.suppressed()`.
    - *trust* decides whether to believe the header that another of your services sends (see `propagate_to`): a
      function with the same argument, or `"signed"` if both services have the same `carrier_secret`. What the other
      functions return takes precedence.
    - *snippet* configures the template tag of `django_snippet`. *sync* and *events* configure the Django app: see
      `JournyConfig`.

    An unknown option, a path that cannot be imported, or an async function in a sync stack raises Django's
    `ImproperlyConfigured` at startup.

    Under uvicorn, also wrap the application in `asgi.JournyMiddleware`, without arguments. It delivers when the
    server stops; Django is not notified of that.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        self._looked = False
        self._async = bool(iscoroutinefunction(get_response))
        self._given = _callbacks_of(getattr(settings, "JOURNY", {}))
        self._callbacks = _in_threads(self._given) if self._async else self._given
        if self._async:
            markcoroutinefunction(self)
        elif self._given.any_async:
            raise ImproperlyConfigured("JOURNY names an async function: that needs an async stack of middlewares")

    def __call__(self, request: RequestLike) -> Any:
        if not self._looked:
            with suppress(Exception):  # Django itself reports invalid URLs
                look_at(get_resolver())
                self._looked = True
        tracked = _DjangoRequest(self._callbacks, self._given, request, self._async)
        return self._serve_async(request, tracked) if self._async else self._serve(request, tracked)

    def _serve(self, request: RequestLike, tracked: _DjangoRequest) -> ResponseLike:
        server = current_frame()
        set_frame(scoped(live_frame(), tracked.cell))
        try:
            response: ResponseLike = self._get_response(request)
            if _streams(response):
                _wrap(response, tracked)
            else:
                tracked.finish()
        except BaseException:
            tracked.finish()
            raise
        finally:
            set_frame(server)
        return response

    async def _serve_async(self, request: RequestLike, tracked: _DjangoRequest) -> ResponseLike:
        entry = enter(tracked.cell)
        try:
            response: ResponseLike = await self._get_response(request)
            if _streams(response):
                # Before the body: if the client disconnects, the body is closed and nothing can be awaited any more.
                await tracked.settle_earlier_async(tracked.ask_async)
                if tracked.pending is not None:
                    tracked.pending.close(await tracked.ask_async(tracked.moment()))
                _wrap(response, tracked)
            elif not tracked.end():
                await tracked.close_async(tracked.ask_async)
        except GeneratorExit:  # the event loop was closed: nothing can be awaited here either
            tracked.close(None)
            raise
        except BaseException:
            await tracked.close_async(tracked.ask_async)
            raise
        finally:
            leave(entry)
        return response


# ── Who acts ─────────────────────────────────────────────────────────────────────────────────────────────


class _DjangoRequest(SyncRequest):
    """A request whose user is looked up without marking the session as accessed. *is_async*: in an async stack."""

    __slots__ = ("_async", "_given", "_own_thread", "_request", "_session")

    def __init__(self, callbacks: Callbacks, given: Callbacks, request: RequestLike, is_async: bool) -> None:
        super().__init__(callbacks, device_in(request.COOKIES.get(COOKIE)) if callbacks.link_devices else None)
        self._given = given
        self._request = request
        self._own_thread = get_ident()
        self._async = is_async
        self._session: WatchedSession | None = None
        request.__dict__[_KEY] = self

    @property
    def new_device(self) -> bool:
        # Linking a device alone does not justify a query.
        return super().new_device and loaded_user(self._request) is not None

    def moment(self) -> Moment:
        """The request's current user: a middleware, a sign-in or Django REST framework may replace it."""
        known = self._request.__dict__
        return known.get("user"), known.get("auser")

    def ask_last(self, moment: Moment) -> Actor | None:
        # Only on the request's own thread, in a sync stack.
        if get_ident() != self._own_thread:
            return None
        return self._asked(self._callbacks, moment, last_chance=True)

    async def ask_async(self, moment: Moment) -> Actor | None:
        """Ask in an async stack."""
        request = self._as_of(moment)
        with Untouched(request.__dict__.get("session")):
            if self._callbacks.functions.get("user") is default_user:
                await load_user(request)
            return await self._callbacks.ask_async(request, last_chance=True)

    # At its end, the reference cycle is removed, so that the request is freed when Django drops it. Later sign-ins do
    # not matter.

    def end(self) -> bool:
        ended = super().end()
        if ended:
            self._request.__dict__.pop(_KEY, None)
        return ended

    def _closed(self, pending: Pending | None, answer: Actor | None) -> None:
        super()._closed(pending, answer)
        self._request.__dict__.pop(_KEY, None)

    def signed_in(self) -> None:
        """Handle a sign-in. Waiting events have the previous user, who is unknown if the session was not watched."""
        pending = self.pending
        if pending is None:
            return
        if self._session is None or not self._session.watched:
            pending.settle_unknown()
        pending.renew()

    def identity_ends(self) -> None:
        """Give the waiting events the current user, before that changes. Called where sync code may run."""
        if self._given.any_async:
            return
        self.settle_earlier(self._ask_given)
        pending = self.pending
        if pending is not None and pending.waiting and (answer := self._ask_given(self.moment())) is not None:
            pending.settle_earlier(answer, self.moment())

    async def identity_ends_async(self) -> None:
        """Like `identity_ends`, in async code."""
        await self.settle_earlier_async(self.ask_async)
        pending = self.pending
        if pending is not None and pending.waiting and (answer := await self.ask_async(self.moment())) is not None:
            pending.settle_earlier(answer, self.moment())

    def ask_now(self, moment: Moment) -> Actor | None:
        if not self._async:
            return self._asked(self._callbacks, moment) if get_ident() == self._own_thread else None
        if not self._given.any_async and _in_djangos_thread():
            return self._asked(self._given, moment)
        if self._callbacks.any_async or loaded_user(self._as_of(moment)) is None:
            if self._session is None:
                self._session = WatchedSession(self)
            self._session.watch(self._request)
            return None
        return self._callbacks.ask(self._as_of(moment))

    def _ask_given(self, moment: Moment) -> Actor | None:
        return self._asked(self._given, moment, last_chance=True)

    def _asked(self, callbacks: Callbacks, moment: Moment, *, last_chance: bool = False) -> Actor | None:
        request = self._as_of(moment)
        with Untouched(request.__dict__.get("session")):
            return callbacks.ask(request, last_chance=last_chance)

    def _as_of(self, moment: Moment) -> Any:
        """Return the request as it was at *moment*: a copy, as other code may be using the current one."""
        if same(moment, self.moment()):
            return self._request
        request = object.__new__(type(self._request))
        request.__dict__.update(self._request.__dict__)
        for name, value in zip(("user", "auser"), moment, strict=True):
            request.__dict__.pop(name, None)
            if value is not None:
                request.__dict__[name] = value
        return request


def _in_djangos_thread() -> bool:
    """Whether this is a thread in which Django runs sync code for an async stack."""
    return getattr(SyncToAsync.threadlocal, "main_event_loop", None) is not None and not in_asyncio()


def _on_login(request: Any = None, **_: Any) -> None:
    tracked = getattr(request, _KEY, None)
    if tracked is not None:
        tracked.signed_in()


def _on_logout(request: Any = None, **_: Any) -> None:
    tracked = getattr(request, _KEY, None)
    if tracked is not None:
        tracked.identity_ends()


user_logged_in.connect(_on_login, dispatch_uid="journy_track")
user_logged_out.connect(_on_logout, dispatch_uid="journy_track")


# ── Streamed bodies ──────────────────────────────────────────────────────────────────────────────────────


def _streams(response: Any) -> bool:
    # Sending a file runs no app code, and the server needs to recognise it as a file.
    return bool(getattr(response, "streaming", False)) and getattr(response, "file_to_stream", None) is None


def _wrap(response: Any, tracked: _DjangoRequest) -> None:
    """Run each step of the body in the request's scope, and end the scope with the body."""
    # The app's own iterator: `streaming_content` is a map over it, which does not close it.
    content = getattr(response, "_iterator", response.streaming_content)
    frame = live_frame()
    if response.is_async:
        response.streaming_content = async_stream(content, Body(frame), lambda: tracked.close(None))
        return
    response.streaming_content = Stream(content, frame, tracked.finish)
    closers = getattr(response, "_resource_closers", [])
    closers.insert(0, closers.pop())  # ours runs first: it closes the content in the request's scope


# ── Settings ─────────────────────────────────────────────────────────────────────────────────────────────


def _callbacks_of(given: Any) -> Callbacks:
    keys_of("JOURNY", given, OPTIONS)
    if given.get("events") and not installed_apps.is_installed(__name__):
        raise ImproperlyConfigured(f"JOURNY['events'] needs {__name__!r} in INSTALLED_APPS")
    functions: dict[str, Callable[..., Any] | None] = dict.fromkeys(("account", "metadata", "skip"))
    functions["user"] = default_user
    for option in functions:
        if given.get(option) is not None:
            functions[option] = function_of(f"JOURNY[{option!r}]", given[option])
    trust = given.get("trust")
    try:
        carried = trusted(trust if trust in (None, "signed") else function_of("JOURNY['trust']", trust), _carrier_of)
    except ConfigurationError as error:
        raise ImproperlyConfigured(f"JOURNY: {error}") from error
    return Callbacks(**functions, carried=carried, link_devices=bool(given.get("link_devices", False)))


def _carrier_of(request: Any) -> str | None:
    found: str | None = request.headers.get(HEADER)
    return found


def _in_threads(given: Callbacks) -> Callbacks:
    """Adapt *given* to an async stack: sync functions run on the thread where Django runs sync views."""
    functions = {
        option: function
        if function is default_user or needs_await(function)
        else sync_to_async(function, thread_sensitive=True)
        for option, function in given.functions.items()
    }
    return Callbacks(
        functions.get("user"),
        functions.get("account"),
        functions.get("metadata"),
        skip=functions.get("skip"),
        carried=functions.get("trust"),
        link_devices=given.link_devices,
    )
