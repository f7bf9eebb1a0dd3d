"""Who acts now: one ContextVar, a chain of immutable frames, and one mutable cell per request.

A `with user(...)` block pushes a `Frame`. A `scope()` is a frame with a `Cell`, which `set_user()` and its
siblings fill: whatever runs in that request and copied its context (tasks, thread pools, a FastAPI sync
dependency) holds the same cell, so it sees what was set. Tokens of ContextVar never restore anything: they
bring back what is no longer right, and raise in another context than their own. That alone is asked of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from journy_track._model.frozendict import FrozenDict
from journy_track._model.identity import AccountIdentified, UserIdentified
from journy_track._model.once import warn_once

if TYPE_CHECKING:
    from journy_track._capture.pending import Answer, Pending


class Unset(Enum):
    """Says that an argument was left out, where `None` means nobody."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Context:
    """What an event would get now. *user* and *account* are `None` for nobody."""

    user: UserIdentified | None = None
    account: AccountIdentified | None = None
    metadata: Mapping[str, Any] = field(default_factory=FrozenDict)


class Layer:
    """What was set in a request's cell, as of one version of it. Immutable."""

    __slots__ = ("account", "metadata", "size", "user", "version")

    def __init__(self, version: object, user: Any, account: Any, metadata: FrozenDict) -> None:
        self.version: object = version
        self.user: UserIdentified | None | Unset = user
        self.account: AccountIdentified | None | Unset = account
        self.metadata: FrozenDict = metadata
        self.size: int = text_size(metadata) + identity_size(user) + identity_size(account)


