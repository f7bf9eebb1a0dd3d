"""`with` blocks and decorators that set the current user and account: user(), account(), metadata(), scope()."""

from __future__ import annotations

import contextvars
import functools
import sys
from collections.abc import Callable, Mapping
from types import FrameType, TracebackType
from typing import Any, Final, NoReturn, ParamSpec, TypeVar
from weakref import ref

from journy_track._capture import mistakes
from journy_track._capture.around import Around, decorated
from journy_track._capture.attributes import NO_ATTRIBUTES, Attributes
from journy_track._capture.bodies import Body, QuietCoroutine, Steps
from journy_track._capture.context import (
    BlockEntry,
    Change,
    Context,
    Frame,
    Internal,
    current_attributes,
    current_context,
    current_frame,
    enter,
    leave,
    live_frame,
    request_cell,
)
from journy_track._capture.entries import Entries, Opened, entry_to_leave, opened_before
from journy_track._capture.functions import F, check_decoratable
from journy_track._capture.inputs import account_of, usable_identity, usable_metadata, user_of
from journy_track._capture.request import Cell, within
from journy_track._model.errors import InvalidArgument, described
from journy_track._model.frozendict import FrozenDict
from journy_track._model.identity import AccountIdentified, Identifier, UserIdentified
from journy_track._model.once import warn_once

P = ParamSpec("P")
R = TypeVar("R")


class Block:
    """Changes the context for the duration of a `with` block, or of each call of a decorated function.

    Reusable and re-entrant: each entry has its own frame, and leaving ends only that one, even if a whole program
    shares one block. Decorating a generator gives its body its own context, which the consumer does not see.
    """

    __slots__ = ("_change", "_mistake", "_name", "_open")

    def __init__(self, name: str, change: Callable[[], Change], mistake: Exception | None = None) -> None:
        self._name = name
        self._change = change
        self._mistake = mistake
        self._open: Entries = {}

    def __enter__(self) -> Context:
        caller = sys._getframe(1)
        entry = enter(self._change())
        entry.block = self
        opened = self._open
        before = opened_before(opened, id(caller)) if opened else None
        opened[id(caller)] = (ref(entry), caller.f_code, before, 1 if before is None else before[3] + 1)
        return current_context()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        caller = sys._getframe(1)
        latest = self._open.pop(id(caller), None)
        if latest is not None and latest[1] is caller.f_code and latest[2] is None:
            entry = latest[0]()
        else:
            entry = self._looked_for(caller, latest)
        if entry is not None:
            entry.block = None
            leave(entry)

    def _looked_for(self, caller: FrameType, latest: Opened | None) -> BlockEntry | None:
        try:
            return entry_to_leave(self, self._open, caller, latest)
        except LookupError:
            warn_once(
                ("left too often", self._name),
                "a journy_track.%s() block was left more often than it was entered, at %s:%d; nothing was changed. "
                "Use `with` instead of calling __exit__.",
                self._name,
                caller.f_code.co_filename,
                caller.f_lineno,
            )
            return None

    def __call__(self, function: F) -> F:
        check_decoratable(function, f"@{self._name}()")
        if self._mistake is not None:  # a wrong value in a decorator is a programming error, so it raises
            raise self._mistake
        return decorated(function, _InBlock(self._change))

    def __repr__(self) -> str:
        return f"<journy_track.{self._name} block>"


class _InBlock(Around):
    """Enters and leaves the block around each call of a decorated function."""

    __slots__ = ("_change",)

    def __init__(self, change: Callable[[], Change]) -> None:
        self._change = change

    def run(self, function: Any, args: Any, kwargs: Any) -> Any:
        entry = enter(self._change())
        try:
            return function(*args, **kwargs)
        finally:
            leave(entry)

    async def awaited(self, quiet: QuietCoroutine) -> Any:
        entry = enter(self._change())
        try:
            return await quiet.coroutine
        finally:
            leave(entry)

    def body(self) -> Body:
        change = self._change()
        return Body(Frame(live_frame(), BlockEntry(), change), change)


# Module-level functions, so that a decorated function can be pickled by value.


def _same(change: Change) -> Change:
    return change


def _new_scope(inherit: bool) -> Change:
    # Suppression is always inherited: where nothing is tracked, nothing inside is tracked either.
    return Change(cell=within(Cell(current_attributes() if inherit else NO_ATTRIBUTES), live_frame().cell))


def _suppression() -> Change:
    internal = current_frame().internal
    if internal is not None and internal.active:  # our own code stays marked as such
        return Change()
    return Change(internal=_SUPPRESSING)


_SUPPRESSING: Final = Internal("suppressed")

# ── The verbs ────────────────────────────────────────────────────────────────────────────────────────────


def user(user_id: Identifier | UserIdentified | None = None, /, *, email: str | None = None) -> Block:
    """Set the current user, for a `with` block or a decorated function of any kind.

    *user_id* is a database ID or a `UserIdentified`; `None` (and no *email*) is an anonymous visitor. A value that
    cannot be an ID, such as an empty string, is logged and treated like `None`; in a decorator, or while `strict`, it
    raises `InvalidArgument`.
    """
    who, mistake = usable_identity("user()", user_of, user_id, email, "no user is set there")
    return Block("user", functools.partial(_same, Change(Attributes(user=who))), mistake)


