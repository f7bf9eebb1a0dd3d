"""Ordering locks, which determine which items have to wait for which.

Each name of a user or account is a lock. An item claims several locks, some exclusively and some shared. Claims of a
name are granted in order, and items that share it can be sent concurrently. This gives the documented order: the
items of one user are sent one after the other; upserts, deletes and memberships are barriers for all items that name
the same user or account; and events of different users of one account are sent concurrently.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping

from journy_track._model.identity import AccountIdentified, UserIdentified
from journy_track._model.items import (
    AddUsersToAccount,
    DeleteUser,
    Event,
    Item,
    Link,
    RemoveUsersFromAccount,
    UpsertUser,
)
from journy_track._model.purging import Delete
from journy_track._stores.store import Job

#: Names, and whether each is claimed exclusively.
Claims = Mapping[str, bool]
#: The name of an identity's ID and that of its alias (e-mail, domain).
IdAndAlias = tuple[str | None, str | None]


def claims_of(item: Item) -> Claims:
    """Return the names that *item* claims."""
    claims: dict[str, bool] = {}
    if isinstance(item, Event):
        user = item.user
        if user is not None:
            # Two identities are the same if their IDs are equal or, if one has no ID, if their aliases are equal. So
            # a user with an ID shares the alias (two IDs with one e-mail address are two users, sent concurrently),
            # and a user known only by the alias claims it exclusively.
            if user.user_id is not None:
                claims[f"user {user.user_id}"] = True
            if user.email is not None:
                claims[f"email {user.email}"] = user.user_id is None
        if item.account is not None:
            key, alias = names = account_names(item.account)
            _claim(claims, names, alone=False)
            if user is None:  # such events are in order among themselves, and concurrent with those of users
                if key is not None:
                    claims[f"events of {key}"] = True
                if alias is not None:
                    claims[f"events of {alias}"] = key is None
    elif isinstance(item, (UpsertUser, DeleteUser, Link)):
        _claim(claims, user_names(item.user), alone=True)
    else:
        _claim(claims, account_names(item.account), alone=True)
        if isinstance(item, (AddUsersToAccount, RemoveUsersFromAccount)):
            for member in item.users:
                _claim(claims, user_names(member), alone=True)
    return claims


def user_names(user: UserIdentified) -> IdAndAlias:
    """Return the names for a user's ID and e-mail address."""
    key, alias = user.user_id, user.email
    return None if key is None else f"user {key}", None if alias is None else f"email {alias}"


def account_names(account: AccountIdentified) -> IdAndAlias:
    """Return the names for an account's ID and domain."""
    key, alias = account.account_id, account.domain
    return None if key is None else f"account {key}", None if alias is None else f"domain {alias}"


def names_of(delete: Delete) -> list[str]:
    """Return the lock names of the deleted user or account."""
    names = user_names(delete.user) if isinstance(delete, DeleteUser) else account_names(delete.account)
    return [name for name in names if name is not None]


def _claim(claims: dict[str, bool], names: IdAndAlias, *, alone: bool) -> None:
    for name in names:
        if name is not None:
            claims[name] = alone


class LockQueue:
    """The jobs that hold the lock of one name, and those that wait for it, in order."""

    __slots__ = ("holders", "shared", "waiting")

    def __init__(self, holder: Job, *, shared: bool) -> None:
        self.holders: dict[Job, None] = {holder: None}
        #: Whether the holders share it.
        self.shared = shared
        #: The waiting jobs, and whether each wants to share the lock.
        self.waiting: dict[Job, bool] = {}

    def enter(self, job: Job, *, shared: bool) -> bool:
        """Add *job*. Returns whether it holds the lock at once."""
        if shared and self.shared and not self.waiting:
            self.holders[job] = None
            return True
        self.waiting[job] = shared
        return False

    def leave(self, job: Job) -> list[Job]:
        """Remove *job*. Returns the jobs that newly hold the lock."""
        if self.waiting.pop(job, None) is not None:
            return []
        del self.holders[job]
        if self.holders:
            return []
        next_ones = next(self.groups(), [])
        for following in next_ones:
            self.shared = self.waiting.pop(following)
            self.holders[following] = None
        return next_ones

    def groups(self) -> Iterator[list[Job]]:
        """Yield the waiting jobs in groups that can hold the lock together."""
        group: list[Job] = []
        for job, shared in self.waiting.items():
            if group and not (shared and self.waiting[group[0]]):
                yield group
                group = []
            group.append(job)
        if group:
            yield group

    def ends_with(self, job: Job) -> bool:
        """Return whether only jobs that can hold the lock together with *job* wait behind it."""
        last = True
        for other, shared in reversed(self.waiting.items()):
            if other is job:
                return last or shared
            if not shared:
                return False
            last = False
        return last


