"""The statistics of the current tracker, plus the counts of the trackers that it replaced."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from journy_track._metrics.instruments import Reading
from journy_track._model.clock import monotonic
from journy_track._model.frozendict import FrozenDict
from journy_track._model.numbers import Health, Stats
from journy_track._tracker import Tracker

#: Seconds after which a reading is too old even for an instrument that has not used it yet.
_STALE = 1.0
_UNKNOWN = Health(ok=False)


class _Past:
    """A tracker that was replaced. It may still deliver; once it is done, only its counts are kept."""

    def __init__(self, tracker: Tracker | None, stats: Stats | None = None) -> None:
        self.tracker = tracker
        #: The process ID that the last counts are from, and these counts.
        self._last: tuple[int, Stats] = (os.getpid(), Stats() if stats is None else stats)

    def stats(self) -> Stats:
        if self.tracker is not None:
            numbers = self.tracker._numbers()
            stats = Stats() if numbers is None else numbers[0]
            self._last = os.getpid(), stats
            waiting = stats.queued or stats.in_flight or stats.spooled
            if numbers is not None and self.tracker.closed and not waiting:
                self.tracker = None
        pid, stats = self._last
        return stats if pid == os.getpid() else Stats()  # a child does not count its parent's work


class Readings:
    """One reading for all the instruments of a scrape.

    There is no lock, as a process may fork while another of its threads reads. If two threads read at the same time,
    the worst case is one additional reading.
    """

    def __init__(self) -> None:
        #: The current tracker and the ones before it. A tuple, so that both are replaced at the same time.
        self._followed: tuple[Tracker | None, tuple[_Past, ...]] = (None, ())
        self._kept: tuple[Reading, float, set[str]] | None = None

    def follow(self, tracker: Tracker | None) -> None:
        """Read *tracker* from now on. Called by one thread at a time."""
        before, past = self._followed
        others = [some for some in past if some.tracker is None or some.tracker is not tracker]
        if before is not None and before is not tracker and before._numbers() is not None:
            others.append(_Past(before))
        ended = Stats()
        for some in others:
            stats = some.stats()
            if some.tracker is None:
                ended = _with(ended, stats)
        self._followed = tracker, (_Past(None, ended), *(some for some in others if some.tracker is not None))

    def read(self, asker: str) -> Reading:
        """Return the reading of the current scrape. An *asker* that has already used it starts the next scrape."""
        kept, now = self._kept, monotonic()
        if kept is None or asker in kept[2] or now - kept[1] > _STALE:
            kept = self._kept = (self._now(), now, set())
        kept[2].add(asker)
        return kept[0]

    def _now(self) -> Reading:
        tracker, before = self._followed
        stats, health = _of(tracker)
        for past in before:
            stats = _with(stats, past.stats())
        capacity = None if tracker is None else tracker.config.queue_size
        return Reading(stats, health.ok, health.oldest_waiting, health.circuit == "open", capacity)


def _of(tracker: Tracker | None) -> tuple[Stats, Health]:
    if tracker is None:
        return Stats(), _UNKNOWN
    if (numbers := tracker._numbers()) is not None:
        return numbers
    if not tracker._enabled:
        return Stats(), tracker.health()
    return Stats(), Health(ok=not tracker.closed)  # a child that has captured nothing yet


def _with(stats: Stats, past: Stats) -> Stats:
    """Add the counts of an earlier tracker to *stats*. What it left in a spool is already included in *stats*."""
    return replace(
        stats,
        captured=stats.captured + past.captured,
        delivered=stats.delivered + past.delivered,
        published=stats.published + past.published,
        coalesced=stats.coalesced + past.coalesced,
        throttled=stats.throttled + past.throttled,
        given_up=stats.given_up + past.given_up,
        given_up_for=_sum(stats.given_up_for, past.given_up_for),
        dropped=_sum(stats.dropped, past.dropped),
        retried=stats.retried + past.retried,
        queued=stats.queued + past.queued,
        in_flight=stats.in_flight + past.in_flight,
    )


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> FrozenDict:
    return FrozenDict(Counter(one) + Counter(other))
