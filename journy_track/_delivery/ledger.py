"""The ledger counts every captured item under exactly one outcome."""

from __future__ import annotations

import itertools
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from journy_track._capture.queue import UNIT, BoundedQueue
from journy_track._model.captured import Captured
from journy_track._model.clock import monotonic
from journy_track._model.frozendict import FrozenDict
from journy_track._model.items import MAX_BODY, label_of
from journy_track._model.numbers import Receipt, Stats
from journy_track._model.outcomes import Response
from journy_track._stores.store import Job

MAX_RECEIPTS = 100
#: The maximum number of reasons for giving up that are counted separately, and the maximum length of each in
#: characters, since some contain text from the server.
MAX_REASONS, MAX_REASON = 50, 100
#: How many delays between capture and delivery are kept for the percentiles, and for how many seconds each counts.
MAX_DELAYS, RECENT = 2000, 300.0
#: The number of units up to which the charges of merged items add up: those of the largest call. Anything beyond that
#: was overwritten by later values.
MAX_KEPT = MAX_BODY // UNIT

Outcome = Literal["delivered", "published", "given_up", "dropped", "coalesced", "throttled"]


class Watcher:
    """Follows each captured item by its position in the order of capture, starting at 1. The base class does nothing.

    The methods are called from any thread of the library and must not raise. They are not called for items that
    shutdown drops: for a watcher, those were never captured.
    """

    def id_of(self, index: int, /) -> str | None:
        """Return an ID that stays the same whenever the item is sent again. With `None`, an ID is generated."""
        return None

    def settled(self, index: int, outcome: str, response: Response | None, /) -> None:
        """Called when the item is `delivered`, or lost for the reason in *outcome*."""

    def joined(self, index: int, target: int, /) -> None:
        """Called when the item was merged into *target*. It is settled with *target*, which may already have been."""


class Settle(Protocol):
    """Ends a job in the same way as `Ledger.settle`."""

    def __call__(
        self, job: Job, outcome: Outcome, reason: str = "", response: Response | None = None, into: Job | None = None
    ) -> None: ...


class Checkpoint(NamedTuple):
    """Everything captured up to position *last* and, if *stored* is set, what a store keeps."""

    last: int
    stored: Callable[[], bool] | None = None


