"""`flush()` and `aflush()`, which wait until everything captured so far is settled."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from journy_track._delivery.ledger import Checkpoint, Ledger
from journy_track._delivery.worker import Worker
from journy_track._model.broker import Broker
from journy_track._model.loops import in_asyncio, in_thread
from journy_track._model.notices import Notices
from journy_track._stores.store import Store

#: Seconds between two checks, during a wait, that the worker's thread is still running.
_LOOK = 1.0
#: The same while another thread runs the turns, because there is no worker.
DRAIN_LOOK = 0.05
#: Seconds between two calls of `Broker.is_empty`.
_ASK = 0.2


class Waiting:
    """Waits for checkpoints of *ledger*. *drain* runs turns in this thread if the worker cannot be started."""

    def __init__(
        self,
        ledger: Ledger,
        store: Store,
        worker: Worker,
        broker: Broker | None,
        notices: Notices,
        *,
        wake: Callable[[], None],
        drain: Callable[[Callable[[], float]], object],
        mark_internal: Callable[[], object],
        clock: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._worker = worker
        self._broker = broker
        self._notices = notices
        self._wake = wake
        self._drain = drain
        self._mark_internal = mark_internal
        self._clock = clock

    def checkpoint(self, *, delivered: bool) -> Checkpoint:
        """Return a checkpoint for everything captured so far and, with *delivered*, for what the store keeps."""
        checkpoint = self._ledger.checkpoint()
        return (
            checkpoint._replace(stored=self._store.checkpoint()) if delivered and self._store.durable else checkpoint
        )

    def flush(self, seconds: float, *, delivered: bool = False) -> bool:
        """Wait until everything captured so far is settled or safe on disk. Returns false after *seconds* otherwise.

        With *delivered*, items on disk or in the broker also have to be delivered.
        """
        deadline = self._clock() + seconds
        if not self._settled(self.checkpoint(delivered=delivered), deadline):
            return False
        while delivered and not self._has_left_the_broker(deadline - self._clock()):
            if self._clock() >= deadline:
                return False
            threading.Event().wait(_ASK)
        return True

    def _settled(self, checkpoint: Checkpoint, deadline: float) -> bool:
        if self._ledger.is_past(checkpoint):
            return True
        while self._clock() < deadline:
            if not self._worker.alive:
                self._worker.start()
            look = _LOOK
            if not self._worker.alive:
                self._drain(lambda: deadline)
                look = DRAIN_LOOK
            if self._ledger.wait(checkpoint, min(max(0.0, deadline - self._clock()), look), self._wake):
                return True
        return False

    async def aflush(self, seconds: float, *, delivered: bool = False) -> bool:
        """Like `flush()`, but does not block the event loop, whichever async library runs it."""
        if not in_asyncio():
            return await in_thread(lambda: self.flush(seconds, delivered=delivered))
        deadline = self._clock() + seconds
        if not await self._settled_async(self.checkpoint(delivered=delivered), deadline):
            return False
        while delivered and not await asyncio.to_thread(self._has_left_the_broker, deadline - self._clock()):
            if self._clock() >= deadline:
                return False
            await asyncio.sleep(_ASK)
        return True

    async def _settled_async(self, checkpoint: Checkpoint, deadline: float) -> bool:
        if self._ledger.is_past(checkpoint):
            return True
        loop = asyncio.get_running_loop()
        settled = asyncio.Event()

        def callback() -> None:
            with suppress(RuntimeError):  # the loop was closed, so no caller waits any longer
                loop.call_soon_threadsafe(settled.set)

        self._ledger.add_done_callback(checkpoint, callback)
        try:
            while (left := deadline - self._clock()) > 0:
                if not self._worker.alive:
                    self._worker.start()
                look = _LOOK
                if not self._worker.alive:
                    await self._drain_async(deadline)
                    look = DRAIN_LOOK
                self._wake()
                with suppress(TimeoutError):
                    await asyncio.wait_for(settled.wait(), min(left, look))
                    return True
            return False
        finally:
            self._ledger.remove_done_callback(callback)

    async def _drain_async(self, deadline: float) -> None:
        if sys.platform != "emscripten":
            with suppress(RuntimeError):  # the system has no more threads
                await asyncio.to_thread(self._drain, lambda: deadline)
                return
        self._drain(lambda: deadline)  # this blocks the loop

    def _has_left_the_broker(self, seconds: float) -> bool:
        """Whether everything published has left the broker. False if it does not respond within *seconds*."""
        if self._broker is None:
            return True
        responses: list[bool] = []
        try:
            asking = threading.Thread(
                target=self._ask, args=(self._broker, responses), name="journy_track asks", daemon=True
            )
            asking.start()
        except RuntimeError:  # no new threads
            return False
        asking.join(max(0.0, seconds))
        return responses == [True]

    def _ask(self, broker: Broker, responses: list[bool]) -> None:
        self._mark_internal()
        try:
            responses.append(broker.is_empty())
        except Exception as error:  # noqa: BLE001 - a broker of the app's own may raise anything
            self._notices.log(
                "is_empty",
                "the broker's is_empty() raised %s: flush(delivered=True) cannot tell whether everything was "
                "delivered",
                type(error).__name__,
            )
