"""The engine of a tracker: what belongs to one process, put together, and ended."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Protocol, TypedDict

from journy_track import _process
from journy_track._capture.context import INTERNAL, set_frame
from journy_track._capture.queue import BoundedQueue
from journy_track._delivery.budget import Budget, budget_of
from journy_track._delivery.circuit import State
from journy_track._delivery.dispatcher import Dispatcher, Transport
from journy_track._delivery.ledger import Ledger, Mark
from journy_track._delivery.notices import Notices
from journy_track._delivery.preparing import Preparer
from journy_track._delivery.publishing import Publisher
from journy_track._delivery.retry import backoff
from journy_track._delivery.worker import STALL, Worker
from journy_track._model.broker import Broker
from journy_track._model.clock import monotonic
from journy_track._model.config import Config
from journy_track._model.forks import importing, unforked_lock
from journy_track._model.logs import say
from journy_track._model.numbers import Health
from journy_track._model.secret import Secret
from journy_track._transport.brokers import broker_at
from journy_track._transport.http import HttpTransport, requests_client

if TYPE_CHECKING:
    from journy_track._delivery.spooling import Spool

#: Seconds after which who waits for the worker looks whether it still lives.
_LOOK = 1.0
#: Seconds between two questions to a broker.
_ASK = 0.2


class Closing(Protocol):
    """What is closed at the end."""

    def close(self) -> None: ...


class _Common(TypedDict):
    clock: Callable[[], float]
    ring: Callable[[], None]
    inside: Callable[[], object]
    wait_before: Callable[[int], float]
    inline: bool


class Engine:
    """A queue, its worker, its connections. A forked child gets its own.

    *clock*, *wall* (the second since the epoch), *budget* and *wait_before* (seconds before an attempt) are time
    and randomness, handed in. With *inline* there is no thread: whoever made the engine runs the worker's turns.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
        transport: Transport | None = None,
        budget: Budget | None = None,
        wait_before: Callable[[int], float] = backoff,
        inline: bool = False,
    ) -> None:
        # Here, and not by the worker when it sends.
        with importing:
            from journy_track._model import tracing  # noqa: F401

        self._clock = clock
        self._timeout = config.timeout
        self._notices = notices = Notices(clock)
        self.queue = BoundedQueue(config.queue_size, config.queue_bytes)
        self.ledger = Ledger(self.queue, clock)
        self._broker = None if config.broker is None else broker_at(config.broker)
        common: _Common = {
            "clock": clock,
            "ring": self.queue.ring,
            "inside": inside,
            "wait_before": wait_before,
            "inline": inline,
        }
        self.transport: Closing
        self.dispatcher: Dispatcher | Publisher
        if self._broker is not None:
            self.transport = self._broker
            self.dispatcher = Publisher(config, self._broker, self.ledger, notices, **common)
        else:
            self.transport = http = transport or transport_of(config)
            budget = budget or budget_of(config.base_url, _key(config), config.share)
            self.dispatcher = Dispatcher(config, http, self.ledger, notices, budget, **common)
        self.spool = None if config.spool is None else self._spool(config, config.spool, notices, clock, wall)
        self.worker = Worker(
            self.queue,
            Preparer(config, notices),
            self.dispatcher,
            self.ledger,
            notices,
            inside=inside,
            on_start=_process.first_capture,
            clock=clock,
            spool=self.spool,
        )
        if inline:
            self.queue.with_worker()

    def _spool(
        self,
        config: Config,
        path: Path,
        notices: Notices,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> Spool:
        # What brings in SQLite is imported where it is used.
        with importing:
            from journy_track._delivery.spooling import Spool
            from journy_track._spool.folder import Folder
            from journy_track._spool.keys import RefusedKey

        spool = Spool(
            Folder(path, config.base_url, unforked_lock),
            RefusedKey(path, config.base_url, _key(config)),
            self.ledger,
            self.dispatcher,
            notices,
            limit=config.spool_limit,
            window=config.queue_size // 2,
            on_open=lambda quiet: self.dispatcher.remember(spool, quiet),
            clock=clock,
            wall=wall,
        )
        return spool

    def resume(self) -> None:
        """Deliver what processes that have ended left in the spool, also where nothing is captured here.

        A process that forks afterwards goes on with it, for as long as it lives; its children have engines of
        their own.
        """
        if self.spool is not None and self.spool.has_orphans():
            self.worker.start()

    # ── Waiting ──

    def _mark(self, *, delivered: bool) -> Mark:
        mark = self.ledger.mark()
        return self.spool.beyond(mark) if delivered and self.spool is not None else mark

    def flush(self, seconds: float, *, delivered: bool = False) -> bool:
        """Wait until everything captured so far is settled or safe on disk; false when *seconds* were not enough.

        With *delivered* neither the disk nor the broker is enough.
        """
        deadline = self._clock() + seconds
        if not self._settled(self._mark(delivered=delivered), deadline):
            return False
        while delivered and not self._has_left_the_broker(deadline - self._clock()):
            if self._clock() >= deadline:
                return False
            threading.Event().wait(_ASK)
        return True

    def _settled(self, mark: Mark, deadline: float) -> bool:
        if self.ledger.wait_settled(mark, 0.0):
            return True
        while self._clock() < deadline:
            if not self.worker.alive:
                self.worker.start()
            if not self.worker.alive and not self.queue.closed:
                self.worker.drain(deadline)
            self.queue.ring()
            if self.ledger.wait_settled(mark, min(max(0.0, deadline - self._clock()), _LOOK)):
                return True
        return False

    async def aflush(self, seconds: float, *, delivered: bool = False) -> bool:
        """As `flush()`, without blocking the event loop."""
        deadline = self._clock() + seconds
        if not await self._settled_async(self._mark(delivered=delivered), deadline):
            return False
        while delivered and not await asyncio.to_thread(self._has_left_the_broker, deadline - self._clock()):
            if self._clock() >= deadline:
                return False
            await asyncio.sleep(_ASK)
        return True

    async def _settled_async(self, mark: Mark, deadline: float) -> bool:
        if self.ledger.wait_settled(mark, 0.0):
            return True
        loop = asyncio.get_running_loop()
        settled = asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(settled.set)

        self.ledger.when_settled(mark, tell)
        try:
            while (left := deadline - self._clock()) > 0:
                if not self.worker.alive:
                    self.worker.start()
                self.queue.ring()
                with suppress(TimeoutError):
                    await asyncio.wait_for(settled.wait(), min(left, _LOOK))
                    return True
            return False
        finally:
            self.ledger.forget(tell)

    def _has_left_the_broker(self, seconds: float) -> bool:
        """Whether journy.io has all that was published. No answer in *seconds*, of a hung broker, is a no."""
        if self._broker is None:
            return True
        answers: list[bool] = []
        asking = threading.Thread(
            target=self._ask_the_broker, args=(self._broker, answers), name="journy_track asks", daemon=True
        )
        try:
            asking.start()
        except RuntimeError:  # no new threads
            return False
        asking.join(max(0.0, seconds))
        return answers == [True]

    def _ask_the_broker(self, broker: Broker, answers: list[bool]) -> None:
        inside()
        try:
            answers.append(broker.is_empty())
        except Exception as error:  # noqa: BLE001 - a broker of the app's own may raise anything
            self._notices.say("is_empty", "the broker does not say what waits: %s", type(error).__name__)

    # ── Ending ──

    def end(self, deadline: float) -> bool:
        """Take nothing more, deliver until *deadline*, drop the rest; false when something had to be dropped."""
        seconds = max(0.0, deadline - self._clock())
        self.queue.closed = True
        self.worker.hurry(deadline)
        # A process that captured nothing does not open the spool in order to end.
        used = len(self.queue) > 0 or self.ledger.has_taken
        mark = self._mark(delivered=self.spool is not None and (self.spool.tried or used))
        if self.worker.alive:
            settled = self.ledger.wait_settled(mark, max(0.0, deadline - self._clock()))
        else:
            if not mark():
                self.worker.drain(deadline)
            settled = self.ledger.wait_settled(mark, 0.0)
        self.worker.stop(then=self._close)
        lost = self.ledger.end("shutdown")
        if settled or self.spool is not None:  # its files are closed rather than left
            # Of several trackers at the end of the process, those without time share one moment of grace.
            self.worker.join(1.0 if settled else max(0.0, min(0.2, deadline + 0.2 - self._clock())))
        if not self.worker.alive:
            self._close()
        if lost:
            say(
                logging.WARNING,
                "%d items could not be delivered before the end (%.1f s): dropped and counted",
                lost,
                seconds,
            )
        return not lost and (settled or self.spool is not None)

    def _close(self) -> None:
        self.transport.close()
        if self.spool is not None:
            self.spool.close()

    def retire(self, then: Callable[[], object]) -> None:
        """Take nothing more, deliver what waits, then stop, and call *then*. Does not wait."""
        self.queue.closed = True
        if self.worker.alive:
            self.worker.retire(then=lambda: self._retired(then))
        elif not len(self.queue):
            then()

    def _retired(self, then: Callable[[], object]) -> None:
        self.dispatcher.stop()
        self.dispatcher.join(self._timeout)
        self.ledger.end("closed")  # what came while it was closing
        self._close()
        then()

    # ── Numbers ──

    def health(self) -> Health:
        """Whether delivery works."""
        age, success = self.ledger.waiting()
        circuit = self.dispatcher.circuit
        why: str | None = None
        if self.queue.closed:
            why = "shut down"
        elif circuit is State.OPEN:
            why = "the API key is refused"
        elif suspended := self.dispatcher.suspended:
            why = f"the API key lacks the permission for {' and '.join(suspended)}: such items are given up"
        elif (lost := self.ledger.losing(STALL)) is not None:
            why = f"items were given up and nothing was delivered within {STALL:.0f} s; the last: {lost}"
        elif (stalled := self.ledger.stalled(STALL)) is not None:
            why = f"items wait for {stalled:.0f} s and nothing was delivered in the meantime"
        return Health(why is None, why, age, success, str(circuit))


def transport_of(config: Config) -> HttpTransport:
    """The API over HTTP, with these settings."""
    make_client = partial(requests_client, config.max_connections)
    return HttpTransport(_key(config), config.base_url, config.timeout, config.http_client, make_client)


def _key(config: Config) -> Secret:
    key = config.usable_key
    assert key is not None, "a tracker without a key has no engine"
    return key


def inside() -> None:
    """What runs here from now on is ours, and not tracked."""
    set_frame(INTERNAL)
