"""The report on everything that was captured in a block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from journy_track._model.frozendict import FrozenDict
from journy_track._model.numbers import Stats

#: The reasons for drops that the app asked for.
_AS_ASKED = frozenset({"suppressed", "before_send", "deleted"})


@dataclass(frozen=True, slots=True)
class Report:
    """What became of everything that the process captured during a `bulk()` block, or of the rows of a sync.

    *captured* counts the items; each row of a sync is one. *delivered* items are at journy.io, *published* items in a
    broker. *merged* items were sent as part of another one, *unchanged* items were not sent because journy.io already
    has them. *given_up* and *dropped* count items by reason, as in `Stats.given_up_for` and `Stats.dropped`.
    *waiting* items are not settled yet; delivery continues until the process ends. *would_send* is how many items
    would be sent, in a dry run. With a spool, items that earlier processes left there are included.

    *seconds* is how long it took. *stopped* is why it ended before everything was done, or `None` if it did not.
    """

    captured: int = 0
    delivered: int = 0
    published: int = 0
    merged: int = 0
    unchanged: int = 0
    throttled: int = 0
    given_up: Mapping[str, int] = field(default_factory=FrozenDict)
    dropped: Mapping[str, int] = field(default_factory=FrozenDict)
    waiting: int = 0
    would_send: int = 0
    seconds: float = 0.0
    stopped: str | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, nothing waits, and it was not stopped. Drops the app asked for are not losses."""
        lost = set(self.dropped) - _AS_ASKED or self.given_up
        return not lost and not self.waiting and self.stopped is None

    def __str__(self) -> str:
        parts = [f"{self.captured:,} captured"]
        parts += [f"{getattr(self, name):,} {words}" for name, words in _WORDS if getattr(self, name)]
        parts += [f"{count:,} given up ({reason})" for reason, count in self.given_up.items()]
        parts += [f"{count:,} dropped ({reason})" for reason, count in self.dropped.items()]
        return ", ".join(parts) + f", in {self.seconds:.1f} s"


_WORDS = (
    ("delivered", "delivered"),
    ("published", "published to the broker"),
    ("merged", "merged into others"),
    ("unchanged", "unchanged"),
    ("throttled", "throttled"),
    ("would_send", "would be sent"),
    ("waiting", "waiting"),
)


def report_of(before: Stats, now: Stats, seconds: float, stopped: str | None) -> Report:
    """Return what happened between two snapshots of a tracker's numbers."""
    unchanged = now.unchanged - before.unchanged
    return Report(
        captured=now.captured - before.captured,
        delivered=now.delivered - before.delivered,
        published=now.published - before.published,
        merged=now.coalesced - before.coalesced - unchanged,
        unchanged=unchanged,
        throttled=now.throttled - before.throttled,
        given_up=_more(before.given_up_for, now.given_up_for),
        dropped=_more(before.dropped, now.dropped),
        waiting=now.queued + now.spooled + now.in_flight,
        seconds=seconds,
        stopped=stopped,
    )


def _more(before: Mapping[str, int], now: Mapping[str, int]) -> FrozenDict:
    more = Counter(now)
    more.subtract(before)
    return FrozenDict({reason: count for reason, count in more.items() if count > 0})
