"""Django: who acts, for each request; as a middleware that suits sync and async stacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import get_ident
from typing import Any, Protocol, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import LazyObject, empty
from django.utils.module_loading import import_string

from journy_track._capture.bodies import Body
from journy_track._capture.context import enter, leave, live_frame
from journy_track._capture.pending import NOBODY, Answer
from journy_track._model.identity import UserIdentified
from journy_track.integrations._requests import COOKIE, Callbacks, Request, device_in
from journy_track.integrations._requests import is_async as needs_await
from journy_track.integrations._streams import Stream, async_stream

__all__ = ["JournyMiddleware"]

_OPTIONS = ("user", "account", "metadata", "link_devices")


class HttpRequest(Protocol):
    """Django's request, as far as it is used here."""

    COOKIES: Mapping[str, str]


class HttpResponse(Protocol):
    """Django's response, as far as it is used here."""

    streaming: bool


class JournyMiddleware:
    """A scope for each request, in sync and async stacks alike.

        MIDDLEWARE += ["journy_track.integrations.django.JournyMiddleware"]   # after Django's authentication

    The user is `request.user` (primary key and e-mail), asked for when an event needs it: a page that tracks
    nothing costs no query, and none gains ``Vary: Cookie``. In an async stack events wait for
    ``request.auser()``, which is asked at the end of the request, or before the body where that is streamed.
    Otherwise say who in the settings, as paths of functions of the request:

        JOURNY = {"account": "shop.tracking.account_of", "user": ..., "metadata": ..., "link_devices": True}

    They answer an ID (or `UserIdentified`, `AccountIdentified`), `None` for nobody, or a mapping; they may touch
    ``request.user`` and the database, and be async in an async stack. *link_devices*: link the `__journey`
    cookie's device to the user, once for each device and user in this process. Another option, a path that cannot be
    imported, or an async function in a sync stack raises Django's `ImproperlyConfigured` at start-up.

    Served by uvicorn, wrap the application in `asgi.JournyMiddleware` too, without arguments: that delivers at
    the server's end, which Django is not told of.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        self._async = bool(iscoroutinefunction(get_response))
        self._given = _callbacks_of(getattr(settings, "JOURNY", {}))
        self._callbacks = _in_threads(self._given) if self._async else self._given
        if self._async:
            markcoroutinefunction(self)
        elif self._given.any_async:
            raise ImproperlyConfigured("JOURNY names an async function: that needs an async stack of middlewares")

    def __call__(self, request: HttpRequest) -> Any:
        tracked = _DjangoRequest(self._callbacks, self._given, request, self._async)
        return self._serve_async(request, tracked) if self._async else self._serve(request, tracked)

    def _serve(self, request: HttpRequest, tracked: _DjangoRequest) -> HttpResponse:
        entry = enter(tracked.change)
        try:
            response: HttpResponse = self._get_response(request)
            if _streams(response):
                _wrap(response, tracked)
            else:
                tracked.close(tracked.ask)
        except BaseException:
            tracked.close(tracked.ask)
            raise
        finally:
            leave(entry)
        return response

    async def _serve_async(self, request: HttpRequest, tracked: _DjangoRequest) -> HttpResponse:
        entry = enter(tracked.change)
        try:
            response: HttpResponse = await self._get_response(request)
            if _streams(response):
                # Before the body: where its client goes away it is closed, and nothing can be awaited any more.
                tracked.pending.close(await tracked.ask_async())
                _wrap(response, tracked)
            else:
                await tracked.close_async(tracked.ask_async)
        except GeneratorExit:  # the event loop was closed, the same
            tracked.close(None)
            raise
        except BaseException:
            await tracked.close_async(tracked.ask_async)
            raise
        finally:
            leave(entry)
        return response


# ── Who acts ─────────────────────────────────────────────────────────────────────────────────────────────


class _DjangoRequest(Request):
    """A request whose user is asked for without a trace in its session."""

    def __init__(self, callbacks: Callbacks, given: Callbacks, request: HttpRequest, is_async: bool) -> None:
        device = device_in(request.COOKIES.get(COOKIE)) if callbacks.link_devices else None
        super().__init__(callbacks, self._now, device)
        self._given = given
        self._request = request
        self._own_thread = get_ident()
        self._async = is_async
        self._default_user = callbacks.functions.get("user") is default_user
        request.__dict__["_journy_track"] = self

    @property
    def new_device(self) -> bool:
        # A link alone is not worth a query.
        return super().new_device and loaded_user(self._request) is not None

    def ask(self) -> Answer | None:
        """In a sync stack, on the request's own thread."""
        if get_ident() != self._own_thread:
            return None
        with _Untouched(self._request):
            return self._callbacks.ask(self._request, last_chance=True)

    async def ask_async(self) -> Answer | None:
        """In an async stack."""
        with _Untouched(self._request):
            if self._default_user:
                await _load_user(self._request)
            return await self._callbacks.ask_async(self._request, last_chance=True)

    def signed_in(self) -> None:
        """Who it was until now, nobody can say any more; for what comes it has to be asked anew."""
        if self._default_user:
            self.pending.settle(NOBODY)
        self.pending.renew()

    def signing_out(self, user: Any) -> None:
        """What waits is still *user*'s. Django tells where sync code may run, also of an async view's sign-out."""
        if self.pending.waiting:
            answer: Answer | None = None
            if not self._given.any_async:
                with _Untouched(self._request):
                    answer = self._given.ask(self._request, last_chance=True)
            elif self._default_user and user is not None:
                answer = Answer(user=_identified(user))
            self.pending.settle(replace(answer or NOBODY, lasting=False))
        self.pending.renew()

    def _now(self) -> Answer | None:
        if self._async:
            known = not self._callbacks.any_async and loaded_user(self._request) is not None
            return self._callbacks.ask(self._request) if known else None
        if get_ident() != self._own_thread:
            return None
        with _Untouched(self._request):
            return self._callbacks.ask(self._request)


