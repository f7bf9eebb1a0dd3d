"""What a broker is to this library: it takes messages, in order, and keeps them for a relay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Message(NamedTuple):
    """One item on its way. *number* grows with each message of this process: duplicates are found by it."""

    number: int
    text: str


class BrokerError(Exception):
    """The broker did not take the messages, or did not confirm them in time. They may be offered again."""


class BrokerRefused(BrokerError):
    """They may not be stored there, now or later: they are given up."""


class Broker(Protocol):
    """Takes messages. One thread at a time publishes; another may ask `is_empty` meanwhile.

    Whatever `publish` raises is logged, and retried with the same messages. A call should not last
    longer than a second or so: nobody's call waits for it, but the end of the process may.
    """

    def publish(self, messages: Sequence[Message], /) -> int:
        """Store *messages* and return how many, from the first on, are safe; fewer when it is full.

        One that was stored before, under the same number, counts and is not stored again. May raise `BrokerError`.
        """
        ...

    def is_empty(self) -> bool:
        """Whether all that was published here has left the broker again: journy.io has it. Raises `BrokerError`."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
