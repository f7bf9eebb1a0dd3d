"""The `Store` protocol, which keeps items until they are settled, and the `Job` that it keeps."""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from journy_track._model.frozendict import FrozenDict
from journy_track._model.items import DeleteAccount, DeleteUser, Item


class Job:
    """One item as the worker sees it, from when it is taken from the queue until it is settled.

    *number* is its position in the order of sending. The ledger assigns it, and assigns a new one when the job is
    read from a store. Slots keep a job small, as ten thousand may wait.
    """

    __slots__ = (
        "alone",
        "at",
        "attempts",
        "blocked",
        "deferrals",
        "extra",
        "index",
        "item",
        "message",
        "message_id",
        "names",
        "number",
        "published_as",
        "receipts",
        "refused",
        "renewed_at",
        "sole",
        "taken_at",
        "together",
        "way",
    )

    def __init__(self, number: int, taken_at: float, at: float, *, index: int | None = None, extra: int = 0) -> None:
        self.number = number
        #: Its position in the order of capture; `None` if it was read from a store.
        self.index = index
        #: When it was captured, in seconds since the epoch.
        self.at = at
        #: When it was taken from the queue or, if another process captured it, when that was; by the monotonic clock.
        self.taken_at = taken_at
        #: When the latest of the jobs merged into it was taken. This time decides if it is too old to be sent.
        self.renewed_at = taken_at
        #: Units that the queue has charged beyond the first one of each item, including the items merged into it.
        self.extra = extra
        #: The store's references to it and to the jobs merged into it. Empty if the store keeps nothing of it.
        self.receipts: tuple[Any, ...] = ()
        self.item: Any = None
        #: The serialised item as read from a store, until it is parsed.
        self.message: str | None = None
        #: Its unique ID, which stays the same when it is sent again, even by another process. See `id`.
        self.message_id: str | None = None
        #: The number of the dispatcher's `Way` that sends it.
        self.way = 0
        #: The maximum number of jobs in its request, including itself, after a larger request failed; 0: no limit.
        self.together = 0
        #: For a refused membership whose users are now sent one per request: the refused users and their responses.
        #: `None`: all users are sent in one request.
        self.refused: dict[Any, Any] | None = None
        #: The user in the current request, in that case.
        self.sole: Any = None
        self.attempts = 0
        self.deferrals = 0
        #: The number under which it was first published to a broker; 0 if it never was.
        self.published_as = 0
        #: The names of the ordering locks that it claims, exclusive ones first, and the number of exclusive ones.
        self.names: tuple[str, ...] = ()
        self.alone = 0
        #: The number of these locks for which it waits behind an earlier job. It may be sent when this is 0.
        self.blocked = 0

    def id(self) -> str:
        """Return its ID, which stays the same when it is sent again. Created at the first call."""
        if self.message_id is None:
            self.message_id = _new_id()
        return self.message_id


#: The process ID, the prefix of its job IDs, and a counter: random bytes for each ID would cost more.
_ids: list[tuple[int, str, Iterator[int]]] = [(0, "", itertools.count())]


def _new_id() -> str:
    pid, start, numbers = _ids[0]
    if pid != os.getpid():  # a forked child needs its own prefix
        _, start, numbers = _ids[0] = os.getpid(), os.urandom(10).hex(), itertools.count(1)
    return f"{start}-{next(numbers):x}"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An item that was given up, and why. *at* (capture) and *died* (giving up) are in seconds since the epoch.

    *seq* is its position in a spool file, 0 before it has one.
    """

    seq: int
    at: float
    message: str
    died: float
    reason: str
    status: int | None = None
    request_id: str | None = None
    fields: Mapping[str, str] = field(default_factory=FrozenDict)
    attempts: int = 0

    def as_json(self) -> str:
        """Return the JSON that a broker stores."""
        letter = {
            "message": self.message,
            "died": self.died,
            "reason": self.reason,
            "status": self.status,
            "request_id": self.request_id,
            "fields": dict(self.fields),
            "attempts": self.attempts,
        }
        return json.dumps(letter, ensure_ascii=False)


class StoreError(Exception):
    """The store cannot be used at the moment: a full disk, a broker that is down. It may be retried.

    *name* is the system's name for the error, such as `ENOSPC`; empty if there is none.
    """

    #: Whether it can be retried immediately.
    at_once = False

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


@dataclass(slots=True)
class Changes:
    """Changes to a store that this process did not make or did not request."""

    #: The number of items added: left by a process that ended, or added by another writer.
    adopted: int = 0
    #: The number of unread items that are gone, by the reason they are counted under.
    lost: Counter[str] = field(default_factory=Counter)
    #: Jobs whose items are gone, each with the reason.
    withdrawn: list[tuple[Job, str]] = field(default_factory=list)
    #: Jobs whose items were rewritten by others, each with the new item.
    amended: list[tuple[Job, Item]] = field(default_factory=list)


class Store(Protocol):
    """Keeps jobs until they are settled. Only the worker calls `append`, `fetch`, `look` and `changes`.

    `append`, `fetch` and `purge` raise `StoreError`.
    """

    @property
    def durable(self) -> bool:
        """Whether it keeps jobs outside the outbox, so that they survive this process."""

    @property
    def is_open(self) -> bool:
        """Whether it is ready: `look` has run since the start."""

    @property
    def unread(self) -> bool:
        """Whether it keeps anything that was not fetched yet."""

    @property
    def unsettled(self) -> int:
        """The number of jobs that were fetched and are not settled, including those merged into others."""

    @property
    def append(self) -> Callable[[Sequence[Job]], int] | None:
        """Keeps jobs and returns how many of them, from the first on, are stored: fewer if the store is full.

        `None`: nothing can be appended, as far as is known.
        """

    def fetch(self, limit: int, /) -> list[Job]:
        """Return the next jobs in order, at most *limit*, each with a receipt and either an item or a message."""

    def ack(self, jobs: Sequence[Job], /) -> None:
        """Drop settled jobs. From any thread. Does not raise."""

    def dead_letter(self, job: Job, letter: DeadLetter, /) -> None:
        """Replace *job*, which was given up, with *letter*. From any thread. Does not raise."""

    def forget(self, job: Job, /) -> None:
        """Note that *job* is settled and counted, so that `checkpoint` no longer waits for it. From any thread."""

    def purge(self, delete: DeleteUser | DeleteAccount, job: Job, /) -> int:
        """Remove unfetched items before *job* that concern the target of *delete*. Returns how many were removed."""

    def look(self) -> None:
        """Open the store if needed, and detect changes made by others. Does not raise."""

    def changes(self) -> Changes:
        """Return the changes since the last call. The store does not keep them."""

    def checkpoint(self) -> Callable[[], bool]:
        """Return a predicate: whether everything kept now is settled. It may be called from any thread."""

    def has_orphans(self) -> bool:
        """Whether a process that has ended seems to have left items to deliver."""

    def tidy(self) -> None:
        """Do deferrable work. Called when nothing waits."""

    def close(self) -> None:
        """Leave the store to other processes. Items that are settled later stay in it and are sent again."""
