"""The relay's side of the queue on a Redis stream, as a store. The items it reads were captured by other processes.

Settled messages are only noted here. The relay removes them from Redis in its own thread, while it holds the lease:
see `Relay._settle`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from time import time

from journy_track._model.broker import BrokerError
from journy_track._model.items import DeleteAccount, DeleteUser
from journy_track._model.messages import MAX_BYTES, captured_at_of
from journy_track._stores.redis.stream import Entry, RelayQueue, Settled
from journy_track._stores.store import Changes, DeadLetter, Job, StoreError


class RedisStore:
    """The messages waiting in the broker.

    Settled messages, which have to be removed, are added to *settled*, which outlives the store. *wake* is called
    when something can be removed.
    """

    durable = True
    is_open = True
    unread = True
    #: A relay does not capture items.
    append = None

    def __init__(
        self,
        queue: RelayQueue,
        settled: deque[Settled],
        wake: Callable[[], None],
        wall: Callable[[], float] = time,
    ) -> None:
        self._queue = queue
        self._settled = settled
        self._wake = wake
        self._wall = wall
        #: The ID after which reading continues.
        self._after = ""
        self._outstanding: set[str] = set()
        self._changes = Changes()

    @property
    def unsettled(self) -> int:
        return len(self._outstanding)

    def fetch(self, limit: int, /) -> list[Job]:
        if not (self._outstanding or self._settled):
            self._after = ""  # after a failover, a new message may have an older ID
        try:
            entries = self._queue.read(self._after, limit)
        except BrokerError as error:
            raise StoreError(str(error)) from None
        jobs = []
        for entry in entries:
            self._after = entry.id
            self._changes.adopted += 1
            if (job := self._job(entry)) is not None:
                jobs.append(job)
        return jobs

    def _job(self, entry: Entry) -> Job | None:
        """Return the job of *entry*. An entry that is too large is dead-lettered, and `None` is returned."""
        now = self._wall()
        came = min(int(entry.id.split("-")[0]) / 1000, now)  # a client that adds a message may choose any ID
        if entry.size > MAX_BYTES:
            reason = f"too_large: it has {entry.size} bytes, and the limit is {MAX_BYTES}"
            self._settled.append(Settled([entry.id], DeadLetter(0, came, entry.text, now, reason).as_json()))
            self._changes.lost["too_large"] += 1
            return None
        job = Job(0, 0.0, _captured_at(entry.text) or came)
        job.message = entry.text
        job.message_id = entry.id  # for messages of older producers, which contain no ID
        job.receipts = (entry.id,)
        self._outstanding.add(entry.id)
        return job

    def ack(self, jobs: Sequence[Job], /) -> None:
        self._settled.extend(Settled(job.receipts) for job in jobs)
        self._wake()

    def dead_letter(self, job: Job, letter: DeadLetter, /) -> None:
        self._settled.append(Settled(job.receipts, letter.as_json()))
        self._wake()

    def forget(self, job: Job, /) -> None:
        self._outstanding.difference_update(job.receipts)
        job.receipts = ()

    def purge(self, delete: DeleteUser | DeleteAccount, job: Job, /) -> int:
        """Do nothing: messages in the broker are purged when they are read."""
        return 0

    def look(self) -> None: ...

    def changes(self) -> Changes:
        changes, self._changes = self._changes, Changes()
        return changes

    def checkpoint(self) -> Callable[[], bool]:
        return lambda: not self._outstanding

    def has_orphans(self) -> bool:
        return False

    def tidy(self) -> None: ...
    def close(self) -> None: ...


def _captured_at(message: str) -> float | None:
    try:
        return captured_at_of(message)
    except Exception:  # noqa: BLE001 - it may be anything: who parses it finds out, and dead-letters it
        return None
