"""A way: one transport with its pace, its circuit and its requests in flight. Several may serve one outbox."""

from __future__ import annotations

import math
from collections.abc import Callable

from journy_track._delivery.budget import Budget, Unlimited
from journy_track._delivery.circuit import Circuit
from journy_track._delivery.reports import OutageLog
from journy_track._delivery.transport import Transport
from journy_track._model.outcomes import (
    Delivered,
    JobOutcome,
    Outcome,
    Published,
    Rejected,
    Split,
    Unauthorized,
    Unsendable,
)


class Way:
    """What the dispatcher knows of one transport. Its lock guards all of it.

    *connections*: requests in flight at once, at most. *linger*: seconds for which a job waits for others to go with.
    """

    def __init__(
        self,
        transport: Transport,
        budget: Budget | Unlimited,
        *,
        connections: int,
        clock: Callable[[], float],
        linger: float = 0.0,
    ) -> None:
        self.transport = transport
        self.budget = budget
        self.connections = connections
        self.linger = linger
        self.circuit = Circuit(clock)
        #: Its place among the ways of its dispatcher, which makes the log, too.
        self.number = 0
        self.outages: OutageLog
        self.in_flight = 0
        #: When the last request began.
        self.began_at = -math.inf
        #: Whether the last response was one of a server that takes items, or would if the key's budget allowed it.
        self.takes_items = False
        #: Seconds that a response takes, of about the last eight; `None` before the first.
        self.latency: float | None = None

    def ended(self, took: float, outcome: JobOutcome | None) -> None:
        """A request has ended after *took* seconds."""
        self.in_flight -= 1
        self.latency = took if self.latency is None else self.latency + (took - self.latency) / 8
        response = None if outcome is None else outcome.response
        self.takes_items = isinstance(outcome, (Delivered, Published)) or (
            response is not None and response.status == 429
        )

    def judge(self, outcome: JobOutcome | None) -> Outcome | None:
        """Where jobs are what tries the key: follow what became of them. Returns an outcome that is worth a line."""
        circuit = self.circuit
        if not circuit.on_trial and (circuit.try_at is not None or not isinstance(outcome, Unauthorized)):
            return None
        if isinstance(outcome, (Rejected, Split, Unsendable)) and outcome.response is not None:
            outcome = Delivered(outcome.response)  # whatever is wrong with the jobs, the key is not
        verdict = outcome if isinstance(outcome, (Delivered, Unauthorized)) else None
        return verdict if circuit.end_trial(verdict) else None
