"""Ordering locks: which items have to wait for which.

Each name of a user or account is a lock. An item claims several, some alone and some shared with others. Who claims a
name first goes first, and those that share it go side by side. That gives the order that is promised: the items of
one user one after the other; upserts, deletes and memberships as barriers for whatever names the same user or
account; and events of different users of one account side by side.
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

#: Names, and whether each is claimed alone.
Claims = Mapping[str, bool]
#: The name of an identity's ID and that of its alias (e-mail, domain).
IdAndAlias = tuple[str | None, str | None]


def claims_of(item: Item) -> Claims:
    """What *item* claims."""
    claims: dict[str, bool] = {}
    if isinstance(item, Event):
        user = item.user
        if user is not None:
            # Two identities are one when their IDs are equal or, where one has none, their aliases. So who has an ID
            # shares the alias (two IDs with one e-mail are two users, and go side by side), and who is known by the
            # alias alone claims it alone.
            if user.user_id is not None:
                claims[f"user {user.user_id}"] = True
            if user.email is not None:
                claims[f"email {user.email}"] = user.user_id is None
        if item.account is not None:
            key, alias = names = account_names(item.account)
            _claim(claims, names, alone=False)
            if user is None:  # in order among themselves, and side by side with those of the account's users
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
    """The names of a user's ID and e-mail."""
    key, alias = user.user_id, user.email
    return None if key is None else f"user {key}", None if alias is None else f"email {alias}"


def account_names(account: AccountIdentified) -> IdAndAlias:
    """The names of an account's ID and domain."""
    key, alias = account.account_id, account.domain
    return None if key is None else f"account {key}", None if alias is None else f"domain {alias}"


def names_of(delete: Delete) -> list[str]:
    """The names of the locks of the user or account that is deleted."""
    names = user_names(delete.user) if isinstance(delete, DeleteUser) else account_names(delete.account)
    return [name for name in names if name is not None]


def _claim(claims: dict[str, bool], names: IdAndAlias, *, alone: bool) -> None:
    for name in names:
        if name is not None:
            claims[name] = alone


class LockQueue:
    """Who holds the lock of one name, and who waits for it behind them, in order."""

    __slots__ = ("holders", "shared", "waiting")

    def __init__(self, holder: Job, *, shared: bool) -> None:
        self.holders: dict[Job, None] = {holder: None}
        #: Whether the holders share it.
        self.shared = shared
        #: Whether each shares it.
        self.waiting: dict[Job, bool] = {}

    def enter(self, job: Job, *, shared: bool) -> bool:
        """Queue up, and return whether that is to hold it at once."""
        if shared and self.shared and not self.waiting:
            self.holders[job] = None
            return True
        self.waiting[job] = shared
        return False

    def leave(self, job: Job) -> list[Job]:
        """Let go. Returns those that hold it now and did not before."""
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
        """Those that wait, by who can hold the lock together."""
        group: list[Job] = []
        for job, shared in self.waiting.items():
            if group and not (shared and self.waiting[group[0]]):
                yield group
                group = []
            group.append(job)
        if group:
            yield group

    def ends_with(self, job: Job) -> bool:
        """Whether nothing waits behind *job* but what can hold the lock together with it."""
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

    Most names have one job at a time, and there may be ten thousand of them: that job is kept there itself, and only
    the second one makes a queue.
    """

    def __init__(self) -> None:
        self._at: dict[str, Job | LockQueue] = {}

    def __len__(self) -> int:
        return len(self._at)

    def __contains__(self, name: str) -> bool:
        return name in self._at

    def enter(self, job: Job, claims: Claims) -> None:
        """Queue *job* up at each name in *claims*. It may enter again with further names."""
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
        """Let all its names go. Returns the jobs that are not blocked any more."""
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
        """Whether nothing waits behind it: only then may another item still be merged into it."""
        for name in job.names:
            queue = self._at[name]
            if isinstance(queue, LockQueue) and not queue.ends_with(job):
                return False
        return True

    def queue_at(self, name: str) -> LockQueue | None:
        """The queue at *name*; `None` where nothing waits there."""
        queue = self._at[name]
        return queue if isinstance(queue, LockQueue) else None


class Batch:
    """Jobs that go in one request, in order. What waits only for them may go with them, behind them."""

    def __init__(self, locks: OrderingLocks) -> None:
        self._locks = locks
        self.jobs: list[Job] = []
        #: Those that wait for nothing but jobs of this batch.
        self._followers: list[tuple[int, Job]] = []
        #: At how many names each job would be blocked no more.
        self._unblocked: dict[Job, int] = {}
        #: At each name: how many of the group there are not in the batch yet, and the groups behind it.
        self._groups: dict[str, tuple[int, Iterator[list[Job]]]] = {}

    def add(self, job: Job) -> None:
        """Put *job* behind the others."""
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
        """The next that may go with them, if its number is below *before*; `None`: any number."""
        if not self._followers or (before is not None and self._followers[0][0] > before):
            return None
        return heapq.heappop(self._followers)[1]
