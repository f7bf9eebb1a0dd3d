"""A request: what was set in it, its actor, and the items that wait until the actor is known.

A `scope()` opens a `Cell`. An integration makes the cell *pending*: the integration can ask the framework for the
`Actor` (the request's user and account), but perhaps not yet, or not on this thread. Capturing an item in such a
scope asks for the actor. If it is available, the item is queued with it. Otherwise the item waits, at the latest
until the integration closes the request.

The actor may change within a request. A *moment* is what it depends on, as far as that is visible: for example, the
request's user object and session. An actor applies as long as the moment stays the same, and a waiting item gets the
actor of the moment in which it was captured.

A request may be skipped: nothing in it is tracked. As long as that is not known, its items wait, and if it cannot be
found out, they are dropped. This includes scopes and requests *within* it, which do not share its user.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias

from journy_track._capture.attributes import NO_ATTRIBUTES, NOTHING_TRACKED, UNSET, Attributes, Unset
from journy_track._capture.held import HeldItem, Queue
from journy_track._model.captured import Captured
from journy_track._model.frozendict import FrozenDict
from journy_track._model.identity import AccountIdentified, UserIdentified

#: The maximum number of items of one request that wait at the same time.
MAX_WAITING = 1000
#: What an actor depends on. Compared by the identity of its parts, which it keeps alive.
Moment: TypeAlias = tuple[object, ...]


class Actor(Attributes):
    """The user and account of a request. Values set in its scope, or on an item, take precedence.

    *lasting*: it applies for the rest of the request. An anonymous actor does not last and is looked up again, since
    the visitor may sign in. *suppressed*: the request is skipped, and nothing in it is captured.
    """

    __slots__ = ("lasting", "suppressed")

    def __init__(
        self,
        user: UserIdentified | None | Unset = UNSET,
        account: AccountIdentified | None | Unset = UNSET,
        metadata: FrozenDict = NO_ATTRIBUTES.metadata,
        lasting: bool = True,
        suppressed: bool = False,
    ) -> None:
        super().__init__(user, account, metadata)
        self.lasting: bool = lasting
        self.suppressed: bool = suppressed


NOBODY: Final = Actor(lasting=False)
#: The actor of a skipped request.
SKIPPED: Final = Actor(suppressed=True)
#: The actor of a request of which it cannot be found out whether it is skipped.
PERHAPS_SKIPPED: Final = Actor(lasting=False, suppressed=True)
#: What a lookup returns if it failed to find out whether the request is skipped, and may be repeated.
SKIP_FAILED: Final = Actor(lasting=False, suppressed=True)
#: Shared by all cells in which nothing was set: most requests track nothing.
_NOTHING_SET: Final = (object(), NO_ATTRIBUTES)


class Cell:
    """A request's own identity and metadata: the only mutable part of the context.

    It takes no lock, since a signal handler or a fork may come at any line: every write ends by renewing `_version`,
    and a reader that finds a version other than the one it knows reads again.

    A cell serves as the `Change` of its scope, which is cheaper than wrapping it in one.
    """

    attributes: ClassVar[Attributes] = NO_ATTRIBUTES
    internal: ClassVar[None] = None
    #: Whether a client is waiting for the code in it, as in a web request.
    of_request: ClassVar[bool] = False

    __slots__ = ("_account", "_actor", "_known", "_metadata", "_user", "_version", "pending", "place", "transactions")

    def __init__(self, inherited: Attributes = NO_ATTRIBUTES) -> None:
        self._user = inherited.user
        self._account = inherited.account
        self._metadata: dict[str, Any] = dict(inherited.metadata)
        #: The actor, once it is certain: applies beneath the values set here.
        self._actor: Attributes = inherited if inherited.suppressed else NO_ATTRIBUTES
        #: Looks up the actor, until it is certain.
        self.pending: Pending | Within | None = None
        #: The place where it was created. Set in tests only.
        self.place: str | None = None
        #: The database sessions that were used in this request, by any of its threads.
        self.transactions: list[Any] = []
        #: A version, and all values at that version.
        self._known: tuple[object, Attributes] = _NOTHING_SET
        self._version: object = _NOTHING_SET[0] if inherited is NO_ATTRIBUTES else object()

    @property
    def cell(self) -> Cell:
        return self

    def set(
        self,
        user: UserIdentified | None | Unset = UNSET,
        account: AccountIdentified | None | Unset = UNSET,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Change the given values, and leave the others as they are."""
        if user is not UNSET:
            self._user = user
        if account is not UNSET:
            self._account = account
        if metadata:
            self._metadata.update(metadata)
        self._version = object()

    def set_actor(self, actor: Attributes) -> None:
        """From now on, apply *actor* beneath the values set here."""
        self._actor = actor
        self._version = object()

    def current(self) -> Attributes:
        """The attributes that currently apply in this request."""
        version, attributes = self._known
        if version is not self._version:
            version = self._version
            own = Attributes(self._user, self._account, FrozenDict(self._metadata.copy()))
            attributes = own.over(self._actor)
            self._known = version, attributes
        return attributes

    def skipped(self) -> bool | None:
        """Whether nothing in it is tracked; `None` if that is not known yet."""
        pending = self.pending  # read before `current()`: an actor is set before `pending` is cleared
        if pending is None or not pending.may_skip:
            return self.current().suppressed
        asked = pending.attributes(self)
        return None if asked is None else asked.suppressed


