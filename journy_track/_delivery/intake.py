"""The intake turns what was captured into jobs, in batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from journy_track._delivery.inspecting import Inspecting
from journy_track._delivery.ledger import Ledger
from journy_track._delivery.preparing import Dropped, Preparer, Throttled
from journy_track._model.captured import Captured
from journy_track._model.errors import without_values
from journy_track._model.items import Event
from journy_track._model.notices import Notices
from journy_track._stores.store import Job

#: The maximum number of items taken from the queue at once.
MAX_TAKEN = 500


class Intake:
    """Takes captures from *ledger* and lets *preparer* turn them into items. For the worker's thread.

    *inspecting* is also notified of what is dropped.
    """

    def __init__(
        self,
        ledger: Ledger,
        preparer: Preparer,
        notices: Notices,
        clock: Callable[[], float],
        inspecting: Inspecting | None = None,
    ) -> None:
        self._ledger = ledger
        self._preparer = preparer
        self._notices = notices
        self._clock = clock
        self._inspecting = inspecting
        #: What was taken but is not prepared yet, and what is prepared. A worker that dies leaves both to the next.
        self._taken: deque[tuple[Job, Captured]] = deque()
        self._jobs: list[Job] = []
        #: The clock time at which an item was last taken.
        self.last_traffic = clock()

    def take(self) -> list[Job]:
        """Return the next captured items as jobs; an empty list if nothing was captured."""
        while not self._jobs:
            if not self._taken:
                self._taken.extend(self._ledger.take(MAX_TAKEN))
                if not self._taken:
                    return []
                self.last_traffic = self._clock()
            while self._taken:
                job, captured = self._taken.popleft()
                if self._prepare(job, captured):
                    self._jobs.append(job)
        jobs, self._jobs = self._jobs, []
        return jobs

    def _prepare(self, job: Job, captured: Captured) -> bool:
        """Make the item of *job*. Returns false if it was dropped or throttled instead."""
        try:
            job.item = self._preparer.prepare(captured)
        except Dropped as dropped:
            if self._inspecting is None:
                self._log(captured, dropped)
            else:
                self._inspecting.captured_dropped(captured, dropped.reason, str(dropped))
                with self._inspecting.logging_a_drop():
                    self._log(captured, dropped)
            self._ledger.settle(job, "dropped", dropped.reason)
        except Throttled:
            self._ledger.settle(job, "throttled")
        except Exception as error:  # noqa: BLE001 - counted and logged
            self._notices.log(
                "internal",
                "an item could not be prepared: %s. It is dropped and counted as internal_error. Please report this.",
                type(error).__name__,
            )
            self._ledger.settle(job, "dropped", "internal_error")
        except BaseException:  # a Ctrl-C while exit drains in the main thread
            self._ledger.settle(job, "dropped", "internal_error")
            raise
        return job.item is not None

    def _log(self, captured: Captured, dropped: Dropped) -> None:
        if str(dropped):
            about = captured.subject if captured.kind is Event else captured.kind.operation
            self._notices.log(
                ("dropped", about, str(dropped)),
                "dropped and counted as %s: %s",
                dropped.reason,
                without_values(str(dropped)),
            )
