"""The outbox in memory: what still has to go, in order per lane, merged where two calls can be one."""

from __future__ import annotations

import heapq
from collections.abc import Hashable

from journy_track._delivery.lanes import Lanes, claims_of
from journy_track._delivery.merging import merge_key, merged
from journy_track._delivery.purging import Delete, left_of, names_of
from journy_track._delivery.taken import Taken
from journy_track._model.items import DeleteAccount, DeleteUser

#: Deferrals after which an item lets its lane go on without it.
PATIENCE = 10


class MemoryOutbox:
    """Items from the moment they are made until they are settled. Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._lanes: Lanes[Taken] = Lanes()
        #: Numbers of the items that are neither in flight nor settled.
        self._waiting: dict[int, Taken] = {}
        self._ready: list[tuple[int, Taken]] = []
        self._later: list[tuple[float, int, Taken]] = []
        self._joinable: dict[Hashable, Taken] = {}
        #: Numbers of the items that let their lane go, and the deletes that may overtake them.
        self._loose: set[int] = set()
        self._deletes: dict[int, Taken] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, taken: Taken) -> Taken | None:
        """Append an item. Answers the waiting one that it was merged into, `None` when it goes by itself."""
        key = merge_key(taken.item)
        target = None if key is None else self._joinable.get(key)
        if target is not None and self._joined(target, taken):
            return target
        self._lanes.enter(taken, claims_of(taken.item))
        self._waiting[taken.number] = taken
        if key is not None:
            self._joinable[key] = taken
        if isinstance(taken.item, (DeleteUser, DeleteAccount)):
            self._deletes[taken.number] = taken
        if taken.ready:
            self._call(taken)
        return None

    def _joined(self, target: Taken, taken: Taken) -> bool:
        if target.number not in self._waiting or not self._lanes.is_last(target):
            return False  # something waits behind it, which came before this one
        item = merged(target.item, taken.item)
        if item is None:
            return False
        was_ready = target.ready
        target.item = item
        # Theirs too: while the call that says both is not settled, both stay on disk.
        target.rows += taken.rows
        taken.rows = ()
        target.renewed_at = taken.taken_at
        self._lanes.enter(target, claims_of(item))
        if was_ready and not target.ready:  # a member was added who still has something to wait for
            self._uncall(target)
        return True

    def first(self, now: float) -> Taken | None:
        """The oldest item that may go now; `None` when none may."""
        while self._later and self._later[0][0] <= now:
            _, _, taken = heapq.heappop(self._later)
            if taken.number in self._waiting:
                heapq.heappush(self._ready, (taken.number, taken))
        while self._ready:
            taken = self._ready[0][1]
            if taken.number in self._waiting:
                return taken
            heapq.heappop(self._ready)
        return None

    def take_first(self) -> Taken:
        """What `first` answered, now in flight."""
        _, taken = heapq.heappop(self._ready)
        del self._waiting[taken.number]
        self._close(taken)
        return taken

    def next_due(self) -> float | None:
        """When the next deferred item may be tried again; `None` when none is deferred."""
        return self._later[0][0] if self._later else None

    def defer(self, taken: Taken, until: float, *, counts: bool = True) -> bool:
        """Back from flight: try it again at *until*. It holds its lane, but not for more than ten deferrals.

        False when it is gone instead: after a delete that overtakes it, it would bring back what was deleted.
        """
        taken.deferrals += counts
        if taken.deferrals >= PATIENCE:
            self._leave(taken)
            self._loose.add(taken.number)
            later = [delete for number, delete in self._deletes.items() if number > taken.number]
            if not all(self._survives(taken, delete.item) for delete in later):
                self.settle(taken)
                return False
        self._waiting[taken.number] = taken
        heapq.heappush(self._later, (until, taken.number, taken))
        return True

    def settle(self, taken: Taken) -> None:
        """It is delivered or given up: whoever waited for it may go."""
        self._waiting.pop(taken.number, None)
        self._close(taken)
        self._leave(taken)
        if not self._loose:
            self._deletes.pop(taken.number, None)
        elif taken.number in self._loose:
            self._loose.remove(taken.number)
            if not self._loose:  # nobody is left whom the settled ones may have overtaken
                self._deletes = {number: delete for number, delete in self._deletes.items() if delete.stands}

    def withdraw(self, taken: Taken) -> bool:
        """Settle an item that waits; false when it does not, because it is in flight or settled already."""
        if taken.number not in self._waiting:
            return False
        self.settle(taken)
        self._tidy()
        return True

    def purge(self, delete: Delete) -> list[Taken]:
        """Remove what waits and names the user or account of *delete*. Answers the items that are gone."""
        if not self._loose and not any(name in self._lanes for name in names_of(delete)):
            return []
        gone = [taken for taken in self._waiting.values() if not self._survives(taken, delete)]
        for taken in gone:
            self.settle(taken)
        self._tidy()
        return gone

    def _survives(self, taken: Taken, delete: Delete) -> bool:
        left = left_of(taken.item, delete)
        if left is not None:
            taken.item = left
        return left is not None

    def _close(self, taken: Taken) -> None:
        """Nothing can join it any more."""
        key = merge_key(taken.item)
        if key is not None and self._joinable.get(key) is taken:
            del self._joinable[key]

    def _leave(self, taken: Taken) -> None:
        for called in self._lanes.leave(taken):
            self._call(called)

    def _call(self, taken: Taken) -> None:
        if taken.number in self._waiting:
            heapq.heappush(self._ready, (taken.number, taken))

    def _tidy(self) -> None:
        """Forget those that are gone. Where nothing may go, nobody comes upon them."""
        if len(self._ready) + len(self._later) > 2 * len(self._waiting):
            self._ready = [entry for entry in self._ready if entry[0] in self._waiting]
            self._later = [entry for entry in self._later if entry[1] in self._waiting]
            heapq.heapify(self._ready)
            heapq.heapify(self._later)

    def _uncall(self, taken: Taken) -> None:
        self._ready = [entry for entry in self._ready if entry[1] is not taken]
        heapq.heapify(self._ready)
