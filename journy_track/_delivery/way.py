"""A way: one transport with its pace, circuit and requests in flight. Several ways may serve one outbox."""

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
    """What the dispatcher knows about one transport. The dispatcher's lock guards it.

    *connections* is the maximum number of requests in flight. *linger* is how many seconds a job waits for others to
    join its request.
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
        #: Its index among the ways of its dispatcher, which sets this and `outages`.
        self.number = 0
        self.outages: OutageLog
        self.in_flight = 0
        #: The clock time at which the last request began.
        self.began_at = -math.inf
        #: Whether the last response shows that the server accepts items, or would if the key's budget allowed it.
        self.takes_items = False
        #: The moving average of the response time in seconds over about the last eight; `None` before the first.
        self.latency: float | None = None

    def ended(self, took: float, outcome: JobOutcome | None) -> None:
        """Record that a request ended after *took* seconds."""
        self.in_flight -= 1
        self.latency = took if self.latency is None else self.latency + (took - self.latency) / 8
        response = None if outcome is None else outcome.response
        self.takes_items = isinstance(outcome, (Delivered, Published)) or (
            response is not None and response.status == 429
        )

    def judge(self, outcome: JobOutcome | None) -> Outcome | None:
        """Update the circuit where jobs themselves try the key. Returns a verdict if it should be logged."""
        circuit = self.circuit
        if not circuit.on_trial and (circuit.try_at is not None or not isinstance(outcome, Unauthorized)):
            return None
        if isinstance(outcome, (Rejected, Split, Unsendable)) and outcome.response is not None:
            outcome = Delivered(outcome.response)  # the jobs may be invalid, but the key is accepted
        verdict = outcome if isinstance(outcome, (Delivered, Unauthorized)) else None
        return verdict if circuit.end_trial(verdict) else None
