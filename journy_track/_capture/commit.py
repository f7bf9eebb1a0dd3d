"""after_commit: what was captured in a database transaction is let go when that commits, and not at all otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from os import getpid
from typing import Any, Protocol

from journy_track._capture.queue import UNIT


class Transaction(Protocol):
    """An open database transaction, as a framework's integration knows it."""

    def on_commit(self, emit: Callable[[], object]) -> object:
        """Call *emit* when the transaction has committed; forget it when it was rolled back, or just left."""


class Queue(Protocol):
    """Where captured items go: those of one process."""

    @property
    def pid(self) -> int: ...
    def offer(self, captured: Any, extra: int) -> bool: ...
    def park(self, parked: Any, extra: int) -> bool: ...
    def unpark(self, parked: Any, captured: Any) -> None: ...
    def refuse(self, reason: str) -> None: ...


#: Finds the transactions that are open where it is called, none of which may be rolled back.
Find = Callable[[], Iterable[Transaction]]
#: Notes what else belongs to an item, and answers what is to be done about it when it is let go.
Emission = Callable[[Any], Callable[[], object]]
_finders: list[Find] = []


def register(find: Find) -> None:
    """Have *find* asked for open transactions from now on. Twice is once."""
    if find not in _finders:
        _finders.append(find)


def open_transactions() -> list[Transaction]:
    """Every database transaction that is open here."""
    return [transaction for find in _finders for transaction in find()]


class UntilCommit:
    """A queue before the queue: its items wait for the transaction that they were captured in.

    Counted is what is let go; what is rolled back was never captured. Bounded as the queue is: what does not fit
    is refused, and counted, at once. As there, no locks: it may be called in a signal handler, or a finaliser.
    """

    __slots__ = (
        "_back",
        "_backs",
        "_emission",
        "_max_units",
        "_parked",
        "_queue",
        "_size",
        "_taken",
        "_takes",
        "_waiting",
        "pid",
    )

    def __init__(self, queue_of_process: Callable[[], Queue], size: int, max_bytes: int, emission: Emission) -> None:
        self.pid = getpid()
        self._emission = emission
        self._queue = queue_of_process
        self._size = size
        self._max_units = max(1, max_bytes // UNIT)
        self._waiting: dict[int, None] = {}
        self._parked: dict[Any, _Both] = {}
        self._takes, self._backs = itertools.count(1), itertools.count(1)
        self._taken = self._back = 0

    def offer(self, captured: Any, extra: int) -> bool:
        """Keep *captured* until every transaction that is open here has committed; without one, pass it on."""
        transactions = open_transactions()
        emitted = self._emission(captured)
        if not transactions:
            emitted()
            return self._queue().offer(captured, extra)
        return self._wait(transactions, extra + 1, lambda: self._emit(captured, extra, emitted))

    def park(self, parked: Any, extra: int) -> bool:
        """As `offer`, for an item that also waits to know whose it is: both, in either order, let it go."""
        transactions = open_transactions()
        if not transactions:
            parked.queue = self._queue()
            return bool(parked.queue.park(parked, extra))
        emitted = self._emission(parked.captured)
        both = _Both(lambda captured: self._emit(captured, extra, emitted))
        if not self._wait(transactions, extra + 1, both.committed):
            return False
        self._parked[parked] = both
        return True

    def unpark(self, parked: Any, captured: Any) -> None:
        """Whose it is, is known: it is *captured* that goes, once its transactions have committed."""
        both = self._parked.pop(parked, None)
        if both is not None:
            both.known(captured)

    def _wait(self, transactions: list[Transaction], units: int, emit: Callable[[], object]) -> bool:
        if len(self._waiting) >= self._size or self._taken - self._back + units > self._max_units:
            self.refuse("queue_full")
            return False
        waiting = _Waiting(self, emit, units, len(transactions))
        for transaction in transactions:
            transaction.on_commit(waiting)
        return True

    def refuse(self, reason: str) -> None:
        """Count an item that was lost while it was captured."""
        self._queue().refuse(reason)

    def kept(self, item: _Waiting) -> None:
        """*item* waits."""
        self._waiting[id(item)] = None
        for _ in range(item.units):
            self._taken = next(self._takes)

    def let_go(self, item: _Waiting) -> None:
        """*item* waits no more."""
        self._waiting.pop(id(item), None)
        for _ in range(item.units):
            self._back = next(self._backs)

    def _emit(self, captured: Any, extra: int, emitted: Callable[[], object]) -> None:
        emitted()
        self._queue().offer(captured, extra)


class _Both:
    """An item that waits for its transactions and for its request's user."""

    __slots__ = ("_captured", "_committed", "_emit")

    def __init__(self, emit: Callable[[Any], object]) -> None:
        self._emit = emit
        self._committed = False
        self._captured: Any = None

    def committed(self) -> None:
        self._committed = True
        if self._captured is not None:
            self._emit(self._captured)

    def known(self, captured: Any) -> None:
        self._captured = captured
        if self._committed:
            self._emit(captured)


class _Waiting:
    """One item that waits. Called when one of its transactions has committed; the last one lets it go.

    A framework that rolls back just forgets it: that is seen by its being collected.
    """

    __slots__ = ("_emit", "_left", "_queue", "units")

    def __init__(self, queue: UntilCommit, emit: Callable[[], object], units: int, transactions: int) -> None:
        self.units = units
        self._queue = queue
        self._emit = emit
        self._left = transactions
        queue.kept(self)

    def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._emit()

    def __del__(self) -> None:
        self._queue.let_go(self)
