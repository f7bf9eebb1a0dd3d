"""The interface of a broker, which accepts messages in order and stores them for a relay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Message(NamedTuple):
    """One serialised item. *number* increases with each message of this process, and identifies duplicates."""

    number: int
    text: str


class BrokerError(Exception):
    """The broker did not accept the messages, or did not confirm them in time. They are retried."""


class BrokerRefused(BrokerError):
    """The broker will never accept the messages. They are given up."""


class Broker(Protocol):
    """Accepts messages. One thread at a time calls `publish`; another may call `is_empty` meanwhile.

    Anything that `publish` raises is logged, and the same messages are retried. A call should not take longer than
    about a second: the app's calls do not wait for it, but the end of the process may.
    """

    def publish(self, messages: Sequence[Message], /) -> int:
        """Store *messages* and return how many, from the first one on, are safe; fewer if the broker is full.

        A message that was stored before under the same number counts, and is not stored again. May raise
        `BrokerError`.
        """
        ...

    def is_empty(self) -> bool:
        """Whether all messages published here have left the broker and were delivered. May raise `BrokerError`."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
