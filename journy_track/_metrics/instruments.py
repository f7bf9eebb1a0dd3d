"""The instruments: their names, and where their values come from.

The names follow OpenTelemetry's conventions for SDK metrics (`otel.sdk.processor.span.queue.size` and others, which
are in development), in our own namespace, as `otel` is reserved. As in those conventions, only lost items have an
`error.type`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from journy_track._model.numbers import Stats
from journy_track._model.outcomes import Deferred, JobOutcome, Published

#: The name, unit and description of the only histogram, and the upper bounds of its buckets in seconds.
DURATION: Final = ("journy.sdk.request.duration", "s", "The duration of one request to journy.io or to the broker.")
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

Attributes: TypeAlias = Mapping[str, str]
Measured: TypeAlias = Iterable[tuple[float, Attributes]]
_NONE: Attributes = {}
#: The fixed reasons for giving up, and a pattern for the HTTP status in the others.
_GIVEN_UP = ("max_age", "ambiguous", "missing permission")
_STATUS = re.compile(r"(?:^|^status |^a redirect \()([1-5]\d\d)\b")


class Reading(NamedTuple):
    """The values that all instruments read during one scrape.

    *oldest* is the age in seconds of the oldest waiting item, `None` if nothing waits. *capacity* is the maximum
    number of items in the queue, `None` for a relay, which has no queue.
    """

    stats: Stats
    is_ok: bool
    oldest: float | None
    is_refused: bool
    capacity: int | None = None


class Instrument(NamedTuple):
    """One metric. *read* returns its values with their attributes, or nothing if no value is known."""

    name: str
    kind: Literal["counter", "updowncounter", "gauge"]
    unit: str
    description: str
    read: Callable[[Reading], Measured]


def _one(number: float | None) -> Measured:
    return () if number is None else ((number, _NONE),)


def _processed(reading: Reading) -> Measured:
    stats = reading.stats
    for outcome in ("delivered", "published", "coalesced", "throttled"):
        yield getattr(stats, outcome), {"journy.outcome": outcome}
    given_up: Counter[str] = Counter()
    for reason, count in stats.given_up_for.items():
        given_up[_error_type(reason)] += count
    for outcome, reasons in (("given_up", given_up), ("dropped", stats.dropped)):
        for reason, count in reasons.items():
            yield count, {"journy.outcome": outcome, "error.type": reason}


def _error_type(reason: str) -> str:
    """Return *reason* without the server's own text, each variant of which would create a separate series."""
    if reason in _GIVEN_UP:
        return reason
    status = _STATUS.search(reason)
    return "rejected" if status is None else status[1]


def _circuit(reading: Reading) -> Measured:
    yield int(not reading.is_refused), {"journy.circuit.state": "closed"}
    yield int(reading.is_refused), {"journy.circuit.state": "open"}


INSTRUMENTS: Final = (
    Instrument(
        "journy.sdk.queue.size",
        "updowncounter",
        "{item}",
        "Items that wait in memory.",
        lambda reading: _one(reading.stats.queued),
    ),
    Instrument(
        "journy.sdk.queue.capacity",
        "updowncounter",
        "{item}",
        "Items that may be in memory at once, waiting or in flight.",
        lambda reading: _one(reading.capacity),
    ),
    Instrument(
        "journy.sdk.queue.oldest_age",
        "gauge",
        "s",
        "The time since the oldest waiting item was captured; 0 where none waits.",
        lambda reading: _one(reading.oldest or 0.0),
    ),
    Instrument(
        "journy.sdk.spool.size",
        "updowncounter",
        "{item}",
        "Items that a spool, or the broker that a relay reads from, keeps.",
        lambda reading: _one(reading.stats.spooled),
    ),
    Instrument(
        "journy.sdk.item.inflight",
        "updowncounter",
        "{item}",
        "Items in a request that has no response yet.",
        lambda reading: _one(reading.stats.in_flight),
    ),
    Instrument(
        "journy.sdk.item.captured",
        "counter",
        "{item}",
        "Items that this process captured.",
        lambda reading: _one(reading.stats.captured),
    ),
    Instrument(
        "journy.sdk.item.processed",
        "counter",
        "{item}",
        "Items that have ended, by outcome and, where they were lost, by reason.",
        _processed,
    ),
    Instrument(
        "journy.sdk.item.retried",
        "counter",
        "{attempt}",
        "Attempts beyond the first of an item.",
        lambda reading: _one(reading.stats.retried),
    ),
    Instrument(
        "journy.sdk.rate_limit.remaining",
        "gauge",
        "{request}",
        "Requests that the key has left in this minute, as journy.io last reported.",
        lambda reading: _one(reading.stats.calls_remaining),
    ),
    Instrument(
        "journy.sdk.rate_limit.limit",
        "gauge",
        "{request}",
        "Requests that the key may make a minute, as journy.io last reported.",
        lambda reading: _one(reading.stats.calls_limit),
    ),
    Instrument(
        "journy.sdk.circuit.status",
        "updowncounter",
        "{circuit}",
        "1 for the state that holds: open while the key is refused, else closed.",
        _circuit,
    ),
    Instrument(
        "journy.sdk.healthy",
        "gauge",
        "{tracker}",
        "1 while delivery works, as health().ok, else 0.",
        lambda reading: _one(int(reading.is_ok)),
    ),
)


def attributes_of(outcome: JobOutcome | None) -> dict[str, str | int] | None:
    """Return the attributes of a request with this outcome; `None` if no request was made."""
    response = None if outcome is None else outcome.response
    if response is not None:
        attributes: dict[str, str | int] = {"http.response.status_code": response.status}
        if response.status >= 400:
            attributes["error.type"] = str(response.status)
        return attributes
    if isinstance(outcome, Deferred):
        return {"error.type": "timeout" if outcome.timed_out else "connection"}
    return {} if isinstance(outcome, Published) else None
