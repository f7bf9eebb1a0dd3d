"""What keeps items until they are settled: the `Store` protocol, and the `Job` that it keeps."""

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
    """One item on the worker's side, from the moment it is taken from the queue until it is settled.

    *number* is its place in the order in which items may go: the ledger gives it, and a new one where the job is read
    from a store. Slots keep it small, as ten thousand may wait.
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
        #: Its place in the order of capture; `None`: it was read from a store.
        self.index = index
        #: The second since the epoch of its capture.
        self.at = at
        #: When it was taken or, if another process captured it, when that was; by the monotonic clock.
        self.taken_at = taken_at
        #: When the last of those that were merged into it was taken: by this one it is too old to be tried.
        self.renewed_at = taken_at
        #: Units that the queue has charged beyond the first of each item, those merged into it included.
        self.extra = extra
        #: What the store keeps of it, and of those that were merged into it. Empty: nothing.
        self.receipts: tuple[Any, ...] = ()
        self.item: Any = None
        #: The item as it was read from a store, until it is parsed.
        self.message: str | None = None
        #: What tells it from all others wherever it is sent again, by whichever process. See `id`.
        self.message_id: str | None = None
        #: Which of the dispatcher's ways it takes.
        self.way = 0
        #: With how many it may share a request at most, itself included, as a larger one was refused; 0: any number.
        self.together = 0
        #: Of a membership that was refused, whose users go one in each request: those refused, and what came back.
        #: `None`: all of them go in one.
        self.refused: dict[Any, Any] | None = None
        #: Which of these users is in the request.
        self.sole: Any = None
        self.attempts = 0
        self.deferrals = 0
        #: The number under which a broker was offered it first; 0: never.
        self.published_as = 0
        #: The ordering locks that it claims, by name: first those that it shares with nobody, and how many these are.
        self.names: tuple[str, ...] = ()
        self.alone = 0
        #: At how many of these locks an earlier job is before it. It may go once there is none.
        self.blocked = 0

    def id(self) -> str:
        """Its ID, the same wherever it is sent again; made when it is first asked for."""
        if self.message_id is None:
            self.message_id = _new_id()
        return self.message_id


#: A process, what its IDs begin with, and how many there are: asking for randomness each time costs more.
_ids: list[tuple[int, str, Iterator[int]]] = [(0, "", itertools.count())]


def _new_id() -> str:
    pid, start, numbers = _ids[0]
    if pid != os.getpid():  # a forked child has its own
        _, start, numbers = _ids[0] = os.getpid(), os.urandom(10).hex(), itertools.count(1)
    return f"{start}-{next(numbers):x}"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One item that was given up, and why. *at* and *died* are seconds since the epoch: its capture, and its end.

    *seq* is its place in a file of the spool, 0 before it has one.
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
        """As a broker keeps it."""
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
    """The store cannot be used now: a full disk, a broker that is down. It may be tried again.

    *name* is what the system calls that, as `ENOSPC`; empty: nothing.
    """

    #: Whether it can be tried again at once.
    at_once = False

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


@dataclass(slots=True)
class Changes:
    """What happened to a store that this process did not do, or did not ask for."""

    #: How many more items it keeps: of a process that ended, or added by another writer.
    adopted: int = 0
    #: How many unread items it no longer keeps, by the reason they are counted under.
    lost: Counter[str] = field(default_factory=Counter)
    #: Jobs whose items are gone, and why.
    withdrawn: list[tuple[Job, str]] = field(default_factory=list)
    #: Jobs whose items somebody rewrote, and what they are now.
    amended: list[tuple[Job, Item]] = field(default_factory=list)


class Store(Protocol):
    """Keeps jobs until they are settled. `append`, `fetch`, `look` and `changes` are called by the worker alone.

    `append`, `fetch` and `purge` raise `StoreError`.
    """

    @property
    def durable(self) -> bool:
        """Whether it keeps jobs beyond the outbox, and so beyond this process."""

    @property
    def is_open(self) -> bool:
        """Whether it could be looked into since the start."""

    @property
    def unread(self) -> bool:
        """Whether it keeps anything that was not fetched."""

    @property
    def unsettled(self) -> int:
        """How many were fetched and are not settled, those merged into others included."""

    @property
    def append(self) -> Callable[[Sequence[Job]], int] | None:
        """Keeps jobs, and returns how many, from the first on, are safe; fewer when it is full.

        `None`: nothing can be appended, as far as is known.
        """

    def fetch(self, limit: int, /) -> list[Job]:
        """The next jobs, in order, at most *limit*: with a receipt, and either an item or a message."""

    def ack(self, jobs: Sequence[Job], /) -> None:
        """It is settled and need not be kept. From any thread. Does not raise."""

    def dead_letter(self, job: Job, letter: DeadLetter, /) -> None:
        """It was given up: keep *letter* in its place. From any thread. Does not raise."""

    def forget(self, job: Job, /) -> None:
        """It is settled and counted, so `checkpoint` may pass it. From any thread."""

    def purge(self, delete: DeleteUser | DeleteAccount, job: Job, /) -> int:
        """Remove what was not fetched, came before *job* and concerns whom *delete* names. Returns how many."""

    def look(self) -> None:
        """Be ready, and see what others did to it. Does not raise."""

    def changes(self) -> Changes:
        """What happened since the last call. Only the caller's to keep: it starts from nothing again."""

    def checkpoint(self) -> Callable[[], bool]:
        """Return a predicate: is all that is kept now settled? Asked from any thread."""

    def has_orphans(self) -> bool:
        """Whether a process that has ended seems to have left something to deliver."""

    def tidy(self) -> None:
        """Nothing waits: do what can be done at leisure."""

    def close(self) -> None:
        """Leave it to others. What is settled later stays in it, and is sent again."""
