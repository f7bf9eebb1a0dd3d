"""The delivery pipeline of one process, from the queue through a store to journy.io or a broker.

BoundedQueue → Intake (Preparer) → Feed (Store) → Dispatcher (Outbox, Budget, Senders) → Transport
             → Decider → Feed.settle → Ledger
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path
from time import time

from journy_track import _process
from journy_track._capture.context import INTERNAL, set_frame
from journy_track._capture.queue import BoundedQueue, log_not_woken
from journy_track._delivery.budget import Budget, Unlimited
from journy_track._delivery.dispatcher import Dispatcher
from journy_track._delivery.feed import Feed
from journy_track._delivery.inspecting import Inspecting
from journy_track._delivery.intake import Intake
from journy_track._delivery.ledger import Checkpoint, Ledger
from journy_track._delivery.merging import merged
from journy_track._delivery.preparing import Preparer
from journy_track._delivery.reports import Reports
from journy_track._delivery.signs import Signs
from journy_track._delivery.waiting import DRAIN_LOOK, Waiting
from journy_track._delivery.way import Way
from journy_track._delivery.ways import place_of, unchanged_of, ways_of
from journy_track._delivery.worker import POLL, POLL_TO_DISK, Worker
from journy_track._model.clock import monotonic
from journy_track._model.config import Config
from journy_track._model.ending import LOOK, Ending
from journy_track._model.errors import ConfigurationError
from journy_track._model.forks import importing, unforked_lock
from journy_track._model.logs import log
from journy_track._model.notices import Notices
from journy_track._model.numbers import Health, Stats
from journy_track._model.retry import backoff
from journy_track._model.unnamed import UnnamedPlaces
from journy_track._state.digests import Digests
from journy_track._stores.memory import MemoryStore
from journy_track._stores.sqlite import NEED_SQLITE, is_sqlite
from journy_track._stores.store import Store, StoreError
from journy_track._stores.trouble import Trouble
from journy_track._transport.broker import BrokerTransport, broker_at
from journy_track._transport.rest import CallTransport

#: The maximum number of jobs in memory that a store on disk also keeps, and how many of them are read per turn.
WINDOW, CHUNK = 5_000, 100
#: Seconds until an unusable store is retried.
RETRY = 5.0
#: Seconds that a shutdown with no time left waits for the requests that it has just interrupted.
_GRACE = 0.2


class Pipeline:
    """A queue with its store, worker and connections. A forked child gets a pipeline of its own.

    Tests and simulations pass *clock* (monotonic), *wall* (seconds since the epoch), *budget*, *wait_before* (returns
    the seconds before the next attempt, given the number of deferrals so far) and *digests* (of what was confirmed);
    a sync also passes *digests*. With *inline* there are no threads: the caller runs `turn()`, which makes the
    requests. *places* is where the app's side records, for an inspector, where items without an identity were
    captured.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
        transport: CallTransport | None = None,
        budget: Budget | Unlimited | None = None,
        wait_before: Callable[[int], float] = backoff,
        inline: bool = False,
        digests: Digests | None = None,
        places: UnnamedPlaces | None = None,
    ) -> None:
        # Imported here rather than by the worker when it sends.
        with importing:
            from journy_track._model import tracing  # noqa: F401

        self._clock = clock
        self._timeout = config.timeout
        #: Held by the thread that runs the turns in `_drain`.
        self._draining = threading.Lock()
        self._notices = notices = Notices(clock)
        self.queue = BoundedQueue(config.queue_size, config.queue_bytes)
        self.ledger = Ledger(self.queue, clock)
        self._inspecting = None if places is None else Inspecting(config, places, mark_internal)
        self.intake = Intake(self.ledger, Preparer(config, notices), notices, clock, self._inspecting)
        trouble = Trouble(self._log_trouble, clock, pause=RETRY)
        window = sys.maxsize if config.spool is None else min(WINDOW, max(1, config.queue_size // 2))
        self.store: Store = (
            MemoryStore()
            if config.spool is None
            else self._sqlite_store(config, config.spool, trouble, window, clock, wall)
        )
        self.feed = Feed(
            self.store, self.ledger, notices, trouble, window=window, chunk=CHUNK, clock=clock, wall=wall
        )
        # With a broker, only the relay learns what journy.io confirms.
        self.unchanged = unchanged_of(config, notices, digests, wall) if config.broker is None else None
        broker = None if config.broker is None else broker_at(config.broker)
        ways = (
            ways_of(config, clock, transport, budget)
            if broker is None
            else [Way(BrokerTransport(broker, wait_before), Unlimited(), connections=1, clock=clock)]
        )
        self.dispatcher = Dispatcher(
            config,
            ways,
            self.ledger,
            Reports(config, notices, self._inspecting),
            self.feed.settle if self.store.durable else self.ledger.settle,
            self.feed.settle_delivered if self.store.durable else self.ledger.settle_delivered,
            clock=clock,
            wake=self.queue.wake_worker,
            mark_internal=mark_internal,
            wait_before=wait_before,
            inline=inline,
            unchanged=self.unchanged,
        )
        self.signs = Signs(
            self.ledger,
            self.dispatcher,
            notices,
            refused=self.queue.refused,
            max_delay=config.max_delay,
            clock=clock,
        )
        self.worker = Worker(
            self.queue,
            self.turn,
            notices,
            is_safe=self._is_safe,
            last_traffic=lambda: self.intake.last_traffic,
            resumed=self.ledger.resumed,
            poll=POLL_TO_DISK if self.store.durable else POLL,
            mark_internal=mark_internal,
            on_start=_process.first_capture,
            clock=clock,
        )
        self.waiting = Waiting(
            self.ledger,
            self.store,
            self.worker,
            broker,
            notices,
            wake=self.queue.wake_worker,
            drain=lambda until: self.queue.closed or self._drain(until),
            mark_internal=mark_internal,
            clock=clock,
        )
        if inline:
            self.queue.with_worker()

    def _sqlite_store(
        self,
        config: Config,
        path: Path,
        trouble: Trouble,
        window: int,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> Store:
        # Imported here, so that an app without a spool does not load SQLite. Python may also be built without it.
        with importing:
            try:
                from journy_track._stores.sqlite.folder import Folder
                from journy_track._stores.sqlite.keys import RefusedKey
                from journy_track._stores.sqlite.store import SqliteStore
            except ModuleNotFoundError as missing:
                if not is_sqlite(missing):
                    raise
                raise ConfigurationError(NEED_SQLITE) from None

        def on_open(quiet: tuple[float, float] | None) -> None:  # called in a turn, when the dispatcher exists
            if config.broker is None:  # a broker has no key
                self.dispatcher.remember(store.note_key, quiet)

        store = SqliteStore(
            Folder(path, config.base_url, unforked_lock, shared=config.spool_shared),
            RefusedKey(path, *place_of(config)),
            self._notices,
            trouble,
            limit=config.spool_limit,
            window=window,
            join=merged,
            on_open=on_open,
            clock=clock,
            wall=wall,
        )
        return store

    def _log_trouble(self, cause: Hashable, error: StoreError) -> None:
        self._notices.log(
            ("spool", cause),
            "the spool cannot be used: %s. Items are kept in memory meanwhile, and the disk is tried again.",
            error,
            level=logging.ERROR,
        )

    def resume(self) -> None:
        """Deliver what ended processes left in the store, even if nothing is captured in this one.

        If this process forks later, it continues with the delivery for as long as it lives; its children have their
        own pipelines.
        """
        if self.store.has_orphans():
            self.worker.start()

    # ── The worker's turn ──

    def turn(self) -> float | None:
        """Take and store what was captured, and send what may be sent. Returns the seconds until the next turn.

        Returns `None` if nothing waits.
        """
        self.feed.look(self.dispatcher)
        self.keep_captured()
        again = self.feed.fetch(self.dispatcher)
        self.signs.look()
        wait = self.dispatcher.dispatch(filling=again == 0.0)
        return wait if again is None else again if wait is None else min(wait, again)

    def keep_captured(self) -> None:
        """Turn what was captured into jobs, and store them."""
        while jobs := self.intake.take():
            self.feed.add(jobs, self.dispatcher)

    def _is_safe(self, wait: float | None) -> bool:
        """Whether the worker may end: nothing waits, or the store keeps it. *wait* is what the last turn returned."""
        return not self.ledger.in_memory if self.store.durable else wait is None

    def _drain(self, until: Callable[[], float]) -> bool:
        """Run turns in this thread until nothing is left or the time that *until* returns has passed.

        Returns false, and soon, if another thread is doing so: the caller looks at what is settled, and tries again.
        """
        dispatcher = self.dispatcher
        # Not waited for: a signal handler that calls this may have interrupted the thread that holds it.
        if not self._draining.acquire(timeout=max(0.0, min(DRAIN_LOOK, until() - self._clock()))):
            return False
        try:
            before = dispatcher.inline, dispatcher.until
            dispatcher.inline, dispatcher.until = True, until
            try:
                self.worker.drain(until)
            finally:  # threads may be available again later: flush() is not the end
                dispatcher.inline, dispatcher.until = before
        finally:
            self._draining.release()
        return True

    # ── Ending ──

    def left_of(self, ending: Ending) -> float:
        """The seconds that *ending* still allows, as far as is known now."""
        return ending.deadline(self.ledger.last_success, self.dispatcher.held_until) - self._clock()

    def before_exit(self) -> None:
        """Start the threads that the waiting items may need, since soon none can be started."""
        waiting = self.ledger.in_memory + len(self.queue)
        if waiting > 1:
            self.dispatcher.make_ready(waiting)

    @property
    def has_waiting(self) -> bool:
        """Whether anything waits in memory."""
        return len(self.queue) > 0 or self.ledger.in_memory > 0

    def end(
        self, ending: Ending, on_wait: Callable[[int], object] = lambda left: None, *, quiet: bool = False
    ) -> bool:
        """Accept nothing more, deliver for as long as *ending* allows, and drop the rest.

        Returns false if an item was dropped. *on_wait* is called periodically with the number of items that are left.
        With *quiet*, dropped items are not logged.
        """

        def until() -> float:
            return self._clock() + self.left_of(ending)

        self.queue.closed = True
        # A process that captured nothing does not open the store just to end.
        used = len(self.queue) > 0 or self.ledger.has_taken
        checkpoint = self._checkpoint_of(used)
        while not self.worker.alive and not self.ledger.is_past(checkpoint) and until() > self._clock():
            if self._drain(until):  # false while a thread in flush() does it
                break
        self.dispatcher.until = until
        self.queue.wake_worker()
        settled = self._ended(checkpoint, until, on_wait)
        # A thread that was about to append when the queue was closed has done so by now. No other thread can.
        while settled and not self.ledger.is_past(checkpoint := self._checkpoint_of(used)):
            settled = self._ended(checkpoint, until, on_wait)
        self.dispatcher.stop()
        self.worker.stop(then=self._close)
        # If several trackers end with the process and have no time left, they share one grace period.
        grace = max(0.0, min(_GRACE, until() + _GRACE - self._clock()))
        # Requests in flight are being cut off, or were sent a moment ago: wait for their outcomes.
        if self.worker.alive and (self.ledger.in_memory or not settled):
            self.dispatcher.join(1.0 if settled else grace)
        lost = self.ledger.end("shutdown")
        if settled or self.store.durable:  # so that the store's files are closed
            self._join(1.0 if settled else grace)
        if not self.worker.alive:
            self._close()
        if lost and not quiet:
            log(
                logging.WARNING,
                "%s could not be delivered in the %.1f s that shutdown waited; dropped and counted. See "
                "shutdown_timeout and shutdown_limit, or keep what waits on disk with spool=.",
                "1 item" if lost == 1 else f"{lost} items",
                self._clock() - ending.began,
            )
        if self._inspecting is not None:
            self._inspecting.close(until() - self._clock())
        return not lost and (settled or self.store.durable)

    def _checkpoint_of(self, used: bool) -> Checkpoint:
        return self.waiting.checkpoint(delivered=self.store.is_open or used)

    def _ended(self, checkpoint: Checkpoint, until: Callable[[], float], on_wait: Callable[[int], object]) -> bool:
        """Wait for *checkpoint*. Returns false if the time that *until* returns passes first."""
        while True:
            left = until() - self._clock()
            if self.ledger.wait(checkpoint, min(LOOK, left) if self.worker.alive else 0.0):
                return True
            if left <= 0 or not self.worker.alive:
                return False
            on_wait(self.ledger.in_memory + len(self.queue))

    def _join(self, timeout: float) -> None:
        self.worker.join(timeout)
        self.dispatcher.join(timeout)

    def _close(self) -> None:
        for way in self.dispatcher.ways:
            way.transport.close()
        self.store.close()
        if self.unchanged is not None:
            self.unchanged.close()

    def retire(self, then: Callable[[], object]) -> None:
        """Accept nothing more, deliver what waits, then stop and call *then*. Returns without waiting."""
        self.queue.closed = True
        # In any case: a thread that found the queue open may yet append its item and start the worker.
        self.worker.retire(then=lambda: self._retired(then))
        if len(self.queue):
            try:
                self.worker.start()  # does nothing if there is a worker
            except Exception as error:  # noqa: BLE001 - configure() has succeeded: the next tracker is in place
                log_not_woken(error)
        elif not self.worker.alive:
            self._stop_inspecting()
            then()

    def _retired(self, then: Callable[[], object]) -> None:
        self.dispatcher.stop()
        self.dispatcher.join(self._timeout)
        self.ledger.end("closed")  # counts what arrived while it was closing
        self._close()
        self._stop_inspecting()
        then()

    def _stop_inspecting(self) -> None:
        if self._inspecting is not None:
            self._inspecting.close()

    # ── Numbers ──

    def stats(self) -> Stats:
        """Return a consistent snapshot of all counts, with what the pace allows."""
        return replace(self.signs.stats(), carriers_refused=self.queue.carriers_refused.read())

    def numbers(self) -> tuple[Stats, Health]:
        """Return a consistent snapshot of stats and health, without the delays: cheap enough for frequent reads."""
        self.worker.look_for_a_pause()
        stats = self.signs.stats(delays=False)
        return stats, self.signs.health(closed=self.queue.closed, stats=stats)

    def health(self) -> Health:
        """Return whether delivery works, and why not."""
        self.worker.look_for_a_pause()  # the worker may not have run a turn since the pause
        return self.signs.health(closed=self.queue.closed)


def mark_internal() -> None:
    """Mark this thread as the library's own, so that nothing captured in it is tracked."""
    set_frame(INTERNAL)