class RequestCell(Cell):
    """The cell of a web request."""

    of_request: ClassVar[bool] = True

    __slots__ = ()


class _Waiting(NamedTuple):
    """An item that waits for the actor, with its own attributes and the moment of its capture.

    *own* is `None` for an item from a scope or request within this one: it does not get the actor's values.
    """

    item: HeldItem
    own: Attributes | None
    moment: Moment

    def settle(self, actor: Attributes) -> bool:
        """Put *actor* beneath the item's own attributes. Returns whether the item may be sent."""
        captured = Captured(*self.item.captured)
        if self.own is not None:
            found = self.own.over(actor)
            captured = captured._replace(
                user=None if found.user is UNSET else found.user,
                account=None if found.account is UNSET else found.account,
                request=found.metadata,
            )
        if actor.suppressed and not captured.kind.erases:
            captured = captured._replace(request=None)
        self.item.captured = captured
        return captured.request is not None


class Pending:
    """Looks up the actor in the request of *cell*. *ask* returns the actor of a moment; `None` if not known yet.

    *ask* may run on any thread that captures in this request, and decides for itself what it may do there. Items that
    are captured by code that *ask* calls have to wait. *moment* returns the current moment.

    *unknown* is the actor if *ask* never returns one. *may_skip*: the actor may be *suppressed*. *outside*: the
    request around this one, if that one may be skipped: then nothing in this one is tracked either.
    """

    __slots__ = (
        "_ask",
        "_asking",
        "_cell",
        "_closed",
        "_final",
        "_known_at",
        "_outside",
        "_partial",
        "_room",
        "_skip_failed",
        "_unknown",
        "may_skip",
        "moment",
        "wanted",
    )

    #: Whether it looks up who the actor is, and not only whether nothing is tracked.
    finds_actor: ClassVar[bool] = True

    def __init__(
        self,
        cell: Cell,
        ask: Callable[[Moment], Actor | None],
        moment: Callable[[], Moment] = tuple,
        unknown: Actor = NOBODY,
        may_skip: bool = False,
        outside: Cell | None = None,
    ) -> None:
        self._cell = cell
        self._ask = ask
        self.moment: Callable[[], Moment] = moment
        # Lists, which cost nothing while empty: most requests track nothing.
        #: The threads that are currently asking.
        self._asking: list[int] = []
        self._room: list[_Waiting] = []
        #: The latest actor that does not last, e.g. a user without an account.
        self._partial = unknown
        self._unknown = unknown
        self._outside = outside
        #: Whether the request may turn out to be skipped.
        self.may_skip: bool = may_skip or outside is not None
        self._skip_failed = False
        #: The lasting actor, also for items captured after the request has ended.
        self._final: Actor | None = None
        #: The moment of the later of these two.
        self._known_at: Moment = ()
        self._closed = False
        #: `in_context()` has copied this request elsewhere: resolve it even if nothing is waiting yet.
        self.wanted: bool = False

    @property
    def waiting(self) -> bool:
        """Whether any item is waiting for the actor."""
        return bool(self._room)

    @property
    def answered(self) -> bool:
        """Whether the actor is known and still applies."""
        return self._final is not None and (self._cell.pending is None or same(self._known_at, self.moment()))

    @property
    def outdated(self) -> bool:
        """Whether the actor was known, and may have changed since."""
        was_known = self._final is not None or self._partial is not self._unknown
        return was_known and not same(self._known_at, self.moment())

    @property
    def skip_failed(self) -> bool:
        """Whether the last lookup failed to find out whether nothing is tracked."""
        return self._skip_failed or (self._outside is not None and _skip_failed_in(self._outside))

    def attributes(self, cell: Cell) -> Attributes | None:
        """The attributes that apply in *cell*, the request's, including the actor; `None` if not known yet."""
        if self._outside is None:
            return self._look_up(cell)
        skipped = self._outside.skipped()
        if skipped:
            return cell.current().over(NOTHING_TRACKED)
        # Also while it is not known whether nothing is tracked: items then wait in the request around this one, which
        # may come to know that long before this one ends.
        known = self._look_up(cell)
        return None if skipped is None else known

    def _look_up(self, cell: Cell) -> Attributes | None:
        moment = self.moment()
        if self._final is not None:
            if same(self._known_at, moment):
                return cell.current()
            self.renew()
        thread = get_ident()
        if thread in self._asking:
            return None
        self._asking.append(thread)
        try:
            actor = self._ask(moment)
            self._skip_failed = actor is SKIP_FAILED
            if actor is None or actor is SKIP_FAILED:
                return None
            for earlier in self.earlier():
                before = self._ask(earlier)
                if before is not None and before is not SKIP_FAILED:
                    self.settle_earlier(before, earlier)
        finally:
            self._asking.remove(thread)
        self.settle(actor)
        return cell.current() if actor.lasting else cell.current().over(actor)

    def hold(self, queue: Queue, captured: tuple[Any, ...], own: Attributes | None) -> bool:
        """Make an item wait, counted as queued, and return whether it was accepted.

        *own*: its own attributes; `None` if it comes from a scope or request within this one.
        """
        extra = captured[-1]
        item = HeldItem(queue, captured, 1)
        if len(self._room) >= MAX_WAITING:
            identified = own is not None and (
                isinstance(own.user, UserIdentified) or isinstance(own.account, AccountIdentified)
            )
            if not captured[0].erases and (self.may_skip or not identified):
                queue.refuse("waiting_room_full")
                return False
            return queue.offer(captured, extra)  # it has an identity, and is sent without the actor's values
        if not queue.park(item, extra):
            return False
        self._wait(item, own)
        return True

    def take_over(self, item: HeldItem) -> None:
        """Make an item wait that has waited for the actor of a request within this one."""
        self._wait(item, None)

    def _wait(self, item: HeldItem, own: Attributes | None) -> None:
        self._room.append(_Waiting(item, own, self.moment()))
        if self._closed:
            self._release_all()
        elif self._final is not None:  # the actor has just become known
            self._release(self._final, self._known_at)

    def want(self) -> None:
        """Find out the actor, now or later, even if nothing waits for it yet."""
        self.wanted = True
        if self._outside is not None and (around := self._outside.pending) is not None:
            around.want()
        self.attributes(self._cell)  # the framework can be asked here, but perhaps not there

    def earlier(self) -> list[Moment]:
        """The distinct moments of waiting items, earliest first, without the current one."""
        moments: list[Moment] = []
        if self._room:
            known = [self.moment()]
            for waiting in list(self._room):
                if not any(same(waiting.moment, other) for other in known):
                    known.append(waiting.moment)
                    moments.append(waiting.moment)
        return moments

    def settle(self, actor: Actor) -> None:
        """Use *actor* from now on, and for the waiting items of the current moment."""
        # The moment after asking, since asking may have loaded what the actor depends on.
        moment = self.moment()
        self._partial, self._known_at = actor, moment
        if actor.lasting:
            self._cell.set_actor(actor)
            self._final = actor
            if not moment:
                self._stop_asking()  # a change could not be detected
        self._release(actor, moment)

    def settle_earlier(self, actor: Actor, moment: Moment) -> None:
        """Release the waiting items of *moment* with *actor*."""
        self._release(actor, moment)

    def renew(self) -> None:
        """Ask again, because the actor has changed within the request."""
        self._partial = self._unknown
        if self._final is not None and not self._closed:
            self._cell.set_actor(NO_ATTRIBUTES)
            self._final = None
            self._cell.pending = self

    def end(self) -> bool:
        """Close it if the actor was never needed, as in most requests. Returns whether it was closed."""
        if self._room or self.wanted or self._final is not None or self._partial is not self._unknown:
            return False
        self._final, self._closed = self._unknown, True  # later items get no actor
        self._stop_asking()
        self._release_all()  # items that another thread captured meanwhile
        return True

    def close(self, actor: Actor | None) -> None:
        """Stop asking: from here on *actor* applies, or else the last one that is known.

        It also applies to the waiting items of the current moment. Those of an earlier moment are released without an
        actor, or dropped if the request may have been skipped then.
        """
        if not self.answered:
            if actor is None:
                actor = self._partial if same(self._known_at, self.moment()) else self._unknown
            self.renew()
            self.settle(Actor(actor.user, actor.account, actor.metadata, suppressed=actor.suppressed))
        self._closed = True
        self._stop_asking()
        self._release_all()

    def settle_unknown(self) -> None:
        """Release all waiting items as those of an actor that can no longer be found out."""
        for moment in (*self.earlier(), self.moment()):
            self.settle_earlier(self._unknown, moment)

    def _stop_asking(self) -> None:
        """From now on, only the request around this one is asked, if there is one that may be skipped."""
        self._cell.pending = None if self._outside is None else Within(self._outside)

    def _let_go(self, waiting: _Waiting, actor: Actor) -> None:
        """Release one item, or let it wait on for the request around this one."""
        if waiting.settle(actor) and self._outside is not None:
            _hand_over(waiting.item, self._outside)
        else:
            waiting.item()

    def _release(self, actor: Actor, moment: Moment) -> None:
        """Release the waiting items of *moment* with *actor*."""
        room = self._room
        for _ in range(len(room)):
            try:
                waiting = room.pop(0)
            except IndexError:  # another thread took the last one
                return
            if same(waiting.moment, moment):
                self._let_go(waiting, actor)
            else:
                room.append(waiting)

    def _release_all(self) -> None:
        """Release all remaining items, once the framework can no longer be asked."""
        while self._room:
            try:
                waiting = self._room.pop(0)
            except IndexError:
                return
            actor = self._final
            known = actor is not None and same(waiting.moment, self._known_at)
            self._let_go(waiting, actor if actor is not None and known else self._unknown)


