"""Whether a promise about time is kept, on a machine that may be busy."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from time import monotonic


def keeps_to(seconds: float, act: Callable[[], float | None], slack: float = 0.5, tries: int = 3) -> None:
    """Assert that *act* takes *seconds*, and no more than *slack* beyond.

    A busy machine may be late once, what is broken is late each time: one of *tries* has to be in time, and none
    may be early. *act* answers what it took, where it measures that itself.
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
    """Wait until *condition* holds. It looks often, and asserts that it is not in vain."""
    deadline = monotonic() + timeout
    pause = Event()
    while not condition():
        assert monotonic() < deadline, "it never came about"
        pause.wait(0.005)
