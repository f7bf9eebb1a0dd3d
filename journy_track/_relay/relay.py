"""The relay: at most one leads at a time, under a lease, and delivers and acknowledges; the others stand by."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from time import time

from journy_track._capture.queue import BoundedQueue
from journy_track._delivery.dispatcher import Dispatcher
from journy_track._delivery.feed import Feed
from journy_track._delivery.ledger import Ledger
from journy_track._delivery.reports import Reports
from journy_track._delivery.way import Way
from journy_track._delivery.ways import MAX_BATCHES, unchanged_of, ways_of
from journy_track._model.broker import BrokerError
from journy_track._model.clock import monotonic
from journy_track._model.config import Config
from journy_track._model.frozendict import FrozenDict
from journy_track._model.logs import log
from journy_track._model.notices import Notices
from journy_track._model.numbers import Stats
from journy_track._model.outcomes import JobOutcome
from journy_track._relay.leased import Leased
from journy_track._stores.redis.store import RedisStore
from journy_track._stores.redis.stream import RelayQueue, Settled
from journy_track._stores.store import StoreError
from journy_track._stores.trouble import Trouble
from journy_track._transport.rest import CallTransport

#: Seconds for which a relay leads without renewing its lease. It renews three times as often, and stops sending
#: before the lease ends.
LEASE = 10.0
#: The part of the lease after which nothing more is sent, because a request takes time and clocks differ.
_SURE = 0.7
#: Seconds until a broker that failed is retried.
AGAIN = 0.5
#: The maximum number of jobs in memory, unless batches need more, and how many are read at once.
WINDOW, CHUNK = 2_000, 500
#: Seconds between two checks for new messages.
POLL = 0.1


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a relay.

    The broker's numbers are `None` before the first check. *broker_oldest* is in seconds. *circuit* is `"open"` while
    the key is refused.
    """

    role: str
    stats: Stats
    terms: int
    broker_waiting: int | None = None
    broker_oldest: float | None = None
    dead_letters: int | None = None
    trouble: str | None = None
    circuit: str = "closed"


class Term:
    """One term of leadership. Jobs that were read but not settled are discarded with it."""

    def __init__(
        self,
        config: Config,
        ways: Sequence[Way],
        store: RedisStore,
        trouble: Trouble,
        wake: Callable[[], None],
        mark_internal: Callable[[], object],
        wall: Callable[[], float],
    ) -> None:
        notices = Notices()
        self.ledger = Ledger(BoundedQueue(1, 1))  # nothing is captured here
        # The window allows another batch to be ready when one in flight returns. With a smaller window, each batch
        # holds only what is there, which halves the throughput if a response takes a second.
        window = max(WINDOW, (MAX_BATCHES + 1) * max(way.transport.max_jobs for way in ways))
        self.feed = Feed(store, self.ledger, notices, trouble, window=window, chunk=CHUNK, clock=monotonic, wall=wall)
        self.unchanged = unchanged_of(config, notices)
        self.dispatcher = Dispatcher(
            config,
            ways,
            self.ledger,
            Reports(config, notices),
            self.feed.settle,
            self.feed.settle_delivered,
            clock=monotonic,
            wake=wake,
            mark_internal=mark_internal,
            unchanged=self.unchanged,
        )

    def turn(self) -> float:
        """Read and send. Returns the seconds until the next turn."""
        again = self.feed.fetch(self.dispatcher)
        wait = self.dispatcher.dispatch(filling=again == 0.0)
        return 0.0 if again == 0.0 else POLL if wait is None else min(wait, POLL)


