"""The process that imports: stopped by signals, and alone with its file."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: Why to stop, once somebody asked for it.
Interrupted = Callable[[], str | None]

_INTERRUPTED, _TERMINATED = "Stopped by Ctrl-C.", "Stopped by a signal to terminate."
#: What a shell expects of a program that a signal ended.
EXIT_CODES = {_INTERRUPTED: 130, _TERMINATED: 143}


class Busy(Exception):
    """Somebody else imports that file."""


@contextmanager
def stoppable() -> Iterator[Interrupted]:
    """The first Ctrl-C or SIGTERM asks it to stop, which takes a moment; a second one ends it at once."""
    asked: list[str] = []
    why_of = {signal.SIGINT: _INTERRUPTED, signal.SIGTERM: _TERMINATED}
    before = {number: signal.getsignal(number) for number in why_of}

    def note(number: int, _: object) -> None:
        asked.append(why_of[signal.Signals(number)])
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in why_of:
        signal.signal(number, note)
    try:
        yield lambda: asked[0] if asked else None
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Hold *path* while it is imported: two imports would write one state. Raises `Busy`."""
    try:
        import fcntl
    except ModuleNotFoundError:  # not on Windows
        yield
        return
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"Another import of {path} is running: stop it, or wait until it has ended.") from None
        except OSError:  # this file system has no locks
            yield
            return
        yield
