"""The current user, account and metadata: one ContextVar that holds a chain of immutable frames.

A `with user(...)` block pushes a `Frame`. A `scope()` is a frame with a `Cell`, which `set_user()`, `set_account()`
and `add_metadata()` fill: everything that runs in that request with a copy of its context (tasks, thread pools, a
FastAPI sync dependency) holds the same cell, so it sees what was set. `ContextVar.reset()` is never called to restore
a frame, since it would bring back an outdated one. It is called only to find out whether this is the context in which
a block was entered: in any other context it raises `ValueError`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from journy_track._capture.attributes import NO_ATTRIBUTES, NOTHING_TRACKED, UNSET, Attributes
from journy_track._capture.request import Cell
from journy_track._model.apart import OURS
from journy_track._model.frozendict import FrozenDict
from journy_track._model.identity import AccountIdentified, UserIdentified
from journy_track._model.once import warn_once


@dataclass(frozen=True, slots=True)
class Context:
    """The user, account and metadata that an event would get now. *user* and *account* may be `None`."""

    user: UserIdentified | None = None
    account: AccountIdentified | None = None
    metadata: Mapping[str, Any] = field(default_factory=FrozenDict)


class BlockEntry:
    """One entry of a block. It is dead if it was left beneath another frame, or in another context."""

    __slots__ = ("__weakref__", "block", "dead", "place", "token")

    def __init__(self) -> None:
        #: While it is open, the `Block` that was entered, by a `with` statement or by hand.
        self.block: object = None
        self.dead: bool = False
        #: The place where it was entered. Set in tests only.
        self.place: str | None = None
        #: While it is open, the token of the context in which it was entered.
        self.token: Token[Frame] | None = None


class Frame:
    """One layer of the context, with everything beneath it up to the scope. Immutable."""

    __slots__ = ("attributes", "cell", "change", "entry", "internal", "parent")

    def __init__(self, parent: Frame | None, entry: BlockEntry | None, change: Change | Internal | Cell) -> None:
        self.parent: Frame | None = parent
        self.entry: BlockEntry | None = entry
        self.change: Change | Internal | Cell = change
        self.attributes: Attributes = change.attributes
        self.cell: Cell | None = change.cell
        self.internal: Internal | None = change.internal
        if parent is not None:
            if self.cell is None:
                self.cell = parent.cell
                self.attributes = self.attributes.over(parent.attributes)
            if self.internal is None:
                self.internal = parent.internal


def scoped(frame: Frame, cell: Cell) -> Frame:
    """*frame* with a scope on top: like `Frame(frame, None, cell)`, at half the cost."""
    opened = Frame.__new__(Frame)
    opened.parent, opened.entry, opened.change = frame, None, cell
    opened.attributes, opened.cell, opened.internal = NO_ATTRIBUTES, cell, frame.internal
    return opened


def marked(frame: Frame, internal: Internal) -> Frame:
    """*frame* with that mark on top: like `Frame(frame, None, internal)`, at half the cost."""
    copy = Frame.__new__(Frame)
    copy.parent, copy.entry, copy.change = frame, None, internal
    copy.attributes, copy.cell, copy.internal = frame.attributes, frame.cell, internal
    return copy


@dataclass(frozen=True, slots=True)
class Change:
    """The change that one block makes. With a *cell*, it opens a scope, which hides everything beneath it."""

    attributes: Attributes = NO_ATTRIBUTES
    cell: Cell | None = None
    internal: Internal | None = None


class Internal:
    """A change that marks code in which nothing is captured: this library's own code, or a `suppressed()` block.

    It has no effect once it is no longer *active*: tasks and threads that such code started may outlive it. *reason*
    is how an item that is captured there anyway gets counted: `own_code` is a mistake in the app, such as a hook that
    tracks; with `None` it is not counted.
    """

    __slots__ = ("active", "reason")

    # It serves as a change itself, which is cheaper than wrapping it in one.
    attributes: ClassVar[Attributes] = NO_ATTRIBUTES
    cell: ClassVar[None] = None

    def __init__(self, reason: str | None) -> None:
        self.active: bool = True
        self.reason: str | None = reason

    @property
    def internal(self) -> Internal:
        return self


BOTTOM: Final = Frame(None, None, Change())
#: The frame in which this library's own threads run: nothing is tracked there.
INTERNAL: Final = Frame(None, None, Change(cell=Cell(), internal=Internal("own_code")))

_current: ContextVar[Frame] = ContextVar("journy_track", default=BOTTOM)
OURS.append(_current)
current_frame = _current.get
set_frame = _current.set

if sys.version_info < (3, 12) and sys.implementation.name == "cpython":
    from journy_track._capture.collecting import keep_variables

    keep_variables()

#: Whether any frame has died in this process. Until then, the current frame is live.
any_dead = False
#: Returns the place in the user's code. Set in tests only.
_place: Callable[[], str] | None = None


def note_places(place: Callable[[], str]) -> None:
    """From now on, note where blocks are entered. For tests only: it costs more than entering the block."""
    global _place  # noqa: PLW0603 - a switch that is only ever turned on
    _place = place


# ── Entering and leaving ─────────────────────────────────────────────────────────────────────────────────


def enter(change: Change | Cell) -> BlockEntry:
    """Push a frame onto the current context. Pass the returned entry to `leave`."""
    entry = BlockEntry()
    if _place is not None:
        entry.place = _place()
    entry.token = set_frame(Frame(live_frame(), entry, change))
    return entry


def leave(entry: BlockEntry) -> None:
    """Remove that frame. If another frame is on top of it, or in another context, the entry is marked as dead.

    A garbage-collected generator is closed in a copy of the context in which it was resumed: its frame is removed
    there, but stays on top in the original context, which must not continue with the generator's user.
    """
    global any_dead  # noqa: PLW0603 - a flag that only ever becomes true
    frame = current_frame()
    on_top = frame.entry is entry and frame.parent is not None
    at_home = on_top and _entered_here(entry)
    entry.token = None
    if on_top and frame.parent is not None:
        set_frame(frame.parent)
    if not at_home:
        entry.dead = True
        any_dead = True


def _entered_here(entry: BlockEntry) -> bool:
    """Whether *entry* was entered in this context. Changes the current frame: set it afterwards."""
    try:
        if entry.token is not None:
            _current.reset(entry.token)
    except ValueError:  # "token was created in a different Context": there is no other way to find out
        return False
    return True


def live_frame() -> Frame:
    """The current frame, without dead frames in its chain."""
    frame = current_frame()
    return without_dead(frame) if any_dead else frame


def without_dead(frame: Frame) -> Frame:
    """*frame*, without dead frames in its chain. Call this only if `any_dead` is true."""
    chain: list[Frame] = []
    died = False
    node: Frame | None = frame
    while node is not None:
        if node.entry is not None and node.entry.dead:
            died = True
        else:
            chain.append(node)
        node = node.parent
    if not died:
        return frame
    parent = chain.pop()
    for alive in reversed(chain):
        parent = Frame(parent, alive.entry, alive.change)
    return parent


# ── Reading and setting ──────────────────────────────────────────────────────────────────────────────────


def current_context() -> Context:
    """The `Context` (user, account, metadata) that an event would get now."""
    attributes = current_attributes()
    user, account = attributes.user, attributes.account
    return Context(None if user is UNSET else user, None if account is UNSET else account, attributes.metadata)


def current_attributes(*, passed_on: bool = False) -> Attributes:
    """The attributes that an event would get now, with `UNSET` where nothing was set.

    *passed_on*: to a job, another service or a page, which cannot wait. They are suppressed if it could not be found
    out whether the request is skipped.
    """
    frame = live_frame()
    cell = frame.cell
    if cell is None:
        return frame.attributes
    pending = cell.pending
    asked = None if pending is None else pending.attributes(cell)
    known = cell.current() if asked is None else asked
    if passed_on and asked is None and pending is not None and pending.skip_failed:
        known = known.over(NOTHING_TRACKED)
    return frame.attributes.over(known)


def known_ids() -> tuple[str | None, str | None]:
    """The IDs of user and account, if already known. Does not look them up, since that might cost a query."""
    frame = live_frame()
    known = frame.attributes if frame.cell is None else frame.attributes.over(frame.cell.current())
    user, account = known.user, known.account
    return (
        user.user_id if isinstance(user, UserIdentified) else None,
        account.account_id if isinstance(account, AccountIdentified) else None,
    )


#: The name of `current_context` in earlier versions. It stays importable.
current = current_context


def in_our_own_code() -> bool:
    """Whether the current code runs in this library's own threads or hooks."""
    internal = current_frame().internal
    return internal is not None and internal.reason == "own_code"


