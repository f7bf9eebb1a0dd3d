"""Captures events as they would be sent, without sending any."""

from __future__ import annotations

import pytest

import journy_track
from journy_track import Event, Tracker


class Kept:
    """Keeps what was captured."""

    def __init__(self) -> None:
        self._items: list[Event] = []
        self.tracker: Tracker = journy_track.configure("test-key-0123456789", before_send=self._items.append)

    def __call__(self) -> list[Event]:
        assert self.tracker.flush(timeout=20)
        return list(self._items)

    def who(self) -> dict[str, tuple[str | None, str | None]]:
        """Return the user and account of each event by name."""
        return {
            event.name: (
                None if event.user is None else event.user.user_id,
                None if event.account is None else event.account.account_id,
            )
            for event in self()
        }

    def lost(self) -> dict[str, int]:
        """Return the number of dropped items by reason, except `before_send`, which drops what is kept here."""
        self()
        return {reason: count for reason, count in self.tracker.stats().dropped.items() if reason != "before_send"}


@pytest.fixture
def kept() -> Kept:
    """Configure the global tracker to keep what it captures."""
    return Kept()
