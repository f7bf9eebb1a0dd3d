"""Whose request it is, where that has to be asked for; and the room in which items wait for the answer.

An integration opens a scope whose cell is *pending*: it knows how to ask, and perhaps not yet, or not on this
thread. An item that is captured in such a scope asks. Where the answer can be had here and now, the item goes on
with it; otherwise it waits, at the latest until the integration closes the room at the end of the request.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from os import getpid
from threading import get_ident
from typing import Any, Final

from journy_track._capture.commit import Queue
from journy_track._capture.context import UNSET, Cell, Layer, Unset
from journy_track._model.frozendict import FrozenDict
from journy_track._model.identity import AccountIdentified, UserIdentified

#: Items of one request that wait at once, at most.
MOST_WAITING = 1000


@dataclass(frozen=True, slots=True)
class Answer:
    """Who acts in a request. What was set in its scope, and what an item says itself, wins over it."""

    user: UserIdentified | None | Unset = UNSET
    account: AccountIdentified | None | Unset = UNSET
    metadata: FrozenDict = field(default_factory=FrozenDict)
    #: Whether it holds for the rest of the request. Nobody is asked for again: a visitor may sign in.
    lasting: bool = True


NOBODY: Final = Answer(lasting=False)


class Parked:
    """One captured item that waits, and the queue that it will go to. *open_* is what the answer may fill."""

    __slots__ = ("captured", "open_account", "open_user", "queue")

    def __init__(self, queue: Queue, captured: tuple[Any, ...], open_user: bool, open_account: bool) -> None:
        self.queue = queue
        self.captured = captured
        self.open_user = open_user
        self.open_account = open_account

    def leave(self, answer: Answer) -> None:
        """Go on into the queue, with this answer."""
        if self.queue.pid != getpid():
            return  # a copy that a fork made: the item is the parent's
        filled = list(self.captured)
        if self.open_user and answer.user is not UNSET:
            filled[3] = answer.user
        if self.open_account and answer.account is not UNSET:
            filled[4] = answer.account
        if answer.metadata:
            filled[8] = FrozenDict({**answer.metadata, **filled[8]})
        self.queue.unpark(self, tuple(filled))


class Pending:
    """Asks who acts in the request of *cell*. *ask* answers, or `None` when that can't be said here and now.

    *ask* may run on any thread that captures in this request and decides for itself what it may do there. An
    item that is captured while it runs, by what it calls, waits.
    """

    __slots__ = ("_ask", "_asking", "_cell", "_last", "_room", "_said", "wanted")

    def __init__(self, cell: Cell, ask: Callable[[], Answer | None]) -> None:
        self._cell = cell
        self._ask = ask
        self._asking: set[int] = set()
        self._room: deque[Parked] = deque()
        #: The latest answer that does not hold: with a user and no account, say.
        self._said = NOBODY
        #: What whoever comes too late gets: set when the answer holds, or the request has ended.
        self._last: Answer | None = None
        #: Somebody will need the answer later: `in_context()` carries it away.
        self.wanted: bool = False

    @property
    def waiting(self) -> bool:
        """Whether anything waits for an answer."""
        return bool(self._room)

    def layer(self) -> Layer | None:
        """The request's layer with the answer in it; `None` when there is no answer here and now."""
        thread = get_ident()
        if thread in self._asking:
            return None
        self._asking.add(thread)
        try:
            answer = self._ask()
        finally:
            self._asking.discard(thread)
        if answer is None:
            return None
        self.settle(answer)
        return self._cell.current() if answer.lasting else self._cell.with_answer(answer)

    def hold(self, queue: Queue, captured: tuple[Any, ...], open_user: bool, open_account: bool) -> bool:
        """Let an item wait, and answer whether it was taken. It is counted as queued."""
        parked = Parked(queue, captured, open_user, open_account)
        if len(self._room) >= MOST_WAITING:
            if captured[3] is None and captured[4] is None:
                queue.refuse("waiting_room_full")
                return False
            return queue.offer(captured, captured[13])  # it has an identity, and goes without what else there is
        if not queue.park(parked, captured[13]):
            return False
        self._room.append(parked)
        if self._last is not None:  # the answer came in this moment, or it is too late for one
            self._release(self._last)
        return True

    def settle(self, answer: Answer) -> None:
        """This is the answer for all that waits; a lasting one becomes part of the request's scope."""
        if answer.lasting:
            self._cell.fill(answer)
            self._last = answer
            self._cell.pending = None
        else:
            self._said = answer
        self._release(answer)

    def renew(self) -> None:
        """Who acts has changed within the request: ask again."""
        self._said = NOBODY
        if self._last is not None and self._cell.pending is None:
            self._cell.unfill(self._last)
            self._last = None
            self._cell.pending = self

    def close(self, answer: Answer | None) -> None:
        """From here on nobody can be asked: *answer* holds for what waits and what comes, or else the latest one."""
        if self._last is None:
            self.settle(replace(answer or self._said, lasting=True))

    def _release(self, answer: Answer) -> None:
        room = self._room
        while room:
            try:
                parked = room.popleft()
            except IndexError:  # another thread took the last one
                return
            parked.leave(answer)
