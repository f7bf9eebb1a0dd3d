"""`with` blocks and decorators that say who acts: user(), account(), metadata(), scope()."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from types import CoroutineType, TracebackType
from typing import Any, ParamSpec, TypeVar

from journy_track._capture.bodies import Body, Inner, Steps, driven, driven_async
from journy_track._capture.context import (
    UNSET,
    Cell,
    Change,
    Context,
    Entry,
    Frame,
    Unset,
    current,
    current_frame,
    enter,
    in_our_own_code,
    leave,
    live_frame,
    request_cell,
)
from journy_track._capture.functions import F, Kind, check_decoratable, kind_of, named_like, wrapped_in
from journy_track._model.errors import InvalidArgument, described
from journy_track._model.frozendict import FrozenDict
from journy_track._model.identity import AccountIdentified, Identifier, UserIdentified
from journy_track._model.values import frozen_mapping

P = ParamSpec("P")
R = TypeVar("R")


class Block:
    """A change of the context: for the length of a `with` block, or of each call of a decorated function.

    Reusable and re-entrant: each entry is a frame of its own. Decorating a generator gives its body a context
    of its own, which the consumer does not see.
    """

    __slots__ = ("_change", "_name", "_open")

    def __init__(self, name: str, change: Callable[[], Change]) -> None:
        self._name = name
        self._change = change
        self._open: dict[Entry, None] = {}

    def __enter__(self) -> Context:
        self._open[enter(self._change())] = None
        return current()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leave(self._entry_to_leave())

    def __call__(self, function: F) -> F:
        check_decoratable(function, f"@{self._name}()")
        return wrapped_in(self._around(kind_of(function)), function)

    def __repr__(self) -> str:
        return f"<journy_track.{self._name} block>"

    def _entry_to_leave(self) -> Entry:
        """The innermost of this block's entries that is open in this context; else the last one anywhere."""
        open_entries = self._open
        if not open_entries:
            raise RuntimeError(f"a journy_track.{self._name}() block was left more often than entered")
        frame: Frame | None = current_frame()
        while frame is not None:
            entry = frame.entry
            if entry is not None and entry in open_entries:
                del open_entries[entry]
                return entry
            frame = frame.parent
        return open_entries.popitem()[0]

    def _around(self, kind: Kind) -> Callable[..., Any]:
        def plain(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            entry = enter(self._change())
            try:
                result = wrapped(*args, **kwargs)
            finally:
                leave(entry)
            if type(result) is CoroutineType:  # a sync wrapper around an async function
                return named_like(self._awaited(Inner(result)), wrapped)
            return result

        def coroutine(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            return named_like(self._awaited(Inner(wrapped(*args, **kwargs))), wrapped)

        def generator(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            return named_like(driven(wrapped(*args, **kwargs), self._body()), wrapped)

        def async_generator(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            return named_like(driven_async(wrapped(*args, **kwargs), self._body()), wrapped)

        return {
            Kind.PLAIN: plain,
            Kind.COROUTINE: coroutine,
            Kind.GENERATOR: generator,
            Kind.ASYNC_GENERATOR: async_generator,
        }[kind]

    def _body(self) -> Body:
        return Body(Frame(live_frame(), Entry(), self._change()))

    async def _awaited(self, pending: Inner) -> Any:
        entry = enter(self._change())
        try:
            return await pending.coroutine
        finally:
            leave(entry)


# ── The verbs ────────────────────────────────────────────────────────────────────────────────────────────


def user(user_id: Identifier | UserIdentified | None = None, /, *, email: str | None = None) -> Block:
    """The user who acts, for a `with` block or a decorated function of any kind.

    *user_id* is a database ID or a `UserIdentified`; `None` (and no *email*) is an anonymous visitor. Raises
    `InvalidArgument` for an empty ID or one of a kind that is no ID.
    """
    change = Change(user=user_of(user_id, email))
    return Block("user", lambda: change)


def account(account_id: Identifier | AccountIdentified | None = None, /, *, domain: str | None = None) -> Block:
    """The account acted in, for a `with` block or a decorated function of any kind.

    *account_id* is a database ID or an `AccountIdentified`; `None` (and no *domain*) is no account. Raises
    `InvalidArgument` for an empty ID or one of a kind that is no ID.
    """
    change = Change(account=account_of(account_id, domain))
    return Block("account", lambda: change)


def metadata(mapping: Mapping[str, object] | None = None, /, **values: object) -> Block:
    """Metadata for every event of a `with` block or a decorated function; inner values win.

    By keyword, or in *mapping* for keys that are no identifiers; the keyword wins. Raises `InvalidArgument` when
    that is no mapping.
    """
    change = Change(metadata=FrozenDict(frozen_mapping(given(mapping, values))))
    return Block("metadata", lambda: change)


def scope(*, inherit: bool = False) -> Block:
    """A layer for one request or job, which `set_user()`, `set_account()` and `add_metadata()` fill.

    Everything that runs in it sees what was set, also when set in a child task or a thread pool that copied
    the context. Inherits nothing from outside, unless *inherit*.
    """
    if inherit is not True and inherit is not False:
        raise InvalidArgument(f"inherit must be True or False, got {described(inherit)}")
    return Block("scope", lambda: Change(cell=Cell(current() if inherit else None, internal=in_our_own_code())))


def set_user(user_id: Identifier | UserIdentified | None = None, /, *, email: str | None = None) -> None:
    """Set the user of the enclosing `scope()`, seen by everything in it. `None`: an anonymous visitor.

    An enclosing `with user()` inside that scope still wins. Outside any scope it lasts until the context ends, and
    that is said once. Raises as `user()` does.
    """
    request_cell().set(user=user_of(user_id, email))


def set_account(account_id: Identifier | AccountIdentified | None = None, /, *, domain: str | None = None) -> None:
    """Set the account of the enclosing `scope()`, seen by everything in it. `None`: no account.

    As `set_user()` outside a scope. Raises as `account()` does.
    """
    request_cell().set(account=account_of(account_id, domain))


def add_metadata(mapping: Mapping[str, object] | None = None, /, **values: object) -> None:
    """Add metadata to every event of the enclosing `scope()`. Takes, and raises, what `metadata()` does."""
    request_cell().set(metadata=frozen_mapping(given(mapping, values)))


def in_context(function: Callable[P, R]) -> Callable[P, R]:
    """*function*, to be called in a thread or an executor with the context of now.

    As in ``pool.submit(in_context(work), row)``: without it, a plain thread starts with an empty context. Raises
    `InvalidArgument` for what cannot be called.
    """
    if not callable(function):
        raise InvalidArgument(f"in_context() takes a function, got {described(function)}")
    kind = kind_of(function)
    frame = live_frame()
    if frame.cell is not None and frame.cell.pending is not None:
        frame.cell.pending.wanted = True
    context = contextvars.copy_context()

    def carried(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        # A copy for each call: one context cannot be entered by two threads at once.
        made = context.copy().run(wrapped, *args, **kwargs)
        if kind is Kind.COROUTINE:
            return named_like(_awaited_in(Inner(made), Body(frame)), wrapped)
        if kind is Kind.GENERATOR:
            return named_like(driven(made, Body(frame)), wrapped)
        if kind is Kind.ASYNC_GENERATOR:
            return named_like(driven_async(made, Body(frame)), wrapped)
        return made

    return wrapped_in(carried, function)


async def _awaited_in(pending: Inner, body: Body) -> Any:
    return await Steps(pending.coroutine, body)


# ── What is taken as a user, an account, metadata ────────────────────────────────────────────────────────


def user_of(value: Any, email: str | None = None) -> UserIdentified | None:
    """*value* as a user; `None` for nobody. Raises `InvalidArgument`."""
    if isinstance(value, UserIdentified):
        if email:
            raise InvalidArgument("email was given beside a UserIdentified: put it inside")
        return value
    if isinstance(value, AccountIdentified):
        raise InvalidArgument("user must be a user, got an AccountIdentified")
    if value is None and not email:
        return None
    return UserIdentified(value, email)


def account_of(value: Any, domain: str | None = None) -> AccountIdentified | None:
    """*value* as an account; `None` for no account. Raises `InvalidArgument`."""
    if isinstance(value, AccountIdentified):
        if domain:
            raise InvalidArgument("domain was given beside an AccountIdentified: put it inside")
        return value
    if isinstance(value, UserIdentified):
        raise InvalidArgument("account must be an account, got a UserIdentified")
    if value is None and not domain:
        return None
    return AccountIdentified(value, domain)


def user_or_unset(value: Any) -> UserIdentified | None | Unset:
    """As `user_of`, where an argument that was left out stays so."""
    return UNSET if value is UNSET else user_of(value)


def account_or_unset(value: Any) -> AccountIdentified | None | Unset:
    """As `account_of`, where an argument that was left out stays so."""
    return UNSET if value is UNSET else account_of(value)


def given(mapping: Mapping[str, object] | None, values: dict[str, object]) -> Mapping[str, object]:
    """A mapping and keywords as one; a key given both ways: the keyword wins."""
    if mapping is None:
        return values
    if not isinstance(mapping, Mapping):
        raise InvalidArgument(
            f"the first argument must be a mapping, got {described(mapping)}: pass values by keyword, plan='pro', "
            "and whom they are about as user= or account="
        )
    return {**mapping, **values}