class OrderingLocks:
    """Gives each job the locks that it claims, in order. Not thread-safe: its owner holds a lock.

    There may be ten thousand names, most with a single job. A single job is stored directly, and a queue is created
    only for the second one.
    """

    def __init__(self) -> None:
        self._at: dict[str, Job | LockQueue] = {}

    def __len__(self) -> int:
        return len(self._at)

    def __contains__(self, name: str) -> bool:
        return name in self._at

    def enter(self, job: Job, claims: Claims) -> None:
        """Add *job* to the queue of each name in *claims*. It may enter again with further names."""
        held = job.names
        alone: list[str] = []
        shared: list[str] = []
        for name, exclusive in claims.items():
            if held and name in held:
                continue
            (alone if exclusive else shared).append(name)
            there = self._at.setdefault(name, job)
            if there is not job:
                self._queue_up(job, name, there, shared=not exclusive)
        job.names = (*alone, *held, *shared)
        job.alone += len(alone)

    def _queue_up(self, job: Job, name: str, there: Job | LockQueue, *, shared: bool) -> None:
        if not isinstance(there, LockQueue):
            there = self._at[name] = LockQueue(there, shared=name not in there.names[: there.alone])
        if not there.enter(job, shared=shared):
            job.blocked += 1

    def leave(self, job: Job) -> list[Job]:
        """Release all names of *job*. Returns the jobs that are no longer blocked."""
        ready: list[Job] = []
        for name in job.names:
            queue = self._at[name]
            if not isinstance(queue, LockQueue):
                del self._at[name]
                continue
            for following in queue.leave(job):
                following.blocked -= 1
                if not following.blocked:
                    ready.append(following)
            if not queue.holders:
                del self._at[name]
        job.names = ()
        job.alone = job.blocked = 0
        return ready

    def is_last(self, job: Job) -> bool:
        """Return whether nothing waits behind *job*. Only then may another item be merged into it."""
        for name in job.names:
            queue = self._at[name]
            if isinstance(queue, LockQueue) and not queue.ends_with(job):
                return False
        return True

    def queue_at(self, name: str) -> LockQueue | None:
        """Return the queue of *name*, or `None` if nothing waits there."""
        queue = self._at[name]
        return queue if isinstance(queue, LockQueue) else None


class Batch:
    """The jobs of one request, in order. A job that waits only for these may follow them in the same request."""

    def __init__(self, locks: OrderingLocks) -> None:
        self._locks = locks
        self.jobs: list[Job] = []
        #: The jobs that wait only for jobs in this batch.
        self._followers: list[tuple[int, Job]] = []
        #: For each job, the number of names at which this batch would unblock it.
        self._unblocked: dict[Job, int] = {}
        #: For each name, how many jobs of the current group are not in the batch yet, and the groups behind it.
        self._groups: dict[str, tuple[int, Iterator[list[Job]]]] = {}

    def add(self, job: Job) -> None:
        """Append *job*."""
        self.jobs.append(job)
        for name in job.names:
            queue = self._locks.queue_at(name)
            if queue is None:
                continue
            missing, groups = self._groups.get(name) or (len(queue.holders), queue.groups())
            missing -= 1
            if not missing:
                group = next(groups, [])
                missing = len(group)
                for waiting in group:
                    unblocked = self._unblocked[waiting] = self._unblocked.get(waiting, 0) + 1
                    if unblocked == waiting.blocked:
                        heapq.heappush(self._followers, (waiting.number, waiting))
            self._groups[name] = missing, groups

    def follower(self, before: int | None) -> Job | None:
        """Return the next job that may follow, if its number is below *before* (`None`: any number)."""
        if not self._followers or (before is not None and self._followers[0][0] > before):
            return None
        return heapq.heappop(self._followers)[1]
