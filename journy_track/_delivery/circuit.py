"""The circuit: a refused key stops everything but trials; a missing permission stops one operation."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from journy_track._model.outcomes import Delivered, Outcome, Unauthorized

FIRST_PAUSE = 5.0
MAX_PAUSE = 300.0


class CircuitState(StrEnum):
    """Whether requests flow."""

    CLOSED = "closed"
    #: The key was refused: items wait, and only trials go.
    OPEN = "open"


class Circuit:
    """What the API's refusals mean for what comes next. Its owner holds a lock.

    A 401 or 403 leaves open whether the key is bad or only lacks the permission for that operation. A *trial* of the
    key, by a call that every key may make, decides. There is one at a time.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        #: Called with the seconds of the pause when the key is refused, and with `None` when it is accepted again: a
        #: spool remembers that beyond this process. Does not raise.
        self.note_key: Callable[[float | None], object] = lambda pause: None
        self._pause = FIRST_PAUSE
        self.state = CircuitState.CLOSED
        #: When the key is tried again; `None` while requests flow.
        self.try_at: float | None = None
        #: Whether a trial is on its way.
        self.on_trial = False
        #: Until when the items of each operation are given up without a request.
        self._suspended: dict[str, float] = {}
        #: Whether there may be any.
        self.suspends = False

    # ── The key ──

    def wait(self, now: float) -> float | None:
        """Seconds until the key may be tried; `None`: not before the trial that is on its way has ended."""
        return None if self.on_trial else max(0.0, (self.try_at or now) - now)

    def begin_trial(self) -> bool:
        """Whether the caller is to try the key: nobody does already, and it was good so far."""
        if self.on_trial or self.try_at is not None:
            return False
        self.on_trial = True
        return True

    def end_trial(self, outcome: Outcome | None) -> bool:
        """Follow the outcome of the trial. Returns whether it changed anything that is worth a line in the log.

        Without a verdict, as where the trial was interrupted (`None`), a good key stays good, a refused one refused.
        """
        was = self.state
        self.on_trial = False
        if isinstance(outcome, Delivered):
            self._close()
            return was is CircuitState.OPEN
        if isinstance(outcome, Unauthorized) or was is CircuitState.OPEN:
            self._open()
        return isinstance(outcome, Unauthorized)

    def _open(self) -> None:
        self._pause = FIRST_PAUSE if self.try_at is None else min(MAX_PAUSE, self._pause * 2)
        self.stay_open(self._pause, self._pause)
        self.note_key(self._pause)

    def stay_open(self, seconds: float, pause: float) -> None:
        """The key was refused, maybe before this process began: try it in so many *seconds* of that *pause*."""
        self._pause = pause
        self.try_at = self._clock() + seconds
        self.state = CircuitState.OPEN

    def _close(self) -> None:
        if self.try_at is not None:
            self.note_key(None)
        self.state, self.try_at = CircuitState.CLOSED, None

    # ── Permissions ──

    def suspend(self, operation: str) -> None:
        """The key lacks the permission for *operation*: its items need not be tried for five minutes."""
        self._suspended[operation] = self._clock() + MAX_PAUSE
        self.suspends = True

    @property
    def suspended(self) -> list[str]:
        """The operations that the key has no permission for, as far as is known now."""
        now = self._clock()
        self._suspended = {operation: until for operation, until in self._suspended.items() if now < until}
        self.suspends = bool(self._suspended)
        return sorted(self._suspended)