class Relay:
    """Runs until `stop()`, even if the lease is lost or the broker is temporarily unavailable.

    *calls* replaces the REST API. *mark_internal* is called once in each of the relay's threads, and *on_request*
    with the duration in seconds and the outcome of each request. All calls to the broker are made in the thread that
    calls `run`.
    """

    def __init__(
        self,
        queue: RelayQueue,
        config: Config,
        calls: CallTransport | None = None,
        *,
        mark_internal: Callable[[], object],
        lease: float = LEASE,
        wall: Callable[[], float] = time,
        on_request: Callable[[float, JobOutcome | None], object] | None = None,
    ) -> None:
        self._queue = queue
        self._config = config
        self._ways = ways_of(config, calls=calls)
        self._mark_internal = mark_internal
        self._lease = lease
        self._wall = wall
        self._on_request = on_request
        self._wake = threading.Event()
        self._stopping = False
        #: The monotonic times until which the lease is certain to hold, and at which it is renewed.
        self._sure_until = 0.0
        self._renew_at = 0.0
        # Kept across terms: what was delivered in an earlier term must not be sent again in the next.
        self._settled: deque[Settled] = deque()
        self._term: Term | None = None
        self._past = Stats()
        self._terms = 0
        # The broker and the lease may be lost and regained several times a second.
        self._notices = Notices()
        self._trouble = Trouble(self._log_trouble, monotonic, pause=AGAIN)
        self._looked: tuple[int, float | None, int] | None = None
        self._look_at = 0.0

    def _log_trouble(self, cause: Hashable, error: StoreError) -> None:
        self._notices.log(
            ("broker", cause), "the broker cannot be used: %s. The relay tries again.", error, level=logging.ERROR
        )

    def stop(self) -> None:
        """Finish the requests in flight, give the rest back and return from `run`. Takes effect within a second."""
        # The event is not set: this may run in a signal handler that interrupted the thread's own wait for it.
        self._stopping = True

    def run(self, turned: Callable[[], object] = lambda: None) -> None:
        """Lead or stand by until `stop()`. *turned* is called after each turn, several times a second."""
        self._mark_internal()
        while not self._stopping:
            wait = AGAIN
            try:
                wait = self._turn()
                self._look()
            except BrokerError as error:
                self._trouble.note(StoreError(str(error)))
            if self._trouble.is_on:
                wait = AGAIN
            else:
                self._trouble.over()
            if self._term is not None and not self._holds():
                self._lose(turned)
            turned()
            self._wake.wait(wait)
            self._wake.clear()
        self._end()
        turned()

    def _turn(self) -> float:
        if self._term is None:
            if not self._lead():
                return self._lease / 10
            self._term = Term(
                self._config,
                [self._leased(way) for way in self._ways],
                RedisStore(self._queue, self._settled, self._wake.set, self._wall),
                self._trouble,
                self._wake.set,
                self._mark_internal,
                self._wall,
            )
            self._term.dispatcher.on_request = self._on_request
            self._terms += 1
            waiting = self._queue.depth()[0]
            self._notices.log(
                "leads", "this relay leads (%d messages wait in the broker).", waiting, level=logging.INFO
            )
        elif not self._renewed():
            self._sure_until = 0.0
        if not self._settle():
            self._sure_until = 0.0
        return self._term.turn() if self._holds() else 0.0

    def _leased(self, way: Way) -> Way:
        """Return a copy of *way* for one term, with a leased transport."""
        leased = Leased(way.transport, self._holds)
        return Way(leased, way.budget, connections=way.connections, clock=monotonic, linger=way.linger)

    def _renewed(self) -> bool:
        """Renew the lease if it is time. Returns false if another relay leads."""
        return monotonic() < self._renew_at or self._lead(again=True)

    def _settle(self) -> bool:
        """Remove settled messages from the broker. Returns false if another relay leads."""
        while self._settled:
            some = [self._settled.popleft() for _ in range(min(500, len(self._settled)))]
            done: int | None = None
            try:
                done = self._queue.settle(some)
            finally:
                self._settled.extendleft(reversed(some[done or 0 :]))  # must not be lost, or they would be sent again
            if done is None or not self._renewed():  # many dead letters take time
                return False
        return True

    def _lead(self, *, again: bool = False) -> bool:
        asked = monotonic()
        if not (self._queue.renew() if again else self._queue.acquire()):
            return False
        self._sure_until = asked + self._lease * _SURE
        self._renew_at = asked + self._lease / 3
        return True

    def _holds(self) -> bool:
        return monotonic() < self._sure_until

    def _lose(self, turned: Callable[[], object]) -> None:
        """End the term, because another relay may lead now. Requests in flight may be sent twice."""
        self._notices.log(
            "does not lead",
            "this relay no longer leads: its lease was not renewed in time. Another one may take over, and requests "
            "in flight may be sent twice.",
            level=logging.ERROR,
        )
        term = self._term
        assert term is not None
        term.dispatcher.stop()
        until = monotonic() + self._config.timeout
        while term.dispatcher.alive and monotonic() < until:
            term.dispatcher.join(min(1.0, until - monotonic()))
            turned()
        if term.unchanged is not None:
            # Confirmations that could not be saved yet are dropped: another relay may have sent newer values.
            term.unchanged.close(save=False)
        self._past = _sum(self._past, _ended(term.ledger.stats()))
        self._term = None

    def _end(self) -> None:
        term, self._term = self._term, None
        if term is not None:
            term.dispatcher.stop()
            term.dispatcher.join(self._config.timeout)
            if term.unchanged is not None:
                term.unchanged.close()
            try:
                self._settle()
                self._queue.release()
            except BrokerError as error:
                log(
                    logging.ERROR,
                    "the last delivered items could not be removed from the broker: %s. They are sent again, and may "
                    "arrive twice.",
                    error,
                )
            self._past = _sum(self._past, _ended(term.ledger.stats()))
        for way in self._ways:
            way.transport.close()
        self._queue.close()

    def _look(self) -> None:
        if monotonic() >= self._look_at:
            self._look_at = monotonic() + 1.0
            self._looked = self._queue.depth()

    def status(self) -> Status:
        """Return what the relay is doing, and what it has done since it started."""
        stats = self._past if self._term is None else _sum(self._past, self._term.ledger.stats())
        waiting, oldest, dead = self._looked or (None, None, None)
        age = None if oldest is None else max(0.0, self._wall() - oldest)
        role = "stopped" if self._stopping else "standby" if self._term is None else "active"
        refused = None if self._term is None else self._term.dispatcher.refused_key
        trouble = self._trouble.reason or (None if refused is None else f"the {refused} is refused")
        circuit = "closed" if refused is None else "open"
        return Status(role, stats, self._terms, waiting, age, dead, trouble, circuit)


def _ended(stats: Stats) -> Stats:
    """The numbers of an ended term. What it did not settle waits in the broker, and the next leader adopts it."""
    return replace(stats, adopted=stats.adopted - stats.spooled - stats.in_flight, spooled=0, in_flight=0)


def _sum(past: Stats, now: Stats) -> Stats:
    """The total of past terms and the current one. What waits is counted only for the current one."""
    return Stats(
        adopted=past.adopted + now.adopted,
        delivered=past.delivered + now.delivered,
        coalesced=past.coalesced + now.coalesced,
        given_up=past.given_up + now.given_up,
        dropped=FrozenDict(Counter(past.dropped) + Counter(now.dropped)),
        spooled=now.spooled,
        in_flight=now.in_flight,
        retried=past.retried + now.retried,
        calls_remaining=now.calls_remaining,
        calls_limit=now.calls_limit,
        responses=dict(Counter(past.responses) + Counter(now.responses)),
        delay_p50=now.delay_p50,
        delay_p99=now.delay_p99,
        unchanged=past.unchanged + now.unchanged,
        given_up_for=FrozenDict(Counter(past.given_up_for) + Counter(now.given_up_for)),
    )
