"""What a tracker says of itself: how many items became what, which ones, and whether delivery works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from journy_track._model.frozendict import FrozenDict


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts since the tracker was made, in this process. Each item, *captured* here or *adopted* from the spool
    of a process that ended, is in exactly one of *delivered*, *published* (handed to a broker), *dropped* (by
    reason), *throttled* (`at_most_every`), *coalesced* (merged into another, or the same as one that journy.io has),
    *given_up*, *queued* (in memory), *spooled* (waiting on disk) and *in_flight*.

    *retried* counts attempts beyond the first. *calls_remaining* and *calls_limit* are the key's budget of
    requests per minute, as the API said last; `None` before it said anything.
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


@dataclass(frozen=True, slots=True)
class Health:
    """Whether delivery works. *reason* says why not.

    *oldest_waiting* is the age of the oldest item that waits and *since_success* the time since the last delivery, in
    seconds, `None` where there is none.

    *circuit* is `"open"` while the API key is refused, else `"closed"`.
    """

    ok: bool
    reason: str | None = None
    oldest_waiting: float | None = None
    since_success: float | None = None
    circuit: str = "closed"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One settled item, for support and debugging. *outcome* is `delivered`, or the reason of its loss.

    *label* names the item without its values. *attempts* counts the requests that were made for it; *status* and
    *request_id* are of the last answer, `None` without one. *rejected* maps the properties that an upsert did not
    take to the reason.
    """

    label: str
    outcome: str
    attempts: int
    status: int | None = None
    request_id: str | None = None
    rejected: Mapping[str, str] = field(default_factory=FrozenDict)
