"""The ledger: every captured item ends in exactly one count."""

from __future__ import annotations

import itertools
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sized
from typing import Any, Protocol

from journy_track._delivery.taken import Taken
from journy_track._model.captured import Captured
from journy_track._model.clock import monotonic
from journy_track._model.frozendict import FrozenDict
from journy_track._model.numbers import Receipt, Stats
from journy_track._model.outcomes import Answer

RECEIPTS = 100
#: Units of 512 bytes that a merged item keeps charged, about what a call can hold; of more, the values were
#: overwritten.
MOST_KEPT = 128


class Source(Protocol):
    """Where captured items come from, and what has to be told when they are settled."""

    outside: int

    @property
    def parked(self) -> Sized:
        """What was captured and still waits, on the app's side, to know whose it is."""

    def __len__(self) -> int: ...
    def take(self) -> Any | None: ...
    def take_parked(self) -> bool: ...
    def release(self, extra: int) -> None: ...
    def refused(self) -> dict[str, int]: ...


class Keeper(Protocol):
    """Who keeps items on disk, and has to know when they need not be kept any more. Does not raise."""

    def settled(self, taken: Taken, /) -> None: ...
    def counted(self, taken: Taken, /) -> None: ...
    def given_up(self, taken: Taken, reason: str, answer: Answer | None, /) -> None: ...


class Watcher(Protocol):
    """Follows each captured item, by its place in the order of capture, which begins at 1. Does not raise.

    Called from any thread of ours. What shutdown drops is not told: it is as if it had never been captured.
    """

    def settled(self, index: int, outcome: str, answer: Answer | None, /) -> None:
        """It is `delivered`, or lost for the reason that *outcome* gives."""

    def joined(self, index: int, target: int, /) -> None:
        """It is part of *target*, and settled with it: not yet, or a moment ago."""


#: Whether all that was captured until some moment is settled.
Mark = Callable[[], bool]


