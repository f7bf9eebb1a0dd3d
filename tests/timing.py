"""Checks of timing promises, on a machine that may be busy."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from time import monotonic


def keeps_to(seconds: float, act: Callable[[], float | None], slack: float = 0.5, tries: int = 3) -> None:
    """Assert that *act* takes at least *seconds*, and at most *slack* longer.

    A busy machine may be late once, but a bug is late every time: one of *tries* has to be in time, and none may be
    early. *act* may return how long it took, where it measures that itself.
    """
    took = []
    while len(took) < tries:
        began = monotonic()
        measured = act()
        took.append(monotonic() - began if measured is None else measured)
        assert took[-1] >= seconds
        if took[-1] < seconds + slack:
            return
    raise AssertionError(f"took {took} seconds, where {seconds} were given")


def eventually(condition: Callable[[], object], timeout: float = 30.0) -> None:
    """Wait until *condition* holds, polling often. Raises `AssertionError` after *timeout* seconds."""
    deadline = monotonic() + timeout
    pause = Event()
    while not condition():
        assert monotonic() < deadline, "it never came about"
        pause.wait(0.005)