class Ledger:
    """Counts captured items and their outcomes under one lock.

    It takes items from *queue*. Items that are not settled remain charged to the queue.
    """

    def __init__(self, queue: BoundedQueue, clock: Callable[[], float] = monotonic) -> None:
        self._queue = queue
        self._clock = clock
        # Re-entrant, like every lock that the app's calls take: a signal handler may call while its thread holds it.
        self._lock = threading.RLock()
        #: Called with each settled job that a store keeps, when it is counted.
        self.forget: Callable[[Job], object] = lambda job: None
        #: Follows each item, if set.
        self.watcher: Watcher | None = None
        self._numbers = itertools.count(1)
        self._taken = 0
        #: Jobs that are only in memory, and jobs that were fetched from a store, which still keeps them.
        self._unsettled: dict[int, Job] = {}
        self._fetched: dict[int, Job] = {}
        #: How many items a store keeps, fetched or not, and how many so far were captured by other processes.
        self._stored = 0
        self._adopted = 0
        self._in_flight: dict[int, Job] = {}
        self._outcomes: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._unchanged = 0
        self._given_up_for: Counter[str] = Counter()
        self._retried = 0
        self._responses: Counter[int] = Counter()
        self._calls: tuple[int | None, int | None] = (None, None)
        #: The clock time of the last delivery or publication; `None` before the first.
        self.last_success: float | None = None
        #: When an item was last given up, and why.
        self._last_loss: tuple[float, str] | None = None
        self._receipts: deque[tuple[Any, str | None, str, int, Response | None]] = deque(maxlen=MAX_RECEIPTS)
        #: The time of each delivery, and the seconds since the item was captured.
        self._delays: deque[tuple[float, float]] = deque(maxlen=MAX_DELAYS)
        self._callbacks: list[tuple[Checkpoint, Callable[[], None]]] = []
        self._ended: str | None = None
        self._began = clock()

    # ── What comes ──

    def take(self, limit: int) -> list[tuple[Job, Captured]]:
        """Take up to *limit* captured items from the queue to the worker's side."""
        with self._lock:
            return self._take(limit)

    def _take(self, limit: int) -> list[tuple[Job, Captured]]:
        taken: list[tuple[Job, Captured]] = []
        now = self._clock()
        while len(taken) < limit and (captured := self._queue.take()) is not None:
            self._queue.outside += 1  # immediately, so that the app's side never sees more room than there is
            self._taken += 1
            number = next(self._numbers)
            job = Job(number, now, captured[1], index=self._taken, extra=captured[13])
            if self.watcher is not None:
                job.message_id = self.watcher.id_of(self._taken)
            self._unsettled[number] = job
            taken.append((job, Captured._make(captured)))
        if taken:
            self._recount()
        return taken

    def _recount(self) -> None:
        self._queue.outside = len(self._unsettled) + len(self._fetched) + len(self._queue.parked)

    @property
    def has_taken(self) -> bool:
        """Whether any item has ever been taken."""
        return self._taken > 0

    @property
    def in_memory(self) -> int:
        """The number of items taken that are neither settled nor safe in a store."""
        return len(self._unsettled)

    @property
    def delivered(self) -> int:
        """The number of delivered items."""
        return self._outcomes["delivered"]

    # ── What a store keeps ──

    def stored(self, jobs: Iterable[Job]) -> None:
        """Record that a store keeps *jobs*, so they are safe."""
        with self._lock:
            for job in jobs:
                if self._unsettled.pop(job.number, None) is not None:
                    self._release(job)
                    self._stored += 1
            self._recount()
            ready = self._passed()
        for callback in ready:
            callback()

    def adopted(self, count: int) -> None:
        """Record that the store keeps *count* more items, from a process that ended or from another writer."""
        with self._lock:
            self._adopted += count
            self._stored += count

    def lost(self, count: int, reason: str) -> None:
        """Count *count* unread items, which the store no longer keeps, as dropped for *reason*."""
        with self._lock:
            self._stored -= count
            if count:
                self._dropped[reason] += count
            ready = self._passed()
        for callback in ready:
            callback()

    def fetched(self, jobs: Iterable[Job]) -> None:
        """Record that *jobs* were fetched from the store, and number them in the order in which they may be sent."""
        with self._lock:
            for job in jobs:
                job.number = next(self._numbers)
                self._fetched[job.number] = job
            self._recount()

    # ── What becomes of it ──

    def started(self, jobs: Iterable[Job]) -> None:
        """Record that a request with *jobs* is in flight."""
        with self._lock:
            for job in jobs:
                self._in_flight[job.number] = job
                job.attempts += 1
                if job.attempts > 1:
                    self._retried += 1

    def responded(self, jobs: Iterable[Job], response: Response | None) -> None:
        """Record that the request with *jobs* has ended. *response* is `None` if there was none."""
        with self._lock:
            for job in jobs:
                self._in_flight.pop(job.number, None)
            if response is not None:
                self._responses[response.status] += 1
                if response.calls_limit is not None:
                    self._calls = response.calls_remaining, response.calls_limit

    def settle(
        self, job: Job, outcome: Outcome, reason: str = "", response: Response | None = None, into: Job | None = None
    ) -> None:
        """End *job* with *outcome*. *reason* is why it was lost.

        *into* is the job that it was merged into, or *job* itself if journy.io already had the same content.
        """
        what = reason or outcome
        with self._lock:
            kept = self._fetched.pop(job.number, None) is not None
            if not kept and self._unsettled.pop(job.number, None) is None:
                return  # already counted as dropped at shutdown, while its request was in flight
            if kept:
                self._stored -= 1
                self.forget(job)
            if outcome == "dropped":
                self._dropped[reason] += 1
            else:
                self._outcomes[outcome] += 1
                if outcome == "delivered":
                    now = self.last_success = self._clock()
                    self._delays.append((now, max(0.0, now - job.taken_at)))
                else:
                    self._note(job, outcome, reason, into)
            if job.extra:
                self._release(job)
            item = job.item
            self._receipts.append((type(item), getattr(item, "name", None), what, job.attempts, response))
            self._queue.outside = len(self._unsettled) + len(self._fetched) + len(self._queue.parked)
            ready = self._passed() if self._callbacks else ()
        if self.watcher is not None and job.index is not None:
            if into is None or into is job or into.index is None:
                self.watcher.settled(job.index, "unchanged" if into is job else what, response)
            else:
                self.watcher.joined(job.index, into.index)
        for callback in ready:
            callback()

    def settle_delivered(self, jobs: Sequence[Job], response: Response) -> None:
        """End *jobs*, which were sent in one request, as delivered. Like `settle`, but cheaper for many jobs."""
        counted: list[Job] = []
        with self._lock:
            now = self._clock()
            for job in jobs:
                kept = self._fetched.pop(job.number, None) is not None
                if not kept and self._unsettled.pop(job.number, None) is None:
                    continue
                if kept:
                    self._stored -= 1
                    self.forget(job)
                self._delays.append((now, max(0.0, now - job.taken_at)))
                if job.extra:
                    self._release(job)
                counted.append(job)
            self._outcomes["delivered"] += len(counted)
            self.last_success = now
            for job in counted[-MAX_RECEIPTS:]:
                item = job.item
                self._receipts.append((type(item), getattr(item, "name", None), "delivered", job.attempts, response))
            self._queue.outside = len(self._unsettled) + len(self._fetched) + len(self._queue.parked)
            ready = self._passed() if self._callbacks else ()
        if self.watcher is not None:
            for job in counted:
                if job.index is not None:
                    self.watcher.settled(job.index, "delivered", response)
        for callback in ready:
            callback()

    def _note(self, job: Job, outcome: str, reason: str, into: Job | None) -> None:
        if outcome == "published":
            self.last_success = self._clock()
        elif outcome == "given_up":
            self._last_loss = self._clock(), reason
            why = reason.partition(":")[0][:MAX_REASON]
            known = why in self._given_up_for or len(self._given_up_for) < MAX_REASONS
            self._given_up_for[why if known else "others"] += 1
        elif into is job:
            self._unchanged += 1
        elif into is not None and into.number in self._unsettled and into.extra < MAX_KEPT:
            into.extra += job.extra
            job.extra = 0

    def _release(self, job: Job) -> None:
        self._queue.release(job.extra)
        job.extra = 0

    def end(self, reason: str) -> int:
        """Count every item that is neither settled nor stored as dropped for *reason*, and all later ones too.

        Returns the number of items counted now.
        """
        with self._lock:
            self._ended = reason
            count = self._sweep()
            ready = self._passed()
        for callback in ready:
            callback()
        return count

    def _sweep(self) -> int:
        if self._ended is None:
            return 0
        while self._take(100):
            pass
        count = len(self._unsettled)
        for job in self._unsettled.values():
            self._release(job)
        self._unsettled.clear()
        while self._queue.take_parked():
            self._taken += 1
            count += 1
        self._recount()
        if count:
            self._dropped[self._ended] += count
        return count

    # ── Waiting ──

    def checkpoint(self) -> Checkpoint:
        """Return a checkpoint for everything captured so far."""
        with self._lock:
            return Checkpoint(self._taken + len(self._queue))

    def is_past(self, checkpoint: Checkpoint) -> bool:
        """Whether everything in *checkpoint* is settled or, unless the checkpoint includes the store, stored."""
        with self._lock:
            return self._is_past(checkpoint)

    def _is_past(self, checkpoint: Checkpoint) -> bool:
        last, stored = checkpoint
        if self._taken < last and self._ended is None:
            return False
        oldest = next(iter(self._unsettled.values()), None)
        return (oldest is None or (oldest.index or 0) > last) and (stored is None or stored())

    @property
    def is_awaited(self) -> bool:
        """Whether a caller waits for a checkpoint."""
        return bool(self._callbacks)

    @property
    def is_pressed(self) -> bool:
        """Whether the queue may soon be full."""
        return self._queue.is_half_full

    def wait(self, checkpoint: Checkpoint, timeout: float, wake: Callable[[], object] = lambda: None) -> bool:
        """Wait for *checkpoint*. Returns false if it is not past within *timeout* seconds.

        *wake* is called once the wait is registered.
        """
        # A lock rather than a condition, which would wake the app's thread for every settled item.
        passed = threading.Lock()
        passed.acquire()
        callback = passed.release
        self.add_done_callback(checkpoint, callback)
        try:
            wake()
            if passed.acquire(timeout=max(0.0, timeout)):
                return True
        finally:
            self.remove_done_callback(callback)
        return self.is_past(checkpoint)

    def add_done_callback(self, checkpoint: Checkpoint, callback: Callable[[], None]) -> None:
        """Call *callback* once *checkpoint* is past, from the thread that settles its last item."""
        with self._lock:
            past = self._is_past(checkpoint)
            if not past:
                self._callbacks.append((checkpoint, callback))
        if past:
            callback()

    def remove_done_callback(self, callback: Callable[[], None]) -> None:
        """Remove a callback that `add_done_callback` registered."""
        with self._lock:
            self._callbacks = [(checkpoint, other) for checkpoint, other in self._callbacks if other is not callback]

    def _passed(self) -> list[Callable[[], None]]:
        passed = [waiting for waiting in self._callbacks if self._is_past(waiting[0])]
        for waiting in passed:
            self._callbacks.remove(waiting)
        return [callback for _, callback in passed]

    # ── Numbers ──

    def stats(self, *, delays: bool = True) -> Stats:
        """Return a consistent snapshot of all counts. Without *delays*, which have to be sorted, it costs a tenth."""
        with self._lock:
            self._sweep()
            refused = {reason: count for reason, count in self._queue.refused().items() if count}
            waiting = len(self._queue) + len(self._queue.parked)
            flying = self._in_flight.keys()
            unsettled, fetched = len(flying & self._unsettled.keys()), len(flying & self._fetched.keys())
            since = self._clock() - RECENT
            ordered = sorted(delay for at, delay in self._delays if at >= since) if delays else []
            counts = self._outcomes
            return Stats(
                captured=self._taken + waiting + sum(refused.values()),
                adopted=self._adopted,
                delivered=counts["delivered"],
                published=counts["published"],
                coalesced=counts["coalesced"],
                throttled=counts["throttled"],
                given_up=counts["given_up"],
                dropped=FrozenDict(Counter(refused) + self._dropped),
                queued=waiting + len(self._unsettled) - unsettled,
                spooled=self._stored - fetched,
                in_flight=unsettled + fetched,
                retried=self._retried,
                calls_remaining=self._calls[0],
                calls_limit=self._calls[1],
                responses=dict(self._responses),
                delay_p50=_quantile(ordered, 0.5),
                delay_p99=_quantile(ordered, 0.99),
                unchanged=self._unchanged,
                given_up_for=FrozenDict(self._given_up_for),
            )

    def resumed(self) -> None:
        """Start counting stalls from now, because the process was suspended and could not deliver."""
        with self._lock:
            self._began = self._clock()

    def _oldest(self) -> float | None:
        """When the oldest item that waits here was captured."""
        return min(
            (next(iter(some.values())).taken_at for some in (self._unsettled, self._fetched) if some), default=None
        )

    def ages(self) -> tuple[float | None, float | None]:
        """Return the seconds since the oldest waiting item's capture and since the last success, `None` if none."""
        with self._lock:
            now, oldest, success = self._clock(), self._oldest(), self.last_success
            return None if oldest is None else now - oldest, None if success is None else now - success

    def stalled(self, seconds: float) -> float | None:
        """Return for how long items have waited without any delivery, if longer than *seconds*; else `None`."""
        # Items in the spool may be days old. Their age alone is not a stall.
        return self._waited(seconds, self.last_success)

    def delayed(self, seconds: float) -> float | None:
        """Return for how long the oldest item has waited in this process, if longer than *seconds*; else `None`."""
        return self._waited(seconds, None)

    def _waited(self, seconds: float, since: float | None) -> float | None:
        with self._lock:
            oldest = self._oldest()
            if oldest is None:
                return None
            waited = self._clock() - max(
                oldest, self._began, since or self._began
            )  # the item could not have been sent before
            return waited if waited > seconds else None

    def losing(self, seconds: float) -> str | None:
        """Return why an item was last given up, if that was within the last *seconds*; else `None`."""
        with self._lock:
            if self._last_loss is None or self._last_loss[0] < self._clock() - seconds:
                return None
            return self._last_loss[1]

    def recent(self) -> list[Receipt]:
        """Return receipts for the most recently settled items, oldest first."""
        with self._lock:
            receipts = list(self._receipts)
        return [_receipt(*receipt) for receipt in receipts]


def _quantile(ordered: list[float], part: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else None


def _receipt(kind: Any, name: str | None, outcome: str, attempts: int, response: Response | None) -> Receipt:
    """Make a receipt. This is done on request, since most receipts are never read."""
    label = "an item that was never built" if kind is type(None) else label_of(kind, name)
    if response is None:
        return Receipt(label, outcome, attempts)
    return Receipt(label, outcome, attempts, response.status, response.request_id, response.rejected)