class Cell:
    """A request's own identity and metadata: the one place of the context that changes.

    Without a lock, since a signal handler or a fork may come at any line: every write ends by renewing
    `version`, and a reader who finds another version than its layer's reads anew.
    """

    __slots__ = (
        "_account",
        "_metadata",
        "_user",
        "internal",
        "layer",
        "pending",
        "place",
        "transactions",
        "version",
    )

    def __init__(self, initial: Context | None = None, *, internal: bool = False) -> None:
        self._user: UserIdentified | None | Unset = UNSET if initial is None else initial.user
        self._account: AccountIdentified | None | Unset = UNSET if initial is None else initial.account
        self._metadata: dict[str, Any] = {} if initial is None else dict(initial.metadata)
        #: Ours: what runs here belongs to this library and is not tracked.
        self.internal: bool = internal
        #: Who has to be asked whose request it is, until that is known.
        self.pending: Pending | None = None
        #: Where it was made, in tests.
        self.place: str | None = None
        #: The database sessions that were used in this request, in whichever of its threads.
        self.transactions: list[Any] = []
        self.version: object = object()
        self.layer: Layer = self.renew()

    def set(
        self,
        user: UserIdentified | None | Unset = UNSET,
        account: AccountIdentified | None | Unset = UNSET,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        if user is not UNSET:
            self._user = user
        if account is not UNSET:
            self._account = account
        if metadata:
            self._metadata.update(metadata)
        self.version = object()

    def fill(self, answer: Answer) -> None:
        """Take from *answer* what was not set here."""
        if self._user is UNSET:
            self._user = answer.user
        if self._account is UNSET:
            self._account = answer.account
        self._metadata = {**answer.metadata, **self._metadata}
        self.version = object()

    def unfill(self, answer: Answer) -> None:
        """Take back what `fill` took from *answer*, but nothing that was set since."""
        if self._user is answer.user:
            self._user = UNSET
        if self._account is answer.account:
            self._account = UNSET
        filled = answer.metadata
        self._metadata = {
            key: value for key, value in self._metadata.items() if key not in filled or value is not filled[key]
        }
        self.version = object()

    def with_answer(self, answer: Answer) -> Layer:
        """What is set here, and beneath it *answer*, which is not kept."""
        layer = self.current()
        user = answer.user if layer.user is UNSET else layer.user
        account = answer.account if layer.account is UNSET else layer.account
        return Layer(object(), user, account, FrozenDict({**answer.metadata, **layer.metadata}))

    def current(self) -> Layer:
        layer = self.layer
        return layer if layer.version is self.version else self.renew()

    def renew(self) -> Layer:
        version = self.version
        self.layer = layer = Layer(version, self._user, self._account, FrozenDict(self._metadata.copy()))
        return layer


class Entry:
    """One entering of a block. Dead when it was left beneath another frame, or in another context."""

    __slots__ = ("dead", "place", "token")

    def __init__(self) -> None:
        self.dead: bool = False
        #: Where it was entered, in tests.
        self.place: str | None = None
        #: While it is open: of the context that it was entered in.
        self.token: Token[Frame] | None = None


class Frame:
    """One layer of the context, resolved: what holds with everything beneath it up to the scope. Immutable."""

    __slots__ = ("account", "cell", "change", "entry", "metadata", "parent", "size", "user")

    def __init__(self, parent: Frame | None, entry: Entry | None, change: Change) -> None:
        self.parent: Frame | None = parent
        self.entry: Entry | None = entry
        self.change: Change = change
        opens = change.cell is not None
        beneath = _BOTTOM_VALUES if parent is None or opens else (parent.user, parent.account, parent.metadata)
        self.cell: Cell | None = change.cell if opens or parent is None else parent.cell
        self.user: UserIdentified | None | Unset = beneath[0] if change.user is UNSET else change.user
        self.account: AccountIdentified | None | Unset = beneath[1] if change.account is UNSET else change.account
        self.metadata: FrozenDict = beneath[2]
        if change.metadata:
            self.metadata = FrozenDict({**beneath[2], **change.metadata})
        #: About how many bytes an item that is captured here keeps alive of it.
        self.size: int = text_size(self.metadata) + identity_size(self.user) + identity_size(self.account)


@dataclass(frozen=True, slots=True)
class Change:
    """What one block changes. With a *cell* it opens a scope, which hides everything beneath."""

    user: UserIdentified | None | Unset = UNSET
    account: AccountIdentified | None | Unset = UNSET
    metadata: FrozenDict | None = None
    cell: Cell | None = None


_BOTTOM_VALUES: Any = (UNSET, UNSET, FrozenDict())


def text_size(metadata: FrozenDict) -> int:
    """About how many bytes of text *metadata* holds: what an item that shares it may keep alive."""
    return sum(wide(key) + (wide(value) if type(value) is str else 16) for key, value in metadata.items())


def identity_size(who: UserIdentified | AccountIdentified | None | Unset) -> int:
    """About how many bytes of text there are of *who*: itself, and the names that it goes by in the outbox."""
    return 0 if who is None or who is UNSET else 3 * sum(map(wide, who.wire().values()))


def wide(text: str) -> int:
    """How many bytes the characters of *text* take at most: one each in ASCII, else up to four."""
    return len(text) if text.isascii() else 4 * len(text)


BOTTOM: Final = Frame(None, None, Change())
#: Where this library's own threads run: nothing there is tracked.
INTERNAL: Final = Frame(None, None, Change(cell=Cell(internal=True)))

_current: ContextVar[Frame] = ContextVar("journy_track", default=BOTTOM)
current_frame = _current.get
set_frame = _current.set

#: Whether any frame ever died in this process: until then the current frame is a live one.
any_dead = False
#: Answers the place in the user's code; only in tests.
_place: Callable[[], str] | None = None


def note_places(place: Callable[[], str]) -> None:
    """From now on, note where blocks are entered. For tests: it costs more than the rest."""
    global _place  # noqa: PLW0603 - a switch that is only ever turned on
    _place = place


# ── Entering and leaving ─────────────────────────────────────────────────────────────────────────────────


def enter(change: Change) -> Entry:
    """Put a frame on top of the current context. The entry is what `leave` takes."""
    entry = Entry()
    if _place is not None:
        entry.place = _place()
    entry.token = set_frame(Frame(live_frame(), entry, change))
    return entry


def leave(entry: Entry) -> None:
    """Take that frame away again. Where another is on top of it, and where it was entered, it dies.

    A generator that is collected is closed in a copy of the context that it was resumed in: its frame is on top
    there, and stays on top of the original, which must not go on as its user.
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


def _entered_here(entry: Entry) -> bool:
    """Whether this is the context that *entry* was entered in. Changes the current frame: set it afterwards."""
    try:
        if entry.token is not None:
            _current.reset(entry.token)
    except ValueError:  # "token was created in a different Context": there is no other way to ask
        return False
    return True


def live_frame() -> Frame:
    """The current frame, without those that died beneath it."""
    frame = current_frame()
    return without_dead(frame) if any_dead else frame


def without_dead(frame: Frame) -> Frame:
    """*frame*, without those that died beneath it. To be asked when there are `any_dead`."""
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


def current() -> Context:
    """The `Context` (user, account, metadata) that an event would get now."""
    frame = live_frame()
    cell = frame.cell
    if cell is None:
        return resolved(frame, None)
    layer = None if cell.pending is None else cell.pending.layer()
    return resolved(frame, layer or cell.current())


def resolved(frame: Frame, layer: Layer | None) -> Context:
    """What *frame* says, and beneath it the request's *layer*."""
    user, account = frame.user, frame.account
    metadata = frame.metadata
    if layer is not None:
        user = layer.user if user is UNSET else user
        account = layer.account if account is UNSET else account
        if layer.metadata:
            metadata = FrozenDict({**layer.metadata, **metadata}) if metadata else layer.metadata
    return Context(None if user is UNSET else user, None if account is UNSET else account, metadata)


def in_our_own_code() -> bool:
    """Whether this library's own threads or hooks run here."""
    cell = current_frame().cell
    return cell is not None and cell.internal


def request_cell() -> Cell:
    """The cell of the enclosing scope; outside any, one that lasts until the context ends."""
    frame = live_frame()
    if frame.cell is not None:
        return frame.cell
    warn_once(
        "no scope",
        "set_user(), set_account() or add_metadata() was called outside any scope: it lasts until this context "
        "ends. Open one per request or job, as in `with journy_track.scope():`.",
    )
    cell = Cell()
    if _place is not None:
        cell.place = _place()
    # Beneath the blocks that are open here, so that they still win, and stay when they are left.
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
