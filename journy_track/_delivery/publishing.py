"""Delivery by a broker: batches, in the order of capture, by one thread; a relay does the rest."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable

from journy_track._delivery.circuit import Memory, State
from journy_track._delivery.ledger import Ledger
from journy_track._delivery.notices import Notices
from journy_track._delivery.purging import Delete, left_of
from journy_track._delivery.reports import Reports
from journy_track._delivery.retry import backoff
from journy_track._delivery.senders import Senders
from journy_track._delivery.taken import Taken
from journy_track._model.broker import Broker, BrokerError, BrokerRefused, Message
from journy_track._model.config import Config
from journy_track._model.items import DeleteAccount, DeleteUser, Item
from journy_track._model.messages import message_of

#: Messages in one call of the broker, at most.
BATCH = 100
#: Seconds before a broker that failed is asked again, at most: a look at it costs little.
LONGEST = 5.0


class Publisher:
    """Hands items to *broker*. For the worker it is what the dispatcher is, and has its methods."""

    #: A broker has no key that could be refused.
    circuit = State.CLOSED
    #: Whether the key may do this, the relay finds out.
    suspended: tuple[str, ...] = ()

    def __init__(
        self,
        config: Config,
        broker: Broker,
        ledger: Ledger,
        notices: Notices,
        *,
        clock: Callable[[], float],
        ring: Callable[[], None],
        inside: Callable[[], object],
        wait_before: Callable[[int], float] = backoff,
        inline: bool = False,
    ) -> None:
        self._max_age = config.max_age
        self._broker = broker
        self._ledger = ledger
        self._notices = notices
        self._reports = Reports(config, notices)
        self._clock = clock
        self._ring = ring
        self._wait_before = wait_before
        self._lock = threading.RLock()
        self._waiting: deque[Taken] = deque()
        self._numbers = itertools.count(1)
        #: Under which number each was offered first: it is offered again under the same.
        self._offered: dict[int, int] = {}
        self._senders: Senders[list[Taken]] = Senders(1, self._perform, inside)
        self._busy = False
        self._failures = 0
        self._retry_at = 0.0
        self._stopped = False
        #: Whether the caller's own thread publishes.
        self.inline = inline
        #: No call may begin after this, by the clock; `None`: any time.
        self.deadline: float | None = None

    # ── The worker's side ──

    def put(self, taken: Taken) -> None:
        """Take an item in."""
        if isinstance(taken.item, (DeleteUser, DeleteAccount)):
            self.purge(taken.item)
        with self._lock:
            self._waiting.append(taken)

    def purge(self, delete: Delete) -> None:
        """Remove what waits and is about the user or account of *delete*."""
        gone: list[Taken] = []
        with self._lock:
            for taken in list(self._waiting):
                left = left_of(taken.item, delete)
                if left is None:
                    self._waiting.remove(taken)
                    gone.append(taken)
                else:
                    taken.item = left
        for taken in gone:
            self._forget(taken)
            self._ledger.dropped(taken, "deleted")

    def withdraw(self, taken: Taken, reason: str) -> None:
        """Drop one that waits. What is on its way or settled stays as it is."""
        with self._lock:
            waited = taken in self._waiting
            if waited:
                self._waiting.remove(taken)
        if waited:
            self._forget(taken)
            self._ledger.dropped(taken, reason)

    def amend(self, taken: Taken, item: Item) -> None:
        """Publish *item* in the place of one that waits."""
        with self._lock:
            taken.item = item

    def remember(self, memory: Memory, quiet: tuple[float, float] | None) -> None:
        """There is no key here that could have been refused."""

    @property
    def waiting(self) -> int:
        """How many items wait here."""
        return len(self._waiting)

    def dispatch(self) -> float | None:
        """Publish what may go now. Answers seconds until the next look; `None` when nothing waits."""
        while True:
            batch, wait = self._next()
            if batch is None:
                return wait
            following: list[Taken] | None = batch
            while following is not None and (self.inline or not self._senders.hand(following)):
                following = self._perform(following)

    def stop(self) -> None:
        """Publish nothing more, but what is on its way."""
        self._stopped = True
        self._senders.stop()

    def join(self, timeout: float) -> None:
        """Wait for the thread to end, at most *timeout* seconds."""
        self._senders.join(timeout)

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._senders.alive

    def _next(self) -> tuple[list[Taken] | None, float | None]:
        with self._lock:
            now = self._clock()
            if self._stopped or (self.deadline is not None and now >= self.deadline):
                return None, None
            if not self._waiting:
                return None, _LATER if self._busy else None
            if self._busy:
                return None, _LATER
            if now < self._retry_at:
                return None, self._retry_at - now
            self._busy = True
            return [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))], 0.0

    # ── The publishing side ──

    def _perform(self, batch: list[Taken]) -> list[Taken] | None:
        """Offer *batch*, settle what was taken, and answer what the same thread does next."""
        published: list[Taken] = []
        try:
            self._give_up_the_old(batch)
            offered = [(taken, message) for taken in batch if (message := self._message(taken))]
            batch = [taken for taken, _ in offered]
            try:
                count = self._published(offered) if offered else 0
                published, batch = batch[:count], batch[count:]
            except BrokerRefused as refused:
                self._give_up(batch, list(batch), str(refused))
        finally:  # also after a Ctrl-C, where the app's own thread publishes
            with self._lock:
                self._waiting.extendleft(reversed(batch))
                self._busy = False
        for taken in published:
            self._forget(taken)
            self._ledger.published(taken)
        if self.inline:
            return None
        following, _ = self._next()
        if following is None:
            self._ring()
        return following

    def _published(self, offered: list[tuple[Taken, Message]]) -> int:
        for taken, _ in offered:
            self._ledger.started(taken)
        count, failed = 0, ""
        try:
            count = self._broker.publish([message for _, message in offered])
            if count != len(offered):
                failed = "it is full"
            if not 0 <= count <= len(offered):
                count, failed = 0, "it answered with a number that cannot be"
        except BrokerRefused:
            raise
        except BrokerError as error:
            failed = str(error)
        except Exception as error:  # noqa: BLE001 - a broker of the app's own may raise anything
            count, failed = 0, f"it raised {type(error).__name__}"
        finally:
            for taken, _ in offered:
                self._ledger.answered(taken, None)
        if failed:
            self._failures += 1
            self._retry_at = self._clock() + min(LONGEST, self._wait_before(self._failures))
            self._notices.say(
                ("broker", failed),
                "the broker does not take items: %s. They wait here and are tried again.",
                failed,
                level=logging.ERROR,
            )
        else:
            self._failures = 0
        return count

    def _message(self, taken: Taken) -> Message | None:
        try:
            text = message_of(taken.item, taken.at)
        except Exception as error:  # noqa: BLE001 - counted, and said: it must not hold up the others
            self._forget(taken)
            self._notices.say("internal", "%s could not be written: %s", taken.item.label(), type(error).__name__)
            self._ledger.dropped(taken, "internal_error")
            return None
        number = self._offered.get(taken.number)
        if number is None:
            number = self._offered[taken.number] = next(self._numbers)
        return Message(number, text)

    def _give_up_the_old(self, batch: list[Taken]) -> None:
        now = self._clock()
        self._give_up(batch, [taken for taken in batch if taken.taken_at + self._max_age < now], "max_age")

    def _give_up(self, batch: list[Taken], those: list[Taken], reason: str) -> None:
        """Take *those* out of *batch*."""
        for taken in those:
            batch.remove(taken)  # first: a Ctrl-C in the app's hook ends this
            self._forget(taken)
            try:
                self._reports.given_up(taken, reason, None)
            finally:
                self._ledger.given_up(taken, reason, None)

    def _forget(self, taken: Taken) -> None:
        self._offered.pop(taken.number, None)


#: Seconds after which the worker looks again where nothing else says when.
_LATER = 60.0
