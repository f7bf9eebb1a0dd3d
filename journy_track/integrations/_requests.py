"""Shared by the web integrations: a request's scope, its user and account, and the device it came from."""

from __future__ import annotations

import inspect
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from journy_track._capture.attributes import UNSET, Attributes
from journy_track._capture.context import current_frame, live_frame
from journy_track._capture.inputs import account_of, user_of
from journy_track._capture.own_code import uncaptured, uncaptured_async
from journy_track._capture.request import (
    NOBODY,
    PERHAPS_SKIPPED,
    SKIP_FAILED,
    SKIPPED,
    Actor,
    Cell,
    Moment,
    Pending,
    RequestCell,
    skippable,
)
from journy_track._model.clock import monotonic
from journy_track._model.errors import ConfigurationError, InvalidArgument, described, without_values
from journy_track._model.frozendict import FrozenDict
from journy_track._model.identity import UserIdentified
from journy_track._model.notices import Notices
from journy_track._model.once import also_forget
from journy_track._model.values import frozen_mapping
from journy_track._runtime import link, refuse

#: Called with the framework's request; returns an ID, an identity or a mapping, or an awaitable of one.
Callback = Callable[..., Any]
#: The cookie in which journy.io's web snippet stores the device's ID.
COOKIE = "__journey"
MAX_DEVICES = 10_000
#: How many devices one user may add in `HOUR` seconds. The client chooses the cookie, and each link costs one of the
#: key's requests.
MAX_NEW_DEVICES = 5
HOUR = 3600.0
#: How many users of one device are remembered.
MAX_USERS = 10
_MAX_DEVICE = 256

_notices = Notices()


class Callbacks:
    """The functions that return the *user*, *account* and *metadata* of a request, each optional.

    *carried* returns the `Attributes` that a trusted sender attached to the request; what the others return takes
    precedence. *skip* returns whether to skip the request; if so, the others are not called. If a function raises,
    that is logged at most once a minute, and the request continues without its value; if *skip* raises, nothing in
    the request is tracked. Raises `ConfigurationError` for anything that is not a function.
    """

    def __init__(
        self,
        user: Callback | None,
        account: Callback | None,
        metadata: Callback | None,
        *,
        skip: Callback | None = None,
        carried: Callback | None = None,
        link_devices: bool,
    ) -> None:
        given = (("skip", skip), ("trust", carried), ("user", user), ("account", account), ("metadata", metadata))
        for name, function in given:
            if function is not None and not callable(function):
                raise ConfigurationError(f"{name} must be a function of the request, got {described(function)}")
        self.functions: dict[str, Callback] = {name: function for name, function in given if function is not None}
        #: Whether one of them has to be awaited.
        self.any_async: bool = any(is_async(function) for function in self.functions.values())
        #: Whether a request may turn out to be skipped, also because its sender tracks nothing.
        self.may_skip: bool = not self.functions.keys().isdisjoint(("skip", "trust"))
        #: The actor of a request about which they could not be asked.
        self.unknown: Actor = PERHAPS_SKIPPED if "skip" in self.functions else NOBODY
        self.link_devices = link_devices

    def ask(self, *arguments: Any, last_chance: bool = False) -> Actor | None:
        """Call the functions. Returns `None` if one raised, so that they are retried, except at the *last_chance*.

        If *skip* raised, it returns `SKIP_FAILED` in place of `None`.
        """
        return uncaptured(self._ask, arguments, last_chance)

    def _ask(self, arguments: tuple[Any, ...], last_chance: bool) -> Actor | None:
        given: dict[str, Any] = {}
        failed = False
        for name, function in self.functions.items():
            try:
                value = function(*arguments)
                if inspect.isawaitable(value):  # a lambda around an async function, which `is_async` cannot detect
                    self._is_async_after_all(name, value, last_chance)
                    failed = True
                else:
                    given[name] = _CHECKED[name](value)
                if given.get("skip") or _is_suppressed(given.get("trust")):
                    return SKIPPED
            except Exception as error:  # noqa: BLE001 - contained: the request goes on
                failed = True
                _tell(name, error)
            if failed and name == "skip":
                return SKIPPED if last_chance else SKIP_FAILED
        return None if failed and not last_chance else self._answer(given)

    async def ask_async(self, *arguments: Any, last_chance: bool = False) -> Actor | None:
        """Like `ask`, and await the async functions."""
        return await uncaptured_async(self._ask_async(arguments, last_chance))

    async def _ask_async(self, arguments: tuple[Any, ...], last_chance: bool) -> Actor | None:
        given: dict[str, Any] = {}
        failed = False
        for name, function in self.functions.items():
            try:
                value = function(*arguments)
                while inspect.isawaitable(value):  # a lambda run in a thread gives an awaitable of an awaitable
                    value = await value
                given[name] = _CHECKED[name](value)
                if given.get("skip") or _is_suppressed(given.get("trust")):
                    return SKIPPED
            except Exception as error:  # noqa: BLE001 - contained: the request goes on
                failed = True
                _tell(name, error)
                if name == "skip":
                    return SKIPPED if last_chance else None
        return None if failed and not last_chance else self._answer(given)

    def _is_async_after_all(self, name: str, value: Any, last_chance: bool) -> None:
        self.any_async = True
        if hasattr(value, "close"):
            value.close()  # else Python warns that it was never awaited
        if last_chance:
            _notices.log(
                ("callback", name, "async"),
                "the %s= callback is async, in a sync stack; %s. Make it a plain function.",
                name,
                _consequence(name),
            )

    def _answer(self, given: dict[str, Any]) -> Actor:
        carried: Attributes | None = given.get("trust")
        if carried is not None:  # what the functions return takes precedence
            if given.get("user") is None and carried.user is not UNSET:
                given["user"] = carried.user
            if given.get("account") is None and carried.account is not UNSET:
                given["account"] = carried.account
            given["metadata"] = FrozenDict({**carried.metadata, **(given.get("metadata") or {})})
        lasting = given.keys() >= self.functions.keys() and None not in given.values()
        return Actor(
            given.get("user", UNSET), given.get("account", UNSET), given.get("metadata") or FrozenDict(), lasting
        )


