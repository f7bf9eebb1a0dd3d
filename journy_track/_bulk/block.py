"""`bulk()`: a block in which calls wait for room in the queue instead of dropping items."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from journy_track._bulk.report import Report, report_of
from journy_track._bulk.showing import Nothing, Showing, showing_of
from journy_track._capture.room import waiters, why_not_to_wait
from journy_track._model.clock import monotonic
from journy_track._model.errors import JournyError
from journy_track._model.logs import log
from journy_track._model.numbers import Health, Stats

#: Seconds between two checks for room, and between two checks of the progress.
_ROOM, _LOOK = 0.05, 0.25
#: If the progress was not checked for this many seconds, no caller was waiting, and the time is not a stall.
_UNWATCHED = 2.0
#: Seconds without a settled item after which a block stops waiting.
PATIENCE = 600.0
#: How to continue after a block was stopped.
_GO_ON = (
    "Delivery continues until the process ends. To send the rest, run it again; with "
    "sync_accounts(), sync_users() or skip_unchanged_state=, what journy.io confirmed is not sent again."
)


class WaitedFor(Protocol):
    """What a block needs from a tracker."""

    def flush(self, timeout: float | None = None, *, delivered: bool = False) -> bool: ...
    def stats(self) -> Stats: ...
    def health(self) -> Health: ...
    def owns(self, queue: object) -> bool: ...

    @property
    def hands_over(self) -> bool: ...


class Bulk:
    """In this block, calls wait for room instead of dropping items. Leaving it waits until everything is delivered.

    `journy_track.bulk()` and `Tracker.bulk()` create it.
    """

    def __init__(
        self,
        tracker: Callable[[], WaitedFor | None],
        patience: float = PATIENCE,
        name: str = "bulk()",
        go_on: str = _GO_ON,
    ) -> None:
        self._name = name
        self._go_on = go_on
        self._tracker_of = tracker
        self._patience = patience
        self._tracker: WaitedFor | None = None
        self._showing: Showing = Nothing()
        self._pid = os.getpid()
        self._looking = threading.Lock()
        self._before = Stats()
        self._began = self._looked_at = self._settled_at = 0.0
        self._settled = 0
        self._report: Report | None = None
        #: Why it no longer waits: nothing was settled for too long, the key is refused, or Ctrl-C; `None` if it does.
        self.stopped: str | None = None

    @property
    def report(self) -> Report:
        """What became of the captured items; inside the block, so far."""
        if self._report is not None or self._tracker is None:
            return self._report or Report()
        return report_of(self._before, self._tracker.stats(), monotonic() - self._began, self.stopped)

    def __enter__(self) -> Self:
        why = why_not_to_wait()
        if why is not None:
            raise JournyError(f"{self._name} blocks, and must not be used {why}")
        self._tracker = self._tracker_of()
        self._report, self.stopped, self._pid = None, None, os.getpid()
        self._began = self._looked_at = self._settled_at = monotonic()
        outer = waiters.get()
        if self._tracker is not None:
            self._before = self._tracker.stats()
            self._showing = showing_of(lambda: self.report) if not outer else Nothing()
        waiters.set((self, *outer))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        waiters.set(tuple(waiter for waiter in waiters.get() if waiter is not self))
        if self._tracker is None or self._pid != os.getpid():  # a forked child delivers its own items when it ends
            return
        try:
            if kind is None:
                self._wait_until_delivered(self._tracker)
            elif issubclass(kind, KeyboardInterrupt):
                self.stopped = "Ctrl-C"
        except KeyboardInterrupt:
            self.stopped = "Ctrl-C"
            raise
        finally:
            self._showing.close()
            report = self._report = self.report
            if self.stopped is not None:
                self._log_how_to_go_on(report)
            elif kind is None and report.ok:
                log(logging.INFO, "%s: %s", self._name, report)
            elif kind is None:
                log(logging.WARNING, "%s: not everything was delivered: %s", self._name, report)

    def _wait_until_delivered(self, tracker: WaitedFor) -> None:
        # Items in a broker are delivered by the relay, and this process does not learn of it.
        while not tracker.flush(_LOOK, delivered=not tracker.hands_over):
            if not self._goes_on(tracker):
                return

    def wait_for_room(self, queue: Any, extra: int, /) -> bool:
        """Wait until *queue* has room for an item charged *extra*. Returns false if it must not wait or gives up."""
        tracker = self._tracker
        if tracker is None or not tracker.owns(queue) or self.stopped is not None or why_not_to_wait() is not None:
            return False
        while not queue.has_room(extra):
            # A flush also delivers items if no thread can be started. Items in a spool may be safe and still take up
            # room here until they are delivered.
            if tracker.flush(_ROOM) and not queue.has_room(extra):
                threading.Event().wait(_ROOM)
            if not self._goes_on(tracker):
                return bool(queue.has_room(extra))
        return True

    def _goes_on(self, tracker: WaitedFor) -> bool:
        """Return whether to keep waiting. Every `_LOOK` seconds, check the progress and update the display."""
        now = monotonic()
        if now - self._looked_at < _LOOK or not self._looking.acquire(blocking=False):
            return self.stopped is None
        try:
            stats = tracker.stats()
            settled = stats.captured + stats.adopted - stats.queued - stats.spooled - stats.in_flight
            if settled != self._settled or now - self._looked_at > _UNWATCHED:
                self._settled, self._settled_at = settled, now
            self._looked_at = now
            if now - self._settled_at >= self._patience:
                self.stopped = f"nothing was settled for {self._patience:g} s"
            elif tracker.health().circuit == "open":
                self.stopped = "the key is refused"
            self._showing.look(now - self._began)
        finally:
            self._looking.release()
        return self.stopped is None

    def _log_how_to_go_on(self, report: Report) -> None:
        log(
            logging.WARNING,
            "%s stopped before everything was delivered (%s): %s. %s",
            self._name,
            self.stopped,
            report,
            self._go_on,
        )
