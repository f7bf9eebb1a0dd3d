"""after_commit: hold items captured in a database transaction until it commits; drop them if it rolls back."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from os import getpid
from typing import Any, Protocol
from weakref import ref

from journy_track._capture.held import HeldItem, Queue
from journy_track._capture.queue import UNIT
from journy_track._capture.records import leave_out
from journy_track._model.frameworks import in_use


class Transaction(Protocol):
    """An open database transaction, as a framework's integration knows it."""

    def on_commit(self, emit: Callable[[], object]) -> object:
        """Call *emit* after the transaction commits; forget it if the transaction is rolled back or abandoned."""


#: Finds the transactions that are open at the point of the call. An item is dropped if any of them rolls back.
Find = Callable[[], Iterable[Transaction]]
#: Prepares what else belongs to an item, and returns a function to call when the item is released.
Emission = Callable[[tuple[Any, ...]], Callable[[], object]]
_finders: list[Find] = []


def register(find: Find) -> None:
    """Call *find* for open transactions from now on. Registering it again has no effect."""
    if find not in _finders:
        _finders.append(find)


def open_transactions() -> list[Transaction]:
    """All database transactions that are open at the point of the call."""
    found = (framework.open_transactions for framework in in_use())
    finders = [*(find for find in found if find is not None), *_finders]
    return [transaction for find in finders for transaction in find()]


class UntilCommit:
    """A queue in front of the queue, in which items wait for the transactions that they were captured in.

    Only released items are counted; a rolled-back item counts as never captured. It has the same bounds as the queue:
    an item that does not fit is refused and counted at once. Like the queue, it takes no locks, since it may be
    called in a signal handler or a finaliser.
    """

    __slots__ = (
        "_emission",
        "_held",
        "_max_units",
        "_queue",
        "_released",
        "_releases",
        "_size",
        "_units",
        "_used",
        "pid",
    )

    def __init__(self, queue_of_process: Callable[[], Queue], size: int, max_bytes: int, emission: Emission) -> None:
        self.pid = getpid()
        self._emission = emission
        self._queue = queue_of_process
        self._size = size
        self._max_units = max(1, max_bytes // UNIT)
        #: The function to call when each item is released. Only the transactions hold the items strongly: a framework
        #: that rolls back drops its references, and the items are then garbage-collected.
        self._held: dict[ref[HeldItem], Callable[[], object]] = {}
        self._units, self._releases = itertools.count(1), itertools.count(1)
        self._used = self._released = 0

    def offer(self, captured: tuple[Any, ...], extra: int) -> bool:
        """Hold *captured* until all open transactions have committed; if none is open, pass it on at once."""
        transactions = open_transactions()
        emitted = self._emission(captured)
        if not transactions:
            emitted()
            return self._queue().offer(captured, extra)
        return self._hold(HeldItem(self, captured, 0), extra, transactions, emitted)

    def park(self, item: HeldItem, extra: int) -> bool:
        """Like `offer`, for an item that waits for more than its transactions."""
        transactions = open_transactions()
        emitted = self._emission(item.captured)
        if not transactions:
            emitted()
            item.queue = self._queue()
            return item.queue.park(item, extra)
        return self._hold(item, extra, transactions, emitted)

    def _hold(
        self, item: HeldItem, extra: int, transactions: list[Transaction], emitted: Callable[[], object]
    ) -> bool:
        units = extra + 1
        if len(self._held) >= self._size or self._used - self._released + units > self._max_units:
            self.refuse("queue_full")
            return False
        item.waits_for += len(transactions)
        self._held[ref(item, lambda gone: self._forget(gone, units))] = emitted
        for _ in range(units):
            self._used = next(self._units)
        for transaction in transactions:
            transaction.on_commit(item)
        return True

    def unpark(self, item: HeldItem) -> None:
        """Pass *item* on: everything that it waited for has happened."""
        captured = item.captured
        try:
            self._held[ref(item)]()
        except Exception as error:  # noqa: BLE001 - a span may raise anything, which must not fail the app's commit
            leave_out(error, captured[2], "recording on its span")
        self._queue().offer(captured, captured[-1])

    def _forget(self, gone: ref[HeldItem], units: int) -> None:
        self._held.pop(gone, None)
        for _ in range(units):
            self._released = next(self._releases)

    def refuse(self, reason: str) -> None:
        """Count an item that was lost while being captured."""
        self._queue().refuse(reason)