class Within:
    """For a scope or request within *outside*, a request that may be skipped: finds out only that."""

    __slots__ = ("outside",)

    finds_actor: ClassVar[bool] = False
    may_skip: ClassVar[bool] = True

    def __init__(self, outside: Cell) -> None:
        self.outside: Cell = outside

    @property
    def skip_failed(self) -> bool:
        """Whether the last lookup failed to find that out."""
        return _skip_failed_in(self.outside)

    def attributes(self, cell: Cell) -> Attributes | None:
        """The attributes that apply in *cell*, the scope's; `None` if it is not known yet whether it is skipped."""
        skipped = self.outside.skipped()
        if skipped is None:
            return None
        known = cell.current()
        return known.over(NOTHING_TRACKED) if skipped else known

    def hold(self, queue: Queue, captured: tuple[Any, ...], own: Attributes | None) -> bool:
        """Make an item wait until it is known, and return whether it was accepted."""
        pending = self.outside.pending
        if pending is not None:
            return pending.hold(queue, captured, None)
        if self.outside.current().suppressed and not captured[0].erases:  # it has just become known
            queue.refuse("suppressed")
            return False
        return queue.offer(captured, captured[-1])

    def take_over(self, item: HeldItem) -> None:
        """Make an item wait that has waited for the actor of a request within this one."""
        _hand_over(item, self.outside)

    def want(self) -> None:
        """Find it out, now or later, even if nothing waits for it yet."""
        if (pending := self.outside.pending) is not None:
            pending.want()


