"""What the dispatcher sends jobs with: `RestTransport`, `BatchTransport` or `BrokerTransport`, in `_transport/`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from journy_track._model.items import Item
from journy_track._model.outcomes import JobOutcome, Outcome
from journy_track._model.secret import KeyName
from journy_track._stores.store import Job


class Transport(Protocol):
    """Sends jobs, and returns what became of each. Raises nothing but `KeyboardInterrupt`."""

    @property
    def key(self) -> KeyName:
        """What to call its key."""

    @property
    def max_jobs(self) -> int:
        """How many go in one request, at most, as far as is known before they are looked at."""

    @property
    def in_turn(self) -> bool:
        """Whether all go in the order of capture: the relay behind a broker does the rest."""

    @property
    def merges(self) -> bool:
        """Whether two jobs that can be one are worth making one."""

    @property
    def is_idempotent(self) -> bool:
        """Whether a job that is sent twice is surely taken once."""

    @property
    def try_key(self) -> Callable[[float | None], Outcome] | None:
        """Makes a call that every key has the permission for, to learn whether the key is good; it lasts as `send`.

        `None`: there is no such call, and a job tries the key.
        """

    def lacks(self, item: Item, /) -> bool:
        """Whether *item* has no counterpart here, and goes another way if there is one."""

    def log_lack(self, item: Item, /) -> None:
        """Log, once for each kind of item, that there is none, and the remedy."""

    def fits(self, jobs: Sequence[Job], /) -> int:
        """How many of *jobs*, from the first on, fit into one request; at least one. `send` comes next."""

    def send(self, jobs: Sequence[Job], /, timeout: float | None = None) -> Sequence[JobOutcome]:
        """Send *jobs* in one request that lasts *timeout* seconds at most; `None`: as configured."""

    def close(self) -> None:
        """Close the connections."""
