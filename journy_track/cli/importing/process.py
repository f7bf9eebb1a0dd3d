"""The process that imports: stopped by signals, and alone with its file."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from journy_track.cli.console import TERMINATE

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
    why_of = {signal.SIGINT: _INTERRUPTED, **dict.fromkeys(TERMINATE, _TERMINATED)}
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
    with ExitStack() as held:
        if not _hold(path, held):
            raise Busy(f"Another import of {path} is running: stop it, or wait until it has ended.")
        yield


if sys.platform == "win32":
    import msvcrt

    def _hold(path: Path, held: ExitStack) -> bool:
        # By a file beside it: whoever reads or appends to a file that is locked itself gets an error there.
        lock = path.with_name(f"{path.name}.import.lock")
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:  # nothing else can be written there either: that is reported when it is tried
            return True
        held.callback(_remove, lock)  # once it is closed
        held.callback(os.close, descriptor)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _remove(lock: Path) -> None:
        with suppress(OSError):  # another import has it open already
            lock.unlink()

else:

    def _hold(path: Path, held: ExitStack) -> bool:
        try:
            import fcntl
        except ModuleNotFoundError:  # as in a browser
            return True
        file = held.enter_context(path.open("rb"))
        with suppress(OSError):  # of a file system without locks
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True