class Request(ABC):
    """One request: the cell of its scope, and the lookup of its user and account."""

    __slots__ = ("_callbacks", "_device", "cell")

    def __init__(self, callbacks: Callbacks, device: str | None) -> None:
        self.cell: Cell = RequestCell()
        self._callbacks = callbacks
        self._device = device
        around = None if current_frame().cell is None else live_frame().cell
        outside = None if around is None else skippable(around)
        if callbacks.functions or outside is not None:
            self.cell.pending = Pending(
                self.cell, self.ask_now, self.moment, callbacks.unknown, callbacks.may_skip, outside
            )

    @abstractmethod
    def moment(self) -> Moment:
        """What the result of the callbacks depends on, as far as that can be observed."""

    @abstractmethod
    def ask_now(self, moment: Moment) -> Actor | None:
        """Ask when an item is captured. Returns `None` if that is not possible here and now."""

    @property
    def pending(self) -> Pending | None:
        """The pending lookup. `None` if there are no callbacks, or if they can no longer be called.

        The cell holds the only reference and drops it at the end of the request, so no reference cycle is left.
        """
        pending = self.cell.pending
        return pending if type(pending) is Pending else None

    @property
    def unanswered(self) -> bool:
        """Whether the user is needed but not known yet."""
        pending = self.pending
        if pending is None:
            return False
        if pending.waiting or (pending.may_skip and pending.outdated):  # work that goes on afterwards may be skipped
            return True
        return (pending.wanted or self.new_device) and not pending.answered

    @property
    def new_device(self) -> bool:
        """Whether the request has a device that is not linked to any user yet."""
        return self._device is not None and _devices.is_new(self._device)

    def end(self) -> bool:
        """Close the request if its user was never needed. Returns whether it was closed."""
        pending = self.cell.pending
        return self._device is None and (type(pending) is not Pending or pending.end())

    def close(self, ask: Callable[[Moment], Actor | None] | None) -> None:
        """End the request and release everything that waits in it. *ask* is called only if the user is needed."""
        pending = self.pending
        answer = None
        try:
            if ask is not None and pending is not None and self.unanswered:
                self.settle_earlier(ask)
                answer = ask(pending.moment()) if self.unanswered else None
        finally:
            self._closed(pending, answer)

    async def close_async(self, ask: Callable[[Moment], Awaitable[Actor | None]]) -> None:
        """Like `close`. If it is cancelled, waiting items continue with the identity known so far."""
        pending = self.pending
        answer = None
        try:
            if pending is not None and self.unanswered:
                await self.settle_earlier_async(ask)
                answer = await ask(pending.moment()) if self.unanswered else None
        finally:
            self._closed(pending, answer)

    def settle_earlier(self, ask: Callable[[Moment], Actor | None]) -> None:
        """Use *ask* to resolve the items that have been waiting since before the user changed."""
        if (pending := self.pending) is not None:
            for moment in pending.earlier():
                if (answer := ask(moment)) is not None:
                    pending.settle_earlier(answer, moment)

    async def settle_earlier_async(self, ask: Callable[[Moment], Awaitable[Actor | None]]) -> None:
        """Like `settle_earlier`, in async code."""
        if (pending := self.pending) is not None:
            for moment in pending.earlier():
                if (answer := await ask(moment)) is not None:
                    pending.settle_earlier(answer, moment)

    def _closed(self, pending: Pending | None, answer: Actor | None) -> None:
        if pending is not None and (answer is not None or not pending.end()):
            pending.close(answer)
        if self._device is not None:
            known = self.cell.current()
            if isinstance(known.user, UserIdentified) and self.cell.skipped() is not True:
                _devices.link(self._device, known.user)


