"""The circuit: a refused key stops everything but probes; a missing permission stops one operation."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

FIRST_PAUSE = 5.0
LONGEST_PAUSE = 300.0


class State(StrEnum):
    """Whether requests flow."""

    CLOSED = "closed"
    #: The key was refused: items wait, and only probes go.
    OPEN = "open"


class Memory(Protocol):
    """Remembers a refused key beyond this process. Does not raise."""

    def refused(self, pause: float, /) -> None: ...
    def accepted(self) -> None: ...


class Circuit:
    """What the API's refusals mean for what comes next. Its owner holds a lock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        #: `None`: what is learned ends with the process.
        self.memory: Memory | None = None
        self._pause = FIRST_PAUSE
        self._probe_at = 0.0
        self._suspended: dict[str, float] = {}
        self.state = State.CLOSED

    def opened(self) -> None:
        """The key was refused: probe after a pause, which grows to five minutes."""
        self._pause = FIRST_PAUSE if self.state is State.CLOSED else min(LONGEST_PAUSE, self._pause * 2)
        self._probe_at = self._clock() + self._pause
        self.state = State.OPEN
        if self.memory is not None:
            self.memory.refused(self._pause)

    def stay_open(self, seconds: float, pause: float) -> None:
        """The key was refused before this process began: probe in so many *seconds* of that *pause*."""
        self._pause = pause
        self._probe_at = self._clock() + seconds
        self.state = State.OPEN

    def closed(self) -> None:
        """The key was accepted."""
        if self.memory is not None and self.state is State.OPEN:
            self.memory.accepted()
        self.state = State.CLOSED

    @property
    def probe_at(self) -> float | None:
        """When to probe; `None` while requests flow."""
        return self._probe_at if self.state is State.OPEN else None

    def suspend(self, operation: str) -> None:
        """The key lacks the permission for *operation*: its items need not be tried for five minutes."""
        self._suspended[operation] = self._clock() + LONGEST_PAUSE

    @property
    def suspended(self) -> list[str]:
        """The operations that the key has no permission for, as far as is known now."""
        now = self._clock()
        return sorted(operation for operation, until in self._suspended.items() if now < until)

    def is_suspended(self, operation: str) -> bool:
        """Whether items of *operation* are given up without a request."""
        until = self._suspended.get(operation)
        if until is None:
            return False
        if self._clock() < until:
            return True
        del self._suspended[operation]
        return False
