"""Django's user and session: read without marking the session as accessed, and before the user changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends.base import SessionBase
from django.utils.functional import LazyObject, empty

from journy_track._model.identity import UserIdentified, is_email

#: Not imported, because it needs the app `django.contrib.auth`.
_MIDDLEWARE = "django.contrib.auth.middleware"


def default_user(request: Any) -> UserIdentified | None:
    """Return the primary key and e-mail of `request.user`; `None` for an anonymous visitor."""
    user = loaded_user(request)
    if user is None:
        user = getattr(request, "user", None)
    return None if user is None else identified(user)


def identified(user: Any) -> UserIdentified | None:
    """Return the journy.io identity of *user*, an object of Django's user model or a similar one."""
    if not getattr(user, "is_authenticated", False):
        return None
    key = getattr(user, "pk", None)
    email = _email_of(user)
    return UserIdentified(key, email) if key is not None or email is not None else None


def _email_of(user: Any) -> str | None:
    """Return the e-mail if it can be read: `request.user` may be a class of the project's own, or of a library."""
    try:
        name = user.get_email_field_name()
    except Exception:  # noqa: BLE001 - the app's own code ran, or there is no such method
        name = "email"
    try:
        email = getattr(user, name, None)
    except Exception:  # noqa: BLE001 - as above; the primary key is enough
        return None
    return email if isinstance(email, str) and is_email(email) else None


def loaded_user(request: Any) -> Any | None:
    """Return the request's user if it is already in memory: accessing `request.user` may load the session."""
    known = request.__dict__
    user = known.get("user")
    if isinstance(user, LazyObject) and user.__dict__.get("_wrapped", empty) is empty:
        if not _is_djangos(user):
            return None
        user = known.get("_cached_user")
        return known.get("_acached_user") if user is None else user
    return user


def _is_djangos(lazy: LazyObject) -> bool:
    """Whether Django's own middleware made *lazy*: then the user cached on the request is the same."""
    return bool(getattr(lazy.__dict__.get("_setupfunc"), "__module__", "") == _MIDDLEWARE)


async def load_user(request: Any) -> None:
    user = request.__dict__.get("user")
    if loaded_user(request) is not None or user is None:
        return
    if hasattr(request, "auser") and _is_djangos(user):
        # `auser()` caches the user on the request it was made for, and this request may be a copy of that.
        request.__dict__["_acached_user"] = await request.auser()
    else:  # Django 4.2, or a lazy user of the project's own
        await sync_to_async(default_user, thread_sensitive=True)(request)


class Identities(Protocol):
    """A request in which items may wait for their user."""

    def identity_ends(self) -> None:
        """Give the waiting items the current user, before that changes. Called where sync code may run."""

    async def identity_ends_async(self) -> None:
        """Like `identity_ends`, in async code."""


class WatchedSession:
    """The session of an async request with waiting items, which get their user before the session gets another one.

    Django's `alogin()` sends its signal when the earlier user is already gone. Before that, it flushes the session or
    cycles its key, which is what this class intercepts.
    """

    def __init__(self, tracked: Identities) -> None:
        self._tracked = tracked
        self._busy = False
        self.watched = False

    def watch(self, request: Any) -> None:
        """Start watching the session of *request*."""
        session = request.__dict__.get("session")
        if self.watched or not isinstance(session, SessionBase):
            return
        self.watched = True
        for name in ("flush", "cycle_key"):
            setattr(session, name, self._before(getattr(session, name)))
        for name in ("aflush", "acycle_key"):
            if hasattr(session, name):
                setattr(session, name, self._before_async(getattr(session, name)))

    def _before(self, change: Callable[[], Any]) -> Callable[[], Any]:
        def changing() -> Any:
            if not self._busy:  # looking up the user may itself flush an invalid session
                self._busy = True
                try:
                    self._tracked.identity_ends()
                finally:
                    self._busy = False
            return change()

        return changing

    def _before_async(self, change: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
        async def changing() -> Any:
            if not self._busy:
                self._busy = True
                try:
                    await self._tracked.identity_ends_async()
                finally:
                    self._busy = False
            return await change()

        return changing
