"""What the web integrations share: one request's scope, who acts in it, and the device it came from."""

from __future__ import annotations

import inspect
import threading
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from journy_track._capture.blocks import account_of, user_of
from journy_track._capture.context import UNSET, Cell, Change
from journy_track._capture.pending import Answer, Pending
from journy_track._delivery.notices import Notices
from journy_track._model.errors import ConfigurationError, described
from journy_track._model.frozendict import FrozenDict
from journy_track._model.identity import UserIdentified
from journy_track._model.once import also_forget
from journy_track._model.values import frozen_mapping
from journy_track._runtime import link

#: Gets what the framework knows of the request; answers an ID, an identity or a mapping, or a promise of one.
Callback = Callable[..., Any]
#: The cookie in which journy.io's web snippet keeps the device's ID.
COOKIE = "__journey"
MOST_DEVICES = 10_000
#: Users of one device that are remembered.
MOST_USERS = 10
_LONGEST_DEVICE = 256

_notices = Notices()


class Callbacks:
    """The functions that say who acts: *user*, *account* and *metadata* of a request, each optional.

    One that raises is logged, at most once a minute, and the request goes on without its answer. Raises
    `ConfigurationError` for what is no function.
    """

    def __init__(
        self, user: Callback | None, account: Callback | None, metadata: Callback | None, *, link_devices: bool
    ) -> None:
        given = (("user", user), ("account", account), ("metadata", metadata))
        for name, function in given:
            if function is not None and not callable(function):
                raise ConfigurationError(f"{name} must be a function of the request, got {described(function)}")
        self.functions: dict[str, Callback] = {name: function for name, function in given if function is not None}
        #: Whether one of them has to be awaited.
        self.any_async: bool = any(is_async(function) for function in self.functions.values())
        self.link_devices = link_devices

    def ask(self, *arguments: Any, last_chance: bool = False) -> Answer | None:
        """Their answer; `None` where one raised, which may do better later: unless this is the *last_chance*."""
        given: dict[str, Any] = {}
        failed = False
        for name, function in self.functions.items():
            try:
                value = function(*arguments)
                if inspect.isawaitable(value):  # of a lambda around an async function, which did not show it
                    self._is_async_after_all(name, value, last_chance)
                    failed = True
                else:
                    given[name] = _CHECKED[name](value)
            except Exception as error:  # noqa: BLE001 - contained: the request goes on
                failed = True
                _tell(name, error)
        return None if failed and not last_chance else self._answer(given)

    async def ask_async(self, *arguments: Any, last_chance: bool = False) -> Answer | None:
        """As `ask`, where some of them may have to be awaited."""
        given: dict[str, Any] = {}
        failed = False
        for name, function in self.functions.items():
            try:
                value = function(*arguments)
                while inspect.isawaitable(value):  # a lambda in a thread answers a promise of a promise
                    value = await value
                given[name] = _CHECKED[name](value)
            except Exception as error:  # noqa: BLE001 - contained: the request goes on
                failed = True
                _tell(name, error)
        return None if failed and not last_chance else self._answer(given)

    def _is_async_after_all(self, name: str, value: Any, last_chance: bool) -> None:
        self.any_async = True
        if inspect.iscoroutine(value):
            value.close()  # else Python warns that it was never awaited
        if last_chance:
            _notices.say(
                ("callback", name, "async"),
                "the function that says the request's %s has to be awaited, and nobody can here; the request went on "
                "without it.",
                name,
            )

    def _answer(self, given: dict[str, Any]) -> Answer:
        lasting = all(given.get(name) is not None for name in self.functions)
        return Answer(
            given.get("user", UNSET), given.get("account", UNSET), given.get("metadata") or FrozenDict(), lasting
        )


class Request:
    """One request: the scope that it runs in, and who acts there. *now* answers at capture, where it can."""

    def __init__(self, callbacks: Callbacks, now: Callable[[], Answer | None], device: str | None) -> None:
        self.cell: Cell = Cell()
        self._callbacks = callbacks
        self._device = device if callbacks.link_devices and device else None
        self.pending: Pending = Pending(self.cell, now)
        if callbacks.functions:
            self.cell.pending = self.pending

    @property
    def change(self) -> Change:
        """What opens its scope."""
        return Change(cell=self.cell)

    @property
    def unanswered(self) -> bool:
        """Whether somebody needs to know who acts, and nobody has said so."""
        if self.cell.pending is None:
            return False
        return self.pending.waiting or self.pending.wanted or self.new_device

    @property
    def new_device(self) -> bool:
        """Whether its device was linked to nobody yet, and could be."""
        return _devices.is_new(self._device)

    def close(self, ask: Callable[[], Answer | None] | None) -> None:
        """The request has ended: nothing of it waits any more. *ask* is asked where somebody needs it."""
        try:
            answer = ask() if ask is not None and self.unanswered else None
        except BaseException:
            self._closed(None)
            raise
        self._closed(answer)

    async def close_async(self, ask: Callable[[], Awaitable[Answer | None]]) -> None:
        """As `close`. When it is cancelled, what waits goes on with the identity that is known."""
        answer = None
        try:
            if self.unanswered:
                answer = await ask()
        finally:
            self._closed(answer)

    def _closed(self, answer: Answer | None) -> None:
        self.pending.close(answer)
        user = self.cell.current().user
        if self._device is not None and isinstance(user, UserIdentified):
            _devices.link(self._device, user)


class Devices:
    """Which devices were linked to whom by this process: the latest 10 000, each with its latest users."""

    def __init__(self) -> None:
        self._linked: dict[str, tuple[UserIdentified, ...]] = {}
        self._lock = threading.Lock()

    def is_new(self, device: str | None) -> bool:
        """Whether it was linked to nobody yet."""
        return device is not None and device not in self._linked

    def link(self, device: str, user: UserIdentified) -> None:
        """Link *device* to *user*, unless that was done."""
        with self._lock:
            users = self._linked.pop(device, ())
            self._linked[device] = users if user in users else (*users, user)[-MOST_USERS:]
            if len(self._linked) > MOST_DEVICES:
                del self._linked[next(iter(self._linked))]
        if user not in users:
            link(device, user=user)

    def forget(self) -> None:
        """As if none had been linked. For tests."""
        with self._lock:
            self._linked.clear()


_devices = Devices()
also_forget(_devices.forget)
also_forget(_notices.forget)


def device_of(cookies: str | None) -> str | None:
    """The device in the text of a `Cookie` header. Whoever sends it may write anything there."""
    for part in (cookies or "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return device_in(unquote(value.strip('"')))
    return None


def device_in(value: str | None) -> str | None:
    """The value of the cookie, where it can be a device's ID."""
    if value and len(value) <= _LONGEST_DEVICE and value.isascii() and value.isprintable() and " " not in value:
        return value
    return None


def _metadata_of(value: Mapping[str, Any] | None) -> FrozenDict:
    return FrozenDict(frozen_mapping(value or {}))


_CHECKED: dict[str, Callable[[Any], Any]] = {"user": user_of, "account": account_of, "metadata": _metadata_of}


def is_async(function: Any) -> bool:
    """Whether *function* has to be awaited."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _tell(name: str, error: Exception) -> None:
    # Without the error's own text, which may name a person.
    where = traceback.extract_tb(error.__traceback__)[-1]
    _notices.say(
        ("callback", name, type(error)),
        "the function that says the request's %s raised %s at %s:%s; the request went on without it.",
        name,
        type(error).__name__,
        where.filename,
        where.lineno,
    )