def in_suppressed_code() -> bool:
    """Whether the current code runs in a `suppressed()` block."""
    internal = live_frame().internal
    return internal is not None and internal.active and internal.reason == "suppressed"


def request_cell() -> Cell:
    """The cell of the enclosing scope; outside any scope, a cell that lasts until the context ends."""
    frame = live_frame()
    if frame.cell is not None:
        return frame.cell
    warn_once(
        "no scope",
        "set_user(), set_account() or add_metadata() was called outside any scope: the values last until this "
        "context ends, and may end up on another user's events. Open a scope per request or job, as in "
        "`with journy_track.scope():`.",
    )
    cell = Cell()
    if _place is not None:
        cell.place = _place()
    # Insert the cell beneath the open blocks, so that they still take precedence, and the cell stays when they end.
    base = Frame(BOTTOM, None, Change(cell=cell))
    blocks: list[Frame] = []
    node: Frame | None = frame
    while node is not None and node is not BOTTOM:
        blocks.append(node)
        node = node.parent
    for block in reversed(blocks):
        base = Frame(base, block.entry, block.change)
    set_frame(base)
    return cell


if getattr(sys.flags, "thread_inherit_context", False):  # from Python 3.14 on
    from threading import Thread

    from journy_track._capture.threads import start_without_identity

    start_without_identity(Thread)