def default_user(request: Any) -> UserIdentified | None:
    """The primary key and e-mail of `request.user`; `None` for a visitor."""
    user = loaded_user(request)
    if user is None:
        user = getattr(request, "user", None)
    return None if user is None else _identified(user)


def _identified(user: Any) -> UserIdentified | None:
    if not user.is_authenticated:
        return None
    return UserIdentified(user.pk, getattr(user, user.get_email_field_name(), None) or None)


def loaded_user(request: Any) -> Any | None:
    """The request's user, where it is in memory already: looking at `request.user` may ask the session."""
    known = request.__dict__
    user = known.get("user")
    if isinstance(user, LazyObject) and user.__dict__.get("_wrapped", empty) is empty:
        user = known.get("_cached_user")
        return known.get("_acached_user") if user is None else user
    return user


async def _load_user(request: Any) -> None:
    if loaded_user(request) is not None or "user" not in request.__dict__:
        return
    if hasattr(request, "auser"):
        await request.auser()
    else:  # Django 4.2
        await sync_to_async(default_user, thread_sensitive=True)(request)


class _Untouched:
    """Asks the session without saying so: an accessed one makes Django add ``Vary: Cookie`` to the response."""

    def __init__(self, request: Any) -> None:
        self._session = request.__dict__.get("session")
        self._accessed = self._modified = False

    def __enter__(self) -> None:
        if self._session is not None:
            self._accessed, self._modified = self._session.accessed, self._session.modified

    def __exit__(self, *_: object) -> None:
        # One that is changed, as where its hash is outdated, has to be saved.
        if self._session is not None and self._session.modified == self._modified:
            self._session.accessed = self._accessed


def _on_login(request: Any = None, **_: Any) -> None:
    tracked = getattr(request, "_journy_track", None)
    if tracked is not None:
        tracked.signed_in()


def _on_logout(request: Any = None, user: Any = None, **_: Any) -> None:
    tracked = getattr(request, "_journy_track", None)
    if tracked is not None:
        tracked.signing_out(user)


user_logged_in.connect(_on_login, dispatch_uid="journy_track")
user_logged_out.connect(_on_logout, dispatch_uid="journy_track")


# ── Streamed bodies ──────────────────────────────────────────────────────────────────────────────────────


def _streams(response: Any) -> bool:
    # A file runs nothing of the app, and the server wants to see that it is one.
    return bool(getattr(response, "streaming", False)) and getattr(response, "file_to_stream", None) is None


def _wrap(response: Any, tracked: _DjangoRequest) -> None:
    """Run each step of the body in the request's scope, which ends with it."""
    # What it was given: `streaming_content` is a map over that, and closes nothing.
    content = getattr(response, "_iterator", response.streaming_content)
    body = Body(live_frame())
    if response.is_async:
        response.streaming_content = async_stream(content, body, lambda: tracked.close(None))
        return
    response.streaming_content = Stream(content, body, lambda: tracked.close(tracked.ask))
    closers = getattr(response, "_resource_closers", [])
    closers.insert(0, closers.pop())  # ours first: it closes the content in the request's scope


# ── Settings ─────────────────────────────────────────────────────────────────────────────────────────────


def _callbacks_of(given: Any) -> Callbacks:
    if not isinstance(given, Mapping) or not all(option in _OPTIONS for option in given):
        raise ImproperlyConfigured(f"JOURNY must be a dict with some of {', '.join(_OPTIONS)}, got {given!r}")
    functions: dict[str, Callable[..., Any] | None] = {"user": default_user, "account": None, "metadata": None}
    for option in functions:
        if given.get(option) is not None:
            functions[option] = _function(option, given[option])
    return Callbacks(**functions, link_devices=bool(given.get("link_devices", False)))


def _in_threads(given: Callbacks) -> Callbacks:
    """For an async stack: sync functions run where Django runs sync views."""
    functions = {
        option: function
        if function is default_user or needs_await(function)
        else sync_to_async(function, thread_sensitive=True)
        for option, function in given.functions.items()
    }
    return Callbacks(
        functions.get("user"), functions.get("account"), functions.get("metadata"), link_devices=given.link_devices
    )


def _function(option: str, value: Any) -> Callable[..., Any]:
    if callable(value):
        return cast("Callable[..., Any]", value)
    try:
        return cast("Callable[..., Any]", import_string(value))
    except (ImportError, AttributeError, TypeError) as error:
        raise ImproperlyConfigured(f"JOURNY[{option!r}]: {value!r} cannot be imported") from error
