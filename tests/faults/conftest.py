"""After each test of a fault: the key has shown nowhere, and each item is in one count."""

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
    """The two that hold after every test."""


@pytest.fixture
def seen(shows_no_key: list[object]) -> Callable[[object], None]:
    """Have this searched for the key, too: what the test alone gets to see."""
    return shows_no_key.append


@pytest.fixture
def configure(canary: str, api: Inspector, seen: Callable[[object], None]) -> Callable[..., Tracker]:
    """The global tracker with the key that must show nowhere, pointed at the local journy.io."""

    def make(**settings: Any) -> Tracker:
        settings.setdefault("on_error", seen)
        return journy_track.configure(canary, **{"base_url": api.url, **settings})

    return make


@pytest.fixture
def tracker(configure: Callable[..., Tracker]) -> Tracker:
    """The same, as most need it."""
    return configure()


@pytest.fixture
def agreed(accounts: Any, api: Inspector) -> Callable[..., None]:
    """The server's own log agrees with what was counted as delivered; *lost* of its answers did not reach us."""

    def check(lost: int = 0) -> None:
        accounts.answers_lost = lost
        accounts.check_against(api)

    return check
