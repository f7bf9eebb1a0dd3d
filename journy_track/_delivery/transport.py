"""The protocol through which the dispatcher sends jobs.

`RestTransport`, `BatchTransport` and `BrokerTransport` in `_transport/` implement it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from journy_track._model.items import Item
from journy_track._model.outcomes import JobOutcome, Outcome
from journy_track._model.secret import KeyName
from journy_track._stores.store import Job


class Transport(Protocol):
    """Sends jobs and returns the outcome of each. Raises only `KeyboardInterrupt`."""

    @property
    def key(self) -> KeyName:
        """How messages name its key."""

    @property
    def max_jobs(self) -> int:
        """The maximum number of jobs in one request, regardless of their size."""

    @property
    def in_turn(self) -> bool:
        """Whether all jobs are sent in the order of capture, as to a broker, whose relay does the rest."""

    @property
    def merges(self) -> bool:
        """Whether it is worth merging two jobs that can be merged."""

    @property
    def is_idempotent(self) -> bool:
        """Whether a job that is sent twice is certain to take effect once."""

    @property
    def try_key(self) -> Callable[[float | None], Outcome] | None:
        """A function that checks the key with a call that every key may make. Its timeout is as for `send`.

        `None` if there is no such call; a job then tries the key.
        """

    def lacks(self, item: Item, /) -> bool:
        """Return whether this transport cannot send *item*, which is then sent another way if there is one."""

    def log_lack(self, item: Item, /) -> None:
        """Log, once per kind of item, that no transport can send *item*, and the remedy."""

    def fits(self, jobs: Sequence[Job], /) -> int:
        """Return how many of *jobs*, from the first on, fit into one request, at least one. Called before `send`."""

    def send(self, jobs: Sequence[Job], /, timeout: float | None = None) -> Sequence[JobOutcome]:
        """Send *jobs* in one request that may last up to *timeout* seconds; `None` means the configured timeout."""

    def close(self) -> None:
        """Close the connections."""
