"""`health()`, `stats()`, and the log messages while items wait or are refused."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from journy_track._delivery.budget import Unlimited
from journy_track._delivery.dispatcher import Dispatcher
from journy_track._delivery.ledger import Ledger
from journy_track._model.notices import Notices
from journy_track._model.numbers import Health, Stats

#: Seconds between two checks. Each takes locks, and there are 20 turns per second.
LOOK = 0.5
#: Seconds that the oldest item has to wait before the reason is logged.
HELD = 10.0
#: Seconds without any success, while items wait, after which an error is logged.
STALL = 60.0


class Signs:
    """Reports on the *ledger* and the *dispatcher*. *refused* returns the counts of what the queue did not accept."""

    def __init__(
        self,
        ledger: Ledger,
        dispatcher: Dispatcher,
        notices: Notices,
        *,
        refused: Callable[[], dict[str, int]],
        max_delay: float,
        clock: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._notices = notices
        self._refused = refused
        self._max_delay = max_delay
        self._clock = clock
        self._logged_refused: dict[str, int] = {}
        self._look_at = clock()

    def look(self) -> None:
        """Log problems, at most once every `LOOK` seconds."""
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + LOOK
        self._log_refused()
        stalled = self._ledger.stalled(STALL)
        if stalled is not None:
            self._notices.log(
                "stall",
                "items have been waiting for %.0f s and nothing was delivered meanwhile: see health() and the lines "
                "above.",
                stalled,
                level=logging.ERROR,
                counts=False,
            )
        waits = self._ledger.delayed(HELD)
        if waits is not None:
            self._dispatcher.explain(waits)

    def _log_refused(self) -> None:
        refused = self._refused()
        for reason, count in refused.items():
            if count > self._logged_refused.get(reason, 0) and reason in _REFUSED:
                self._notices.log(("refused", reason), _REFUSED[reason], count)
        self._logged_refused = refused

    def stats(self, *, delays: bool = True) -> Stats:
        """Return a consistent snapshot of all counts, with what the pace allows. *delays* is as in `Ledger.stats`."""
        stats = self._ledger.stats(delays=delays)
        budgets = [way.budget for way in self._dispatcher.ways]
        if isinstance(budgets[0], Unlimited):
            return stats
        rate, waiting = budgets[-1].rate, stats.queued + stats.spooled
        paced = waiting if len(budgets) == 1 else self._dispatcher.waiting_last  # batches have no rate
        return replace(
            stats,
            own_requests=sum(budget.used[0] for budget in budgets),
            granted_rate=rate,
            seconds_to_drain=(paced / rate if rate else None) if waiting else 0.0,
            waits_for=self._dispatcher.waits_for() if waiting else None,
        )

    def health(self, *, closed: bool, stats: Stats | None = None) -> Health:
        """Return whether delivery works. *closed*: the tracker was shut down. *stats*: a current snapshot, if any."""
        stats = self.stats() if stats is None else stats
        age, success = self._ledger.ages()
        why = "shut down" if closed else self._trouble()
        return Health(
            why is None,
            why,
            age,
            success,
            str(self._dispatcher.circuit),
            delay_p50=stats.delay_p50,
            delay_p99=stats.delay_p99,
            waits_for=stats.waits_for,
            seconds_to_drain=stats.seconds_to_drain if stats.waits_for else None,
            own_requests=stats.own_requests,
            calls_remaining=stats.calls_remaining,
            calls_limit=stats.calls_limit,
            granted_rate=stats.granted_rate,
            responses=stats.responses,
        )

    def _trouble(self) -> str | None:
        if (key := self._dispatcher.refused_key) is not None:
            return f"the {key} is refused"
        if suspended := self._dispatcher.suspended:
            return f"the API key lacks the permission for {' and '.join(suspended)}: such items are given up"
        if (lost := self._ledger.losing(STALL)) is not None:
            return f"items were given up within the last {STALL:.0f} s; the last: {lost}"
        if (stalled := self._ledger.stalled(STALL)) is not None:
            return f"items have been waiting for {stalled:.0f} s and nothing was delivered meanwhile"
        if (delayed := self._ledger.delayed(self._max_delay)) is not None:
            return f"the oldest item waits for {delayed:.0f} s, and max_delay is {self._max_delay:g} s"
        return None


_REFUSED = {
    "waiting_room_full": "%d items were dropped so far: too many in one request were waiting for its user to be "
    "known. Call set_user() earlier, or pass user=.",
    "queue_full": "the queue is full: %d items were dropped so far, always the newest. journy.io may be "
    "unreachable, or the key's rate limit too low; see queue_size, queue_bytes and stats().",
    "own_code": "%d items so far were captured in journy_track's own threads or hooks, and dropped: tracking "
    "them would loop. Do not track in before_send, on_error or the HTTP client.",
}
