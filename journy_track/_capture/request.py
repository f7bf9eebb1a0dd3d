"""A request: what was set in it, who acts in it, and the items that wait until that is known.

A `scope()` opens a `Cell`. An integration makes that *pending*: it knows how to ask the framework who acts, but
perhaps not yet, or not on this thread. An item that is captured in such a scope asks. If the `Actor` can be found
here and now, the item goes on with it. Otherwise it waits, at the latest until the integration closes the request.

Who acts may change within a request. What that depends on, as far as it can be seen, is a *moment*: a request's user
object and session, say. An actor holds as long as the moment is the same, and an item that waits gets the actor of
the moment that it was captured in.
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

#: Items of one request that wait at once, at most.
MAX_WAITING = 1000
#: What an actor depends on. Compared by the identity of its parts, which it keeps alive.
Moment: TypeAlias = tuple[object, ...]


class Actor(Attributes):
    """Who acts in a request. What was set in its scope, and what an item says itself, wins over it.

    *lasting*: it holds for the rest of the request. For nobody it does not, and is asked for again: a visitor may
    sign in. *suppressed*: the request is skipped, and nothing of it is captured.
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
#: Acts in a request that is skipped.
SKIPPED: Final = Actor(suppressed=True)
#: Of each cell in which nothing was set: most requests track nothing.
_NOTHING_SET: Final = (object(), NO_ATTRIBUTES)


class Cell:
    """A request's own identity and metadata: the one place of the context that changes.

    Without a lock, since a signal handler or a fork may come at any line: every write ends by renewing
    `_version`, and a reader who finds another version than the one that it knows reads anew.

    It is the change of the scope that it is for, by itself: that costs less than one that holds it.
    """

    attributes: ClassVar[Attributes] = NO_ATTRIBUTES
    internal: ClassVar[None] = None
    #: Whether a client waits for what runs in it, as for a web request.
    of_request: ClassVar[bool] = False

    __slots__ = ("_account", "_actor", "_known", "_metadata", "_user", "_version", "pending", "place", "transactions")

    def __init__(self, inherited: Attributes = NO_ATTRIBUTES) -> None:
        self._user = inherited.user
        self._account = inherited.account
        self._metadata: dict[str, Any] = dict(inherited.metadata)
        #: Who acts, once that is certain: beneath what is set here.
        self._actor: Attributes = inherited if inherited.suppressed else NO_ATTRIBUTES
        #: Who has to be asked who acts, until that is certain.
        self.pending: Pending | None = None
        #: Where it was made, in tests.
        self.place: str | None = None
        #: The database sessions that were used in this request, in whichever of its threads.
        self.transactions: list[Any] = []
        #: All of it as one value, and the version that this is of.
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
        """Change what is given here, and leave the rest."""
        if user is not UNSET:
            self._user = user
        if account is not UNSET:
            self._account = account
        if metadata:
            self._metadata.update(metadata)
        self._version = object()

    def set_actor(self, actor: Attributes) -> None:
        """From now on *actor* holds beneath what is set here."""
        self._actor = actor
        self._version = object()

    def current(self) -> Attributes:
        """What holds in this request."""
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
    """An item that waits to know who acts, what it says itself, and the moment of its capture."""

    item: HeldItem
    own: Attributes
    moment: Moment

    def go_on(self, actor: Attributes) -> None:
        """Go on, with this actor beneath what the item says itself."""
        found = self.own.over(actor)
        captured = Captured(*self.item.captured)
        self.item.captured = captured._replace(
            user=None if found.user is UNSET else found.user,
            account=None if found.account is UNSET else found.account,
            request=None if actor.suppressed and not captured.kind.erases else found.metadata,
        )
        self.item()


