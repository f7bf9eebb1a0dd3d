"""A tracker's numbers: counts of items by outcome, the latest settled items, and whether delivery works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from journy_track._model.frozendict import FrozenDict


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts since the tracker was created, in this process.

    Each item, *captured* here or *adopted* from the spool of a process that ended, is in exactly one of *delivered*,
    *published* (passed to a broker), *dropped* (by reason), *throttled* (`at_most_every`), *coalesced* (merged into
    another, or identical to one that journy.io has), *given_up*, *queued* (in memory), *spooled* (waiting on disk)
    and *in_flight*.

    *unchanged* counts the coalesced items that journy.io already had (`skip_unchanged`), and *given_up_for* counts
    items that were given up, by reason, without details.

    *retried* counts attempts beyond the first. *calls_remaining* and *calls_limit* are the key's budget of
    requests per minute, as the API last reported; `None` before its first response.

    *responses* counts responses by HTTP status. *delay_p50* and *delay_p99* are the median and the 99th percentile of
    the seconds from capture to delivery, over the last five minutes; `None` if nothing was delivered. *own_requests*
    is the number of requests by this process in the last minute; the rest of `calls_limit - calls_remaining` came
    from other processes. *granted_rate* is how many requests per second this process may send now; `None` until it is
    known. *seconds_to_drain* is how long it takes to deliver the waiting items at that rate, and *waits_for* is why
    they wait: `"budget"`, `"outage"`, `"key"`, `"connections"`, or `"batch"` (until it is full); `None` if nothing
    waits.

    *carriers_refused* counts carriers that `extract()` refused because their signature was missing or wrong: see
    `carrier_secret`.
    """

    captured: int = 0
    adopted: int = 0
    delivered: int = 0
    published: int = 0
    coalesced: int = 0
    throttled: int = 0
    given_up: int = 0
    dropped: Mapping[str, int] = field(default_factory=FrozenDict)
    queued: int = 0
    spooled: int = 0
    in_flight: int = 0
    retried: int = 0
    calls_remaining: int | None = None
    calls_limit: int | None = None
    responses: Mapping[int, int] = field(default_factory=dict)
    delay_p50: float | None = None
    delay_p99: float | None = None
    own_requests: int = 0
    granted_rate: float | None = None
    seconds_to_drain: float | None = None
    waits_for: str | None = None
    carriers_refused: int = 0
    unchanged: int = 0
    given_up_for: Mapping[str, int] = field(default_factory=FrozenDict)


@dataclass(frozen=True, slots=True)
class Health:
    """Whether delivery works; if not, *reason* says why.

    *oldest_waiting* is the age of the oldest waiting item and *since_success* the time since the last delivery, in
    seconds; `None` if there is none.

    *circuit* is `"open"` while the API key is refused, otherwise `"closed"`. The other fields are those of `Stats`;
    *seconds_to_drain* is `None` if nothing is waiting.
    """

    ok: bool
    reason: str | None = None
    oldest_waiting: float | None = None
    since_success: float | None = None
    circuit: str = "closed"
    delay_p50: float | None = None
    delay_p99: float | None = None
    waits_for: str | None = None
    seconds_to_drain: float | None = None
    own_requests: int = 0
    calls_remaining: int | None = None
    calls_limit: int | None = None
    granted_rate: float | None = None
    responses: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One settled item, for support and debugging. *outcome* is `delivered`, or why it was lost.

    *label* names the item without its values. *attempts* counts the requests that were made for it; *status* and
    *request_id* are those of the last response, `None` without one. *rejected* maps the properties of an upsert that
    were not accepted to the reasons.
    """

    label: str
    outcome: str
    attempts: int
    status: int | None = None
    request_id: str | None = None
    rejected: Mapping[str, str] = field(default_factory=FrozenDict)
