"""After each test of a fault: the key has not appeared anywhere, and each item is in exactly one count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import journy_track
from journy_track import Tracker
from journy_track.inspector import Inspector

from ..delivery.conftest import desk  # noqa: F401 - a fixture
from ..transport.conftest import certificate, serve  # noqa: F401 - fixtures


@pytest.fixture(autouse=True)
def _after_each_test(shows_no_key: list[object], accounts: Any) -> None:
    """Check what holds after every test: the fixtures do it."""


@pytest.fixture
def seen(shows_no_key: list[object]) -> Callable[[object], None]:
    """Adds an object that only the test sees to those that are searched for the key."""
    return shows_no_key.append


@pytest.fixture
def configure(canary: str, api: Inspector, seen: Callable[[object], None]) -> Callable[..., Tracker]:
    """Configures the global tracker with the key that must not appear anywhere, pointed at the local inspector."""

    def make(**settings: Any) -> Tracker:
        settings.setdefault("on_error", seen)
        return journy_track.configure(canary, **{"base_url": api.url, **settings})

    return make


@pytest.fixture
def tracker(configure: Callable[..., Tracker]) -> Tracker:
    """The tracker with default settings."""
    return configure()


@pytest.fixture
def agreed(accounts: Any, api: Inspector) -> Callable[..., None]:
    """Checks that the server's own log matches the number of delivered items; *lost* responses did not arrive."""

    def check(lost: int = 0) -> None:
        accounts.answers_lost = lost
        accounts.check_against(api)

    return check