class Pending:
    """Asks who acts in the request of *cell*. *ask* returns the actor of a moment; `None`: not known here and now.

    *ask* may run on any thread that captures in this request and decides for itself what it may do there. An
    item that is captured while it runs, by what it calls, waits. *moment* is the one of now.
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
        # Lists, which cost nothing while they are empty: most requests track nothing.
        #: The threads that ask at present.
        self._asking: list[int] = []
        self._room: list[_Waiting] = []
        #: The last actor that does not last, e.g. a user but no account.
        self._partial = NOBODY
        #: The lasting actor, also for items that are captured after the request has ended.
        self._final: Actor | None = None
        #: The moment of whichever of them is the latest.
        self._known_at: Moment = ()
        self._closed = False
        #: `in_context()` has copied this request elsewhere: resolve it even if nothing waits yet.
        self.wanted: bool = False

    @property
    def waiting(self) -> bool:
        """Whether any item waits to know who acts."""
        return bool(self._room)

    @property
    def answered(self) -> bool:
        """Whether it is known who acts, and that lasts."""
        return self._final is not None and (self._cell.pending is None or same(self._known_at, self.moment()))

    def attributes(self) -> Attributes | None:
        """What holds in the request, the actor included; `None` when that is not known here and now."""
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
        """Let an item wait, and return whether it was taken. It is counted as queued. *own*: what it says itself."""
        extra = captured[-1]
        waiting = _Waiting(HeldItem(queue, captured, 1), own, self.moment())
        if len(self._room) >= MAX_WAITING:
            if not isinstance(own.user, UserIdentified) and not isinstance(own.account, AccountIdentified):
                queue.refuse("waiting_room_full")
                return False
            return queue.offer(captured, extra)  # it has an identity, and goes without what else there is
        if not queue.park(waiting.item, extra):
            return False
        self._room.append(waiting)
        if self._closed:
            self._release_all()
        elif self._final is not None:  # it has become known just now
            self._release(self._final, self._known_at)
        return True

    def earlier(self) -> list[Moment]:
        """The moments of what waits, but for that of now: each once, the earliest first."""
        moments: list[Moment] = []
        if self._room:
            known = [self.moment()]
            for waiting in list(self._room):
                if not any(same(waiting.moment, other) for other in known):
                    known.append(waiting.moment)
                    moments.append(waiting.moment)
        return moments

    def settle(self, actor: Actor) -> None:
        """*actor* acts now, and acted when what waits since this moment was captured."""
        # Not the moment before asking: that may have loaded what the actor depends on.
        moment = self.moment()
        self._partial, self._known_at = actor, moment
        if actor.lasting:
            self._cell.set_actor(actor)
            self._final = actor
            if not moment:
                self._cell.pending = None  # nobody can see whether it changes
        self._release(actor, moment)

    def settle_earlier(self, actor: Actor, moment: Moment) -> None:
        """*actor* acted when what waits since *moment* was captured."""
        self._release(actor, moment)

    def renew(self) -> None:
        """Who acts has changed within the request: ask again."""
        self._partial = NOBODY
        if self._final is not None and not self._closed:
            self._cell.set_actor(NO_ATTRIBUTES)
            self._final = None
            self._cell.pending = self

    def end(self) -> bool:
        """Close it where nobody needed to know who acts, as in most requests. Returns whether it was closed."""
        if self._room or self.wanted or self._final is not None or self._partial is not NOBODY:
            return False
        self._final, self._closed = NOBODY, True  # what comes too late goes without
        self._cell.pending = None
        self._release_all()  # what another thread captured meanwhile
        return True

    def close(self, actor: Actor | None) -> None:
        """From here on nobody can be asked: *actor* holds for what comes, or else the last one that is known.

        It holds for what waits since this moment, too. What waits since an earlier one goes without.
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
        """Let go on what waits since *moment*."""
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
        """Let go on what is left, when nobody can be asked any more."""
        while self._room:
            try:
                waiting = self._room.pop(0)
            except IndexError:
                return
            actor = self._final
            waiting.go_on(NOBODY if actor is None or not same(waiting.moment, self._known_at) else actor)


def same(earlier: Moment, later: Moment) -> bool:
    """Whether two moments are the same. What was not there yet at the earlier one is not known to have changed."""
    if earlier is later:
        return True
    for one, other in zip(earlier, later, strict=False):  # noqa: SIM110 - half of what all() takes; events wait for it
        if one is not None and one is not other:
            return False
    return True