def within(cell: Cell, around: Cell | None) -> Cell:
    """Return *cell*, a new scope, in which nothing is tracked where nothing is tracked in the scope *around* it."""
    if around is not None and (outside := skippable(around)) is not None:
        cell.pending = Within(outside)
    return cell


def skippable(around: Cell) -> Cell | None:
    """The request that decides whether nothing is tracked in *around*; `None` if none may be skipped."""
    pending = around.pending
    if type(pending) is Within:
        return pending.outside
    may_skip = around.current().suppressed if pending is None else pending.may_skip
    return around if may_skip else None


def _skip_failed_in(outside: Cell) -> bool:
    pending = outside.pending
    return pending is not None and pending.skip_failed


def _hand_over(item: HeldItem, outside: Cell) -> None:
    """Let *item* wait until it is known whether *outside* is skipped."""
    pending = outside.pending
    if pending is not None:
        pending.take_over(item)
        return
    _Waiting(item, None, ()).settle(outside.current())
    item()


def same(earlier: Moment, later: Moment) -> bool:
    """Whether two moments are the same. A part that was `None` at the earlier one does not count as changed."""
    if earlier is later:
        return True
    for one, other in zip(earlier, later, strict=False):  # noqa: SIM110 - half of what all() takes; events wait for it
        if one is not None and one is not other:
            return False
    return True
