"""Rate-limited log lines: limited per cause, subject and kind, with a count of the suppressed ones."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from typing import Any

from journy_track._model.clock import monotonic
from journy_track._model.logs import log

#: The seconds in which a cause is logged at most once.
EVERY = 60.0
#: The most lines of one kind about one subject, such as an event's name, in that time.
MAX_OF_A_SUBJECT = 3
#: The most lines of one kind in that time. A flood of one kind does not suppress lines of another.
MAX_OF_A_KIND = 10


class Notices:
    """Logs a line, and then only counts similar ones for a minute.

    A cause is a word, or a tuple of its kind, its subject and details. The kind is one of this library's words. The
    rest may come from the senders of the app's requests, so only the latest `MAX_OF_A_KIND` causes are remembered.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._kinds: dict[Hashable, _Kind] = {}

    def log(
        self, cause: Hashable, message: str, *arguments: Any, level: int = logging.WARNING, counts: bool = True
    ) -> None:
        """Log *message*, unless a limit is reached.

        If *counts* is false, the number of suppressed lines is not logged: the cause is a lasting state, and how
        often it was checked does not matter.
        """
        with self._lock:
            kept = self._kinds.setdefault(_kind_of(cause), _Kind()).kept(cause, self._clock())
        if kept is None:
            return
        if kept and counts:
            message, arguments = message + " (%d more like this since the last one.)", (*arguments, kept)
        log(level, message, *arguments)

    def log_left_out(self, *kinds: Hashable) -> None:
        """Log how many lines of these kinds were suppressed, and log the next one at once: the trouble is over."""
        with self._lock:
            left_out = sum(self._kinds.pop(kind).all_kept for kind in kinds if kind in self._kinds)
        if left_out:
            log(logging.INFO, "%d similar lines were suppressed in the meantime.", left_out)

    def forget(self) -> None:
        """Log everything again. For tests."""
        with self._lock:
            self._kinds.clear()


class _Kind:
    """The latest causes of one kind, oldest first: when each was logged, and how often it has occurred since."""

    def __init__(self) -> None:
        self._logged: dict[Hashable, tuple[float, int]] = {}
        #: The number of suppressed lines of causes that are not remembered.
        self._left_out = 0

    @property
    def all_kept(self) -> int:
        """The number of suppressed lines."""
        return self._left_out + sum(kept for _, kept in self._logged.values())

    def kept(self, cause: Hashable, now: float) -> int | None:
        """The number of lines suppressed since the last one; `None` if this line is not logged either."""
        since, kept = self._logged.get(cause, (None, 0))
        if since is not None and now - since < EVERY:
            self._logged[cause] = (since, kept + 1)
            return None
        recent = [known for known, (at, _) in self._logged.items() if now - at < EVERY]
        subject = _subject_of(cause)
        if len(recent) >= MAX_OF_A_KIND or sum(_subject_of(known) == subject for known in recent) >= MAX_OF_A_SUBJECT:
            self._left_out += 1
            return None
        self._logged.pop(cause, None)
        if len(self._logged) >= MAX_OF_A_KIND:
            self._left_out += self._logged.pop(next(iter(self._logged)))[1]
        kept, self._left_out = kept + self._left_out, 0
        self._logged[cause] = (now, 0)
        return kept


def _kind_of(cause: Hashable) -> Hashable:
    return cause[0] if isinstance(cause, tuple) and cause else cause


def _subject_of(cause: Hashable) -> Hashable:
    return cause[:2] if isinstance(cause, tuple) else cause
