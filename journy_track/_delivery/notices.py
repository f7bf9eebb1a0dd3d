"""Log lines that can repeat: each cause at most once a minute, with a count of what was not said."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from typing import Any

from journy_track._model.clock import monotonic
from journy_track._model.logs import say

EVERY = 60.0
_MOST_CAUSES = 1000


class Notices:
    """Says a thing, and then for a minute only counts it."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._said: dict[Hashable, tuple[float, int]] = {}

    def say(self, cause: Hashable, message: str, *arguments: Any, level: int = logging.WARNING) -> None:
        """Log *message*, unless *cause* was logged within the last minute."""
        with self._lock:
            kept = self._kept(cause)
        if kept is None:
            return
        if kept:
            message, arguments = message + " (%d more of these since the last time.)", (*arguments, kept)
        say(level, message, *arguments)

    def forget(self) -> None:
        """Say everything again. For tests."""
        with self._lock:
            self._said.clear()

    def _kept(self, cause: Hashable) -> int | None:
        """How many were not said since the last time; `None` when it is not time to say it again."""
        now = self._clock()
        since, kept = self._said.get(cause, (None, 0))
        if since is not None and now - since < EVERY:
            self._said[cause] = (since, kept + 1)
            return None
        if since is None and len(self._said) >= _MOST_CAUSES:
            self._said.clear()
        self._said[cause] = (now, 0)
        return kept