class Ledger:
    """Counts, in one place and under one lock, what was taken from *source* and what became of it."""

    def __init__(self, source: Source, clock: Callable[[], float] = monotonic) -> None:
        self._source = source
        self._clock = clock
        # Re-entrant, as all that an app's own call takes: a signal handler may ask while its thread does.
        self._settling = threading.RLock()
        #: Who keeps items on disk; `None`: nobody.
        self.keeper: Keeper | None = None
        #: Who follows each item; `None`: nobody.
        self.watcher: Watcher | None = None
        self._numbers = itertools.count(1)
        self._taken = 0
        self._unsettled: dict[int, Taken] = {}
        #: Of those on disk, what was read and is not settled.
        self._read: dict[int, Taken] = {}
        self._on_disk = 0
        self._adopted = 0
        self._in_flight: dict[int, Taken] = {}
        self._delivered = 0
        self._published = 0
        self._coalesced = 0
        self._throttled = 0
        self._given_up = 0
        self._last_success: float | None = None
        #: When something was last given up, and why.
        self._last_loss: tuple[float, str] | None = None
        self._retried = 0
        self._dropped: Counter[str] = Counter()
        self._receipts: deque[Receipt] = deque(maxlen=RECEIPTS)
        self._budget: tuple[int | None, int | None] = (None, None)
        self._waiting: list[tuple[Mark, Callable[[], None]]] = []
        self._ended: str | None = None
        self._began = clock()

    def take(self) -> Taken | None:
        """The next captured item, now on the worker's side; `None` when there is none."""
        with self._settling:
            return self._take()

    def _take(self) -> Taken | None:
        captured = self._source.take()
        if captured is None:
            return None
        self._taken += 1
        taken = Taken(next(self._numbers), self._clock(), Captured(*captured))
        taken.index = self._taken
        self._unsettled[taken.number] = taken
        self._recount()
        return taken

    def _recount(self) -> None:
        self._source.outside = len(self._unsettled) + len(self._read) + len(self._source.parked)

    @property
    def has_taken(self) -> bool:
        """Whether anything was ever taken."""
        with self._settling:
            return self._taken > 0

    @property
    def in_memory(self) -> int:
        """How many were taken that are neither settled nor on disk."""
        return len(self._unsettled)

    # ── On disk ──

    def stored(self, batch: Iterable[Taken]) -> None:
        """Those are safe on disk, and leave memory."""
        with self._settling:
            for taken in batch:
                if self._unsettled.pop(taken.number, None) is not None:
                    self._release(taken)
                    self._on_disk += 1
            ready = self._settled_some()
        for tell in ready:
            tell()

    def found(self, count: int) -> None:
        """As many more are on disk: of a process that ended, or put there by somebody else."""
        with self._settling:
            self._adopted += count
            self._on_disk += count

    def missing(self, count: int, reason: str) -> None:
        """As many that were not read are not on disk any more."""
        with self._settling:
            self._on_disk -= count
            if count:
                self._dropped[reason] += count
            ready = self._settled_some()
        for tell in ready:
            tell()

    def read(self, item: Any, row: Any, captured_at: float) -> Taken:
        """One of those on disk was read, and may be sent."""
        with self._settling:
            taken = Taken(next(self._numbers), captured_at)
            taken.item = item
            taken.rows = (row,)
            self._read[taken.number] = taken
            self._recount()
            return taken

    # ── What becomes of it ──

    def started(self, taken: Taken) -> None:
        """A request with it is on its way."""
        with self._settling:
            self._in_flight[taken.number] = taken
            taken.attempts += 1
            if taken.attempts > 1:
                self._retried += 1

    def answered(self, taken: Taken, answer: Answer | None) -> None:
        """That request has ended, whatever came of it."""
        with self._settling:
            self._in_flight.pop(taken.number, None)
            if answer is not None and answer.calls_limit is not None:
                self._budget = (answer.calls_remaining, answer.calls_limit)

    def delivered(self, taken: Taken, answer: Answer) -> None:
        """The API took it."""

        def count() -> None:
            self._delivered += 1
            self._last_success = self._clock()

        self._settle(taken, count, "delivered", answer)

    def published(self, taken: Taken) -> None:
        """A broker took it, and a relay will deliver it."""

        def count() -> None:
            self._published += 1
            self._last_success = self._clock()

        self._settle(taken, count, "published")

    def given_up(self, taken: Taken, reason: str, answer: Answer | None) -> None:
        """It was tried and will not be tried again."""

        def count() -> None:
            self._given_up += 1
            self._last_loss = self._clock(), reason

        if self.keeper is not None:
            self.keeper.given_up(taken, reason, answer)
        self._settle(taken, count, reason, answer)

    def dropped(self, taken: Taken, reason: str) -> None:
        """It was lost before it was ever tried, or may not be tried again."""

        def count() -> None:
            self._dropped[reason] += 1

        self._settle(taken, count, reason)

    def coalesced(self, taken: Taken, target: Taken) -> None:
        """It is part of *target* now, which keeps its values; or *target* is itself: journy.io has it already."""

        def count() -> None:
            self._coalesced += 1
            if target is not taken and target.number in self._unsettled and target.extra < MOST_KEPT:
                target.extra += taken.extra
                taken.extra = 0

        self._settle(taken, count, "coalesced", target=target)

    def throttled(self, taken: Taken) -> None:
        """There was one like it within its window."""

        def count() -> None:
            self._throttled += 1

        self._settle(taken, count, "throttled")

    def _settle(
        self,
        taken: Taken,
        count: Callable[[], None],
        outcome: str,
        answer: Answer | None = None,
        target: Taken | None = None,
    ) -> None:
        receipt = _receipt(taken, outcome, answer)
        if taken.rows and self.keeper is not None:
            self.keeper.settled(taken)
        with self._settling:
            if taken.index is None:
                if self._read.pop(taken.number, None) is None:
                    return
                self._on_disk -= 1
            elif self._unsettled.pop(taken.number, None) is None:
                return  # it was counted as dropped at shutdown, while its request was still on its way
            count()
            self._release(taken)
            self._receipts.append(receipt)
            if self.keeper is not None:
                self.keeper.counted(taken)
            ready = self._settled_some()
        if self.watcher is not None and taken.index is not None:
            if target is None or target is taken or target.index is None:
                self.watcher.settled(taken.index, outcome, answer)
            else:
                self.watcher.joined(taken.index, target.index)
        for tell in ready:
            tell()

    def _settled_some(self) -> list[Callable[[], None]]:
        self._recount()
        return self._ready()

    def _release(self, taken: Taken) -> None:
        if taken.extra:
            self._source.release(taken.extra)

    def end(self, reason: str) -> int:
        """Count all that is neither settled nor on disk as dropped for *reason*, and whatever still comes.

        Answers how many.
        """
        with self._settling:
            self._ended = reason
            count = self._sweep()
            ready = self._settled_some()
        for tell in ready:
            tell()
        return count

    def _sweep(self) -> int:
        count = 0
        if self._ended is not None:
            while self._take() is not None:
                pass
            count = len(self._unsettled)
            while self._source.take_parked():
                self._taken += 1
                count += 1
            for taken in self._unsettled.values():
                self._release(taken)
            self._unsettled.clear()
            self._recount()
            if count:
                self._dropped[self._ended] += count
        return count

    # ── Waiting ──

    def mark(self) -> Mark:
        """Asks whether all that was captured so far is settled, or safe on disk. For the two methods below."""
        with self._settling:
            last = self._taken + len(self._source)
        return lambda: self._is_settled(last)

    def wait_settled(self, mark: Mark, timeout: float) -> bool:
        """Wait for *mark*; false when *timeout* seconds were not enough."""
        # A lock that is let go, and no condition: that would wake the app's thread for each item that is settled.
        told = threading.Lock()
        told.acquire()
        tell = told.release
        self.when_settled(mark, tell)
        try:
            if told.acquire(timeout=max(0.0, timeout)):
                return True
        finally:
            self.forget(tell)
        with self._settling:
            return mark()

    def when_settled(self, mark: Mark, tell: Callable[[], None]) -> None:
        """Call *tell*, from whichever thread settles the last of it, once *mark* says so."""
        with self._settling:
            settled = mark()
            if not settled:
                self._waiting.append((mark, tell))
        if settled:
            tell()

    def forget(self, tell: Callable[[], None]) -> None:
        """Nobody waits for that call any more."""
        with self._settling:
            self._waiting = [(mark, other) for mark, other in self._waiting if other is not tell]

    def _ready(self) -> list[Callable[[], None]]:
        if not self._waiting:
            return []
        settled = [(mark, tell) for mark, tell in self._waiting if mark()]
        self._waiting = [waiting for waiting in self._waiting if waiting not in settled]
        return [tell for _, tell in settled]

    def _is_settled(self, last: int) -> bool:
        if self._taken < last and self._ended is None:
            return False
        oldest = next(iter(self._unsettled.values()), None)
        return oldest is None or oldest.index is None or oldest.index > last

    # ── Numbers ──

    def stats(self) -> Stats:
        """All counts at one moment."""
        with self._settling:
            self._sweep()
            refused = {reason: count for reason, count in self._source.refused().items() if count}
            dropped = Counter(refused) + self._dropped
            waiting = len(self._source) + len(self._source.parked)
            flying = [taken.index for taken in self._in_flight.values() if self._is_unsettled(taken)]
            read_and_flying = flying.count(None)
            return Stats(
                captured=self._taken + waiting + sum(refused.values()),
                adopted=self._adopted,
                delivered=self._delivered,
                published=self._published,
                coalesced=self._coalesced,
                throttled=self._throttled,
                given_up=self._given_up,
                dropped=FrozenDict(dropped),
                queued=waiting + len(self._unsettled) - (len(flying) - read_and_flying),
                spooled=self._on_disk - read_and_flying,
                in_flight=len(flying),
                retried=self._retried,
                calls_remaining=self._budget[0],
                calls_limit=self._budget[1],
            )

    def _is_unsettled(self, taken: Taken) -> bool:
        return taken.number in (self._read if taken.index is None else self._unsettled)

    def waiting(self) -> tuple[float | None, float | None]:
        """Seconds since the oldest waiting item was captured, and since the last success; `None` without one."""
        with self._settling:
            now = self._clock()
            oldest = [next(iter(some.values())).taken_at for some in (self._unsettled, self._read) if some]
            age = now - min(oldest) if oldest else None
            return age, None if self._last_success is None else now - self._last_success

    def stalled(self, seconds: float) -> float | None:
        """Seconds since anything was delivered, while items wait, if they are more than *seconds*; else `None`."""
        with self._settling:
            now = self._clock()
            oldest = [next(iter(some.values())).taken_at for some in (self._unsettled, self._read) if some]
            if not oldest:
                return None
            # What the spool holds may be days old: that alone is no stall.
            since = max(min(oldest), self._began, self._last_success or self._began)
            return now - since if now - since > seconds else None

    def losing(self, seconds: float) -> str | None:
        """Why something was last given up, if that was within so many *seconds* and nothing was delivered in them."""
        with self._settling:
            since = self._clock() - seconds
            if self._last_loss is None or self._last_loss[0] < since:
                return None
            return None if self._last_success is not None and self._last_success >= since else self._last_loss[1]

    def recent(self) -> list[Receipt]:
        """The last settled items, oldest first."""
        with self._settling:
            return list(self._receipts)


def _receipt(taken: Taken, outcome: str, answer: Answer | None) -> Receipt:
    label = taken.item.label() if taken.item is not None else "an item that was not made"
    if answer is None:
        return Receipt(label, outcome, taken.attempts)
    return Receipt(label, outcome, taken.attempts, answer.status, answer.request_id, answer.rejected)