class SyncRequest(Request):
    """A request that ends in a place where sync code may run."""

    __slots__ = ()

    @abstractmethod
    def ask_last(self, moment: Moment) -> Actor | None:
        """Ask at the end of the request, for the last time."""

    def finish(self) -> None:
        """End the request."""
        if not self.end():
            self.close(self.ask_last)


class Devices:
    """The devices that this process has linked to users: the latest 10 000, each with its latest users.

    Users are remembered by their hashes, as an ID may be long.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._linked: dict[str, tuple[int, ...]] = {}
        #: For each of the latest 10 000 users: the time from which new devices are counted, and their number.
        self._added: dict[int, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def is_new(self, device: str) -> bool:
        """Whether *device* is not linked to any user yet."""
        return device not in self._linked

    def link(self, device: str, user: UserIdentified) -> None:
        """Link *device* to *user*, unless it is linked already or the user already has `MAX_NEW_DEVICES` new ones.

        A device beyond the limit is counted but not remembered, so it is linked if it appears again an hour later.
        """
        who = hash(user)
        with self._lock:
            users = self._linked.get(device, ())
            allowed = who in users or self._may_add(who)
            if allowed:
                self._linked.pop(device, None)  # so that it becomes the latest
                self._linked[device] = users if who in users else (*users, who)[-MAX_USERS:]
                if len(self._linked) > MAX_DEVICES:
                    del self._linked[next(iter(self._linked))]
        if not allowed:
            refuse("too_many_devices")
            _notices.log(
                "too_many_devices",
                "a user has more than %d new devices within an hour: the others are not linked, and counted as "
                "too_many_devices.",
                MAX_NEW_DEVICES,
            )
        elif who not in users:
            link(device, user=user)

    def _may_add(self, who: int) -> bool:
        now = self._clock()
        since, count = self._added.pop(who, (now, 0))
        if now - since >= HOUR:
            since, count = now, 0
        self._added[who] = (since, min(count + 1, MAX_NEW_DEVICES + 1))
        if len(self._added) > MAX_DEVICES:
            del self._added[next(iter(self._added))]
        return count < MAX_NEW_DEVICES

    def forget(self) -> None:
        """Forget all devices. For tests."""
        with self._lock:
            self._linked.clear()
            self._added.clear()


_devices = Devices()
also_forget(_devices.forget)
also_forget(_notices.forget)


def device_of(cookies: str | None) -> str | None:
    """Return the device in the text of a `Cookie` header, which the client controls."""
    for part in (cookies or "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            # Each character of a device is quoted as one or three characters. Longer values are cut before any work.
            return device_in(unquote(value[: 3 * _MAX_DEVICE + 3].strip('"')))
    return None


def device_in(value: str | None) -> str | None:
    """Return the cookie's *value* if it can be a device's ID, else `None`."""
    if value and len(value) <= _MAX_DEVICE and value.isascii() and value.isprintable() and " " not in value:
        return value
    return None


def _is_suppressed(carried: Attributes | None) -> bool:
    """Whether the request was sent from a place where tracking is suppressed."""
    return carried is not None and carried.suppressed


def _metadata_of(value: Mapping[str, Any] | None) -> FrozenDict:
    return FrozenDict(frozen_mapping(value or {}))


_CHECKED: dict[str, Callable[[Any], Any]] = {
    "skip": bool,
    "trust": lambda attributes: attributes,
    "user": user_of,
    "account": account_of,
    "metadata": _metadata_of,
}


def is_async(function: Any) -> bool:
    """Whether *function* has to be awaited."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _tell(name: str, error: Exception) -> None:
    if isinstance(error, InvalidArgument):  # raised in our own code, for the value that the callback returned
        _notices.log(
            ("callback", name, type(error)),
            "the %s= callback returned a wrong value: %s; %s.",
            name,
            without_values(str(error)),
            _consequence(name),
        )
        return
    # The error's own text is left out, as it may contain personal data.
    where = traceback.extract_tb(error.__traceback__)[-1]
    _notices.log(
        ("callback", name, type(error)),
        "the %s= callback raised %s at %s:%s; %s.",
        name,
        type(error).__name__,
        where.filename,
        where.lineno,
        _consequence(name),
    )


def _consequence(name: str) -> str:
    if name == "skip":  # it fails closed
        return "nothing in the request is tracked, unless a later call in it succeeds"
    return "the request went on without it"