def account(account_id: Identifier | AccountIdentified | None = None, /, *, domain: str | None = None) -> Block:
    """Set the current account, for a `with` block or a decorated function of any kind.

    *account_id* is a database ID or an `AccountIdentified`; `None` (and no *domain*) means none. A value that cannot
    be an ID is logged and treated like `None`; in a decorator, or while `strict`, it raises `InvalidArgument`.
    """
    where, mistake = usable_identity("account()", account_of, account_id, domain, "no account is set there")
    return Block("account", functools.partial(_same, Change(Attributes(account=where))), mistake)


def metadata(mapping: Mapping[str, object] | None = None, /, **values: object) -> Block:
    """Add metadata to every event in a `with` block or a decorated function; inner values win.

    Pass it by keyword, or in *mapping* if a key is not an identifier; a keyword overrides *mapping*. If *mapping* is
    not a mapping, that is logged and only the keywords are used; in a decorator, or while `strict`, it raises
    `InvalidArgument`.
    """
    usable, mistake = usable_metadata("metadata", mapping, values)
    return Block("metadata", functools.partial(_same, Change(Attributes(metadata=FrozenDict(usable)))), mistake)


def scope(*, inherit: bool = False) -> Block:
    """Open a layer for one request or job, which `set_user()`, `set_account()` and `add_metadata()` fill.

    Everything that runs in it sees what was set, even if it was set in a child task, or in a thread pool that copied
    the context. It inherits nothing from outside, unless *inherit*.
    """
    mistake = None
    if inherit is not True and inherit is not False:
        mistake = InvalidArgument(f"inherit must be True or False, got {described(inherit)}")
        if mistakes.strict():
            raise mistake
        mistakes.log_mistake("scope()", mistake, "it inherits nothing")
    return Block("scope", functools.partial(_new_scope, inherit is True), mistake)


def suppressed() -> Block:
    """Track nothing in a `with` block or a decorated function of any kind.

    This includes the tasks that it starts and the jobs that it enqueues. Use it, for example, while staff act on
    behalf of a customer. Items captured there are counted as `suppressed` and not logged. Deletes and removals are
    still sent, because they remove data.
    """
    return Block("suppressed", _suppression)


def set_user(user_id: Identifier | UserIdentified | None = None, /, *, email: str | None = None) -> None:
    """Set the user of the enclosing `scope()`, for everything in it. `None` is an anonymous visitor.

    An enclosing `with user()` inside that scope takes precedence. Outside any scope it lasts until the context ends,
    and a warning is logged once. A value that cannot be an ID is logged, and no user is set; while `strict` it raises
    `InvalidArgument`.
    """
    who, _ = usable_identity("set_user()", user_of, user_id, email, "no user is set")
    request_cell().set(user=who)


def set_account(account_id: Identifier | AccountIdentified | None = None, /, *, domain: str | None = None) -> None:
    """Set the account of the enclosing `scope()`, for everything in it. `None` means none.

    Outside a scope, and for a value that cannot be an ID, it behaves like `set_user()`.
    """
    where, _ = usable_identity("set_account()", account_of, account_id, domain, "no account is set")
    request_cell().set(account=where)


def add_metadata(mapping: Mapping[str, object] | None = None, /, **values: object) -> None:
    """Add metadata to every event of the enclosing `scope()`. The arguments are those of `metadata()`."""
    usable, _ = usable_metadata("add_metadata", mapping, values)
    request_cell().set(metadata=usable)


def in_context(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap *function* so that it runs in the current context when a thread or an executor calls it.

    For example ``pool.submit(in_context(work), row)``: without it, a plain thread starts with an empty context. If
    the user of a request is not known yet, it is looked up now if possible. A value that is not callable is logged
    and returned unchanged; while `strict`, it raises `InvalidArgument`.

    A context cannot leave its interpreter, so the wrapped function cannot be pickled: for a `ProcessPoolExecutor` or
    an `InterpreterPoolExecutor`, pass the header of `inject()` to the function, and use `extract()` in it.
    """
    if not callable(function):
        mistake = InvalidArgument(f"in_context() takes a function, got {described(function)}")
        if mistakes.strict():
            raise mistake
        mistakes.log_mistake("in_context()", mistake, "it is returned unchanged")
        return function
    frame = live_frame()
    if frame.cell is not None and frame.cell.pending is not None:
        frame.cell.pending.want()
    return decorated(function, _InContext(frame, contextvars.copy_context()))


class _InContext(Around):
    """Runs each call of a function that was passed to `in_context()` in the context of that time."""

    __slots__ = ("_context", "_frame")

    def __init__(self, frame: Frame, context: contextvars.Context) -> None:
        self._frame = frame
        self._context = context

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "what in_context() returns cannot be pickled: pass what inject() writes to the other process or "
            "interpreter, and extract() it there"
        )

    def made(self, function: Any, args: Any, kwargs: Any) -> Any:
        # A copy for each call: two threads cannot enter one context at the same time.
        return self._context.copy().run(function, *args, **kwargs)

    async def awaited(self, quiet: QuietCoroutine) -> Any:
        return await Steps(quiet.coroutine, self.body())

    def body(self) -> Body:
        return Body(self._frame)
