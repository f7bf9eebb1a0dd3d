"""The circuit breaker: a refused key stops everything except trials; a missing permission stops one operation."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from journy_track._model.outcomes import Delivered, Outcome, Unauthorized

FIRST_PAUSE = 5.0
MAX_PAUSE = 300.0


class CircuitState(StrEnum):
    """The state of a circuit."""

    CLOSED = "closed"
    #: The key was refused: items wait, and only trials are sent.
    OPEN = "open"


class Circuit:
    """Tracks refusals by the API and what they stop. Not thread-safe: its owner holds a lock.

    A 401 or 403 does not show whether the key is invalid or only lacks the permission for that operation. A *trial*
    of the key, with a call that every key may make, decides this. There is at most one trial at a time.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        #: Called with the pause in seconds when the key is refused, and with `None` when it is accepted again.
        #: A spool remembers this beyond the process. Must not raise.
        self.note_key: Callable[[float | None], object] = lambda pause: None
        self._pause = FIRST_PAUSE
        self.state = CircuitState.CLOSED
        #: When the key is tried again; `None` while the circuit is closed.
        self.try_at: float | None = None
        #: Whether a trial is in progress.
        self.on_trial = False
        #: For each suspended operation, the time until which its items are given up without a request.
        self._suspended: dict[str, float] = {}
        #: Whether an operation may be suspended.
        self.suspends = False

    # ── The key ──

    def wait(self, now: float) -> float | None:
        """Return the seconds until the key may be tried, or `None` if the trial in progress has to end first."""
        return None if self.on_trial else max(0.0, (self.try_at or now) - now)

    def begin_trial(self) -> bool:
        """Start a trial unless one is due or in progress. If it returns true, the caller must try the key."""
        if self.on_trial or self.try_at is not None:
            return False
        self.on_trial = True
        return True

    def end_trial(self, outcome: Outcome | None) -> bool:
        """Apply the outcome of the trial. Returns whether it should be logged.

        Without a verdict, for example if the trial was interrupted (`None`), an accepted key stays accepted and a
        refused key stays refused.
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
        """Open the circuit: the key was refused, maybe before this process began. Try it again in *seconds*.

        *pause* is the length of the whole pause, of which *seconds* remain.
        """
        self._pause = pause
        self.try_at = self._clock() + seconds
        self.state = CircuitState.OPEN

    def _close(self) -> None:
        if self.try_at is not None:
            self.note_key(None)
        self.state, self.try_at = CircuitState.CLOSED, None

    # ── Permissions ──

    def suspend(self, operation: str) -> None:
        """Suspend *operation* for five minutes, because the key lacks the permission for it."""
        self._suspended[operation] = self._clock() + MAX_PAUSE
        self.suspends = True

    @property
    def suspended(self) -> list[str]:
        """The operations for which the key is currently known to lack the permission."""
        now = self._clock()
        self._suspended = {operation: until for operation, until in self._suspended.items() if now < until}
        self.suspends = bool(self._suspended)
        return sorted(self._suspended)
