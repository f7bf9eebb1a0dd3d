"""The outbox holds the jobs to send, in order, and merges calls where possible."""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable, Sequence

from journy_track._delivery.merging import merge_key, merged
from journy_track._delivery.ordering import Batch, OrderingLocks, claims_of, names_of
from journy_track._model.items import DeleteAccount, DeleteUser
from journy_track._model.purging import Delete, left_of
from journy_track._stores.store import Job

#: The number of deferrals after which an item no longer blocks other items of its user.
PATIENCE = 10
#: What all jobs claim if they are sent in the order of capture.
_IN_TURN = {"turn": True}


class Outbox:
    """Holds jobs from the moment they are put here until they are settled. Not thread-safe: its owner holds a lock.

    Each job uses one of several ways. Each way has its own queue of ready jobs, but the ordering locks are shared by
    all. *merges* states for each way whether two of its jobs may be merged. With *in_turn*, all jobs are sent in the
    order in which they came.
    """

    def __init__(self, *, merges: Sequence[bool] = (True,), in_turn: bool = False) -> None:
        self._merges = merges
        self._in_turn = in_turn
        self._locks: OrderingLocks = OrderingLocks()
        #: The jobs that are neither in flight nor settled, by number.
        self._waiting: dict[int, Job] = {}
        #: For each way, the number of waiting jobs, and a heap of those that may be sent.
        self._counts = [0] * len(merges)
        self._ready: list[list[tuple[int, Job]]] = [[] for _ in merges]
        self._later: list[tuple[float, int, Job]] = []
        self._joinable: dict[Hashable, Job] = {}
        #: The numbers of the jobs that no longer block others, and the deletes that may overtake them.
        self._loose: set[int] = set()
        self._deletes: dict[int, Job] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def count(self, way: int) -> int:
        """Return the number of jobs that wait for *way*."""
        return self._counts[way]

    def put(self, job: Job) -> Job | None:
        """Append *job*. Returns the waiting job that it was merged into, or `None` if it was not merged."""
        item = job.item
        key = merge_key(item) if item.mergeable and self._merges[job.way] else None
        if key is not None:
            target = self._joinable.get(key)
            if target is not None and target.way == job.way and self._joined(target, job):
                return target
            self._joinable[key] = job
        self._locks.enter(job, _IN_TURN if self._in_turn else claims_of(item))
        self._waiting[job.number] = job
        self._counts[job.way] += 1
        if isinstance(item, (DeleteUser, DeleteAccount)):
            self._deletes[job.number] = job
        if not job.blocked:
            heapq.heappush(self._ready[job.way], (job.number, job))
        return None

    def _joined(self, target: Job, job: Job) -> bool:
        if target.number not in self._waiting or not self._locks.is_last(target):
            return False  # another job waits behind it, and that one came before *job*
        item = merged(target.item, job.item)
        if item is None:
            return False
        was_ready = not target.blocked
        target.item = item
        # A store keeps both until the merged call is settled.
        target.receipts += job.receipts
        job.receipts = ()
        target.renewed_at = job.taken_at
        self._locks.enter(target, claims_of(item))
        if was_ready and target.blocked:  # the merge added a member whose lock is held by another job
            ready = self._ready[target.way]
            ready[:] = [entry for entry in ready if entry[1] is not target]
            heapq.heapify(ready)
        return True

    def first(self, now: float, way: int = 0) -> Job | None:
        """Return the oldest job that may be sent by *way* now, or `None`."""
        while self._later and self._later[0][0] <= now:
            _, number, job = heapq.heappop(self._later)
            if number in self._waiting and not job.blocked:
                heapq.heappush(self._ready[job.way], (number, job))
        ready = self._ready[way]
        while ready:
            number, job = ready[0]
            if number in self._waiting:
                return job
            heapq.heappop(ready)
        return None

    def take(self, now: float, limit: int = 1, *, way: int = 0, since: float = -math.inf) -> list[Job]:
        """Take the job that `first` returned and, up to *limit* in total, jobs that may be sent in the same request.

        They are in flight from now on. A job from before *since* is too old to be sent with others.
        """
        job = heapq.heappop(self._ready[way])[1]
        self._take_off(job)
        if limit == 1:
            return [job]
        batch = Batch(self._locks)
        batch.add(job)
        limit = job.together or limit
        while len(batch.jobs) < limit:
            ready = self.first(now, way)
            following = batch.follower(None if ready is None else ready.number)
            if following is None:
                if ready is None:
                    break
                following = ready
            elif following.number not in self._waiting or following.way != way:
                continue
            if following.together:
                limit = min(limit, following.together)
                if len(batch.jobs) >= limit:
                    break
            if following.renewed_at < since:
                break
            if following is ready:
                heapq.heappop(self._ready[way])
            self._take_off(following)
            batch.add(following)
        return batch.jobs

    def _take_off(self, job: Job) -> None:
        del self._waiting[job.number]
        self._counts[job.way] -= 1
        if job.item.mergeable:
            self._close(job)

    def put_back(self, job: Job) -> None:
        """Put back *job*, which was taken but not sent, or is to be sent in another request. It waits as before."""
        self._waiting[job.number] = job
        self._counts[job.way] += 1
        if not job.blocked:
            heapq.heappush(self._ready[job.way], (job.number, job))

    def next_due(self) -> float | None:
        """Return when the next deferred job may be retried, or `None` if none is deferred."""
        return self._later[0][0] if self._later else None

    def defer(self, job: Job, until: float, *, counts: bool = True) -> bool:
        """Retry *job*, whose request failed, at *until*. It keeps its place until the tenth deferral that *counts*.

        Returns false if the job is removed instead, because a delete overtakes it: sent after the delete, it would
        restore what was deleted.
        """
        job.deferrals += counts
        if job.deferrals >= PATIENCE:
            self._leave(job)
            self._loose.add(job.number)
            later = [delete for number, delete in self._deletes.items() if number > job.number]
            if not all(self._survives(job, delete.item) for delete in later):
                self.settle(job)
                return False
        self._waiting[job.number] = job
        self._counts[job.way] += 1
        heapq.heappush(self._later, (until, job.number, job))
        return True

    def settle(self, job: Job) -> None:
        """Remove *job*, which is delivered or given up, and unblock the jobs that waited for it."""
        if self._waiting.pop(job.number, None) is not None:
            self._counts[job.way] -= 1
        if job.item.mergeable:
            self._close(job)
        self._leave(job)
        if not self._loose:
            if self._deletes:
                self._deletes.pop(job.number, None)
        elif job.number in self._loose:
            self._loose.remove(job.number)
            if not self._loose:  # no job is left that the settled deletes may have overtaken
                self._deletes = {number: delete for number, delete in self._deletes.items() if delete.names}

    def withdraw(self, job: Job) -> bool:
        """Settle a waiting job. Returns false if it is already in flight or settled."""
        if job.number not in self._waiting:
            return False
        self.settle(job)
        self._tidy()
        return True

    def purge(self, delete: Delete) -> list[Job]:
        """Remove waiting jobs that name the user or account in *delete*. Returns the removed jobs."""
        if not (self._in_turn or self._loose or any(name in self._locks for name in names_of(delete))):
            return []
        gone = [job for job in self._waiting.values() if not self._survives(job, delete)]
        for job in gone:
            self.settle(job)
        self._tidy()
        return gone

    def _survives(self, job: Job, delete: Delete) -> bool:
        left = left_of(job.item, delete)
        if left is not None:
            job.item = left
        return left is not None

    def _close(self, job: Job) -> None:
        """Allow no more merges into *job*."""
        key = merge_key(job.item)
        if self._joinable.get(key) is job:
            del self._joinable[key]

    def _leave(self, job: Job) -> None:
        for ready in self._locks.leave(job):
            if ready.number in self._waiting:
                heapq.heappush(self._ready[ready.way], (ready.number, ready))

    def _tidy(self) -> None:
        """Remove the entries of removed jobs, which otherwise stay for as long as nothing may be sent."""
        if sum(map(len, self._ready)) + len(self._later) > 2 * len(self._waiting):
            for ready in self._ready:
                ready[:] = [entry for entry in ready if entry[0] in self._waiting]
                heapq.heapify(ready)
            self._later = [entry for entry in self._later if entry[1] in self._waiting]
            heapq.heapify(self._later)
