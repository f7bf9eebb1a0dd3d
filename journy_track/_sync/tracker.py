"""The tracker of a sync: separate from the app's own, with a part of the budget and digests of what was confirmed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from journy_track import _process
from journy_track._delivery.budget import Unlimited
from journy_track._delivery.pipeline import Pipeline
from journy_track._model.call import ApiCall
from journy_track._model.config import Config
from journy_track._model.ending import Ending
from journy_track._model.outcomes import Delivered, Outcome, Response
from journy_track._state.digests import Confirmed, Digests
from journy_track._tracker import Tracker

#: The maximum number of rows in memory: two full batches.
QUEUE = 5000
#: Seconds for which a row is retried.
_MAX_AGE = 24 * 3600.0
#: Seconds that requests in flight have to finish when a sync is stopped.
_FAREWELL = 2.0


class SyncTracker(Tracker):
    """Sends items that differ from their *digests*. A dry run sends and stores nothing."""

    def __init__(self, config: Config, digests: Digests, *, share: float, max_age: float, dry_run: bool) -> None:
        self._digests: Digests = Peeking(digests) if dry_run else digests
        self._dry_run = dry_run
        part = share if config.share is None else share * config.share
        config = replace(
            config,
            priority="bulk",
            share=part,
            skip_unchanged=max_age,
            skip_unchanged_state=None,
            queue_size=min(config.queue_size, QUEUE),
            max_age=_MAX_AGE,
            spool=None,
            broker=None,
            trace_ids=False,
        )
        if dry_run:  # one way is enough to count
            config = replace(config, api_key=config.api_key or config.write_key, write_key=None)
        self._start(config)

    def _made(self) -> Pipeline:
        if not self._dry_run:
            return Pipeline(self.config, digests=self._digests)
        return Pipeline(self.config, digests=self._digests, transport=Nowhere(), budget=Unlimited())

    def leave(self) -> None:
        """End the tracker. Nothing is logged as lost, since the next sync sends what this one did not."""
        self._closed = True
        self._pipeline().end(Ending(_FAREWELL), quiet=True)
        _process.forget(self)


class Peeking:
    """Reads digests without changing them."""

    def __init__(self, digests: Digests) -> None:
        self._digests = digests

    def salt(self) -> bytes:
        return self._digests.salt()

    def find(self, names: Sequence[bytes], /) -> dict[bytes, Confirmed]:
        return self._digests.find(names)

    def keep(self, confirmed: Mapping[bytes, Confirmed], /, until: float) -> None: ...
    def forget(self, names: Iterable[bytes], /) -> None: ...
    def close(self) -> None:
        self._digests.close()


class Nowhere:
    """Accepts every call and sends nothing."""

    def send(self, call: ApiCall, /, timeout: float | None = None) -> Outcome:
        return Delivered(Response(201, "dry run"))

    def close(self) -> None: ...
