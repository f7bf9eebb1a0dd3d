"""A request: what was set in it, its actor, and the items that wait until the actor is known.

A `scope()` opens a `Cell`. An integration makes the cell *pending*: the integration can ask the framework for the
`Actor` (the request's user and account), but perhaps not yet, or not on this thread. Capturing an item in such a
scope asks for the actor. If it is available, the item is queued with it. Otherwise the item waits, at the latest
until the integration closes the request.

The actor may change within a request. A *moment* is what it depends on, as far as that is visible: for example, the
request's user object and session. An actor applies as long as the moment stays the same, and a waiting item gets the
actor of the moment in which it was captured.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias

from journy_track._capture.attributes import NO_ATTRIBUTES, UNSET, Attributes, Unset
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
        self.pending: Pending | None = None
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


class RequestCell(Cell):
    """The cell of a web request."""

    of_request: ClassVar[bool] = True

    __slots__ = ()


class _Waiting(NamedTuple):
    """An item that waits for the actor, with its own attributes and the moment of its capture."""

    item: HeldItem
    own: Attributes
    moment: Moment

    def go_on(self, actor: Attributes) -> None:
        """Release the item, with *actor* beneath its own attributes."""
        found = self.own.over(actor)
        captured = Captured(*self.item.captured)
        self.item.captured = captured._replace(
            user=None if found.user is UNSET else found.user,
            account=None if found.account is UNSET else found.account,
            request=None if actor.suppressed and not captured.kind.erases else found.metadata,
        )
        self.item()


class Pending:
    """Looks up the actor in the request of *cell*. *ask* returns the actor of a moment; `None` if not known yet.

    *ask* may run on any thread that captures in this request, and decides for itself what it may do there. Items that
    are captured by code that *ask* calls have to wait. *moment* returns the current moment.
    """

    __slots__ = (
        "_ask",
        "_asking",
        "_cell",
        "_closed",
        "_final",
        "_known_at",
        "_partial",
        "_room",
        "moment",
        "wanted",
    )

    def __init__(
        self, cell: Cell, ask: Callable[[Moment], Actor | None], moment: Callable[[], Moment] = tuple
    ) -> None:
        self._cell = cell
        self._ask = ask
        self.moment: Callable[[], Moment] = moment
        # Lists, which cost nothing while empty: most requests track nothing.
        #: The threads that are currently asking.
        self._asking: list[int] = []
        self._room: list[_Waiting] = []
        #: The latest actor that does not last, e.g. a user without an account.
        self._partial = NOBODY
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

    def attributes(self) -> Attributes | None:
        """The attributes that apply in the request, including the actor; `None` if it is not known yet."""
        moment = self.moment()
        if self._final is not None:
            if same(self._known_at, moment):
                return self._cell.current()
            self.renew()
        thread = get_ident()
        if thread in self._asking:
            return None
        self._asking.append(thread)
        try:
            actor = self._ask(moment)
            if actor is None:
                return None
            for earlier in self.earlier():
                if (before := self._ask(earlier)) is not None:
                    self.settle_earlier(before, earlier)
        finally:
            self._asking.remove(thread)
        self.settle(actor)
        return self._cell.current() if actor.lasting else self._cell.current().over(actor)

    def hold(self, queue: Queue, captured: tuple[Any, ...], own: Attributes) -> bool:
        """Make an item wait, counted as queued, and return whether it was accepted. *own*: its own attributes."""
        extra = captured[-1]
        waiting = _Waiting(HeldItem(queue, captured, 1), own, self.moment())
        if len(self._room) >= MAX_WAITING:
            if not isinstance(own.user, UserIdentified) and not isinstance(own.account, AccountIdentified):
                queue.refuse("waiting_room_full")
                return False
            return queue.offer(captured, extra)  # it has an identity, and is sent without the actor's values
        if not queue.park(waiting.item, extra):
            return False
        self._room.append(waiting)
        if self._closed:
            self._release_all()
        elif self._final is not None:  # the actor has just become known
            self._release(self._final, self._known_at)
        return True

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
                self._cell.pending = None  # a change could not be detected
        self._release(actor, moment)

    def settle_earlier(self, actor: Actor, moment: Moment) -> None:
        """Release the waiting items of *moment* with *actor*."""
        self._release(actor, moment)

    def renew(self) -> None:
        """Ask again, because the actor has changed within the request."""
        self._partial = NOBODY
        if self._final is not None and not self._closed:
            self._cell.set_actor(NO_ATTRIBUTES)
            self._final = None
            self._cell.pending = self

    def end(self) -> bool:
        """Close it if the actor was never needed, as in most requests. Returns whether it was closed."""
        if self._room or self.wanted or self._final is not None or self._partial is not NOBODY:
            return False
        self._final, self._closed = NOBODY, True  # later items get no actor
        self._cell.pending = None
        self._release_all()  # items that another thread captured meanwhile
        return True

    def close(self, actor: Actor | None) -> None:
        """Stop asking: from here on *actor* applies, or else the last one that is known.

        It also applies to the waiting items of the current moment. Those of an earlier moment are released without an
        actor.
        """
        if not self.answered:
            if actor is None:
                actor = self._partial if same(self._known_at, self.moment()) else NOBODY
            self.renew()
            self.settle(Actor(actor.user, actor.account, actor.metadata, suppressed=actor.suppressed))
        self._closed = True
        self._cell.pending = None
        self._release_all()

    def _release(self, actor: Actor, moment: Moment) -> None:
        """Release the waiting items of *moment* with *actor*."""
        room = self._room
        for _ in range(len(room)):
            try:
                waiting = room.pop(0)
            except IndexError:  # another thread took the last one
                return
            if same(waiting.moment, moment):
                waiting.go_on(actor)
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
            waiting.go_on(NOBODY if actor is None or not same(waiting.moment, self._known_at) else actor)


def same(earlier: Moment, later: Moment) -> bool:
    """Whether two moments are the same. A part that was `None` at the earlier one does not count as changed."""
    if earlier is later:
        return True
    for one, other in zip(earlier, later, strict=False):  # noqa: SIM110 - half of what all() takes; events wait for it
        if one is not None and one is not other:
            return False
    return True
