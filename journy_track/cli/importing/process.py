"""The import process: stops on signals, and locks its file against other imports."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from journy_track.cli.console import TERMINATE

#: Returns the reason to stop once a signal has arrived; `None` before.
Interrupted = Callable[[], str | None]

_INTERRUPTED, _TERMINATED = "Stopped by Ctrl-C.", "Stopped by a signal to terminate."
#: The exit codes that a shell uses for a program ended by these signals.
EXIT_CODES = {_INTERRUPTED: 130, _TERMINATED: 143}


class Busy(Exception):
    """Another process is importing the file."""


@contextmanager
def stoppable() -> Iterator[Interrupted]:
    """Let the first Ctrl-C or SIGTERM request a graceful stop; a second one ends the process at once."""
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
    """Lock *path* during the import, because two imports would write the same state. Raises `Busy`."""
    with ExitStack() as held:
        if not _hold(path, held):
            raise Busy(f"Another import of {path} is running: stop it, or wait until it has ended.")
        yield


if sys.platform == "win32":
    import msvcrt

    def _hold(path: Path, held: ExitStack) -> bool:
        # Lock a file next to it: on Windows, other programs cannot read or append to a locked file.
        lock = path.with_name(f"{path.name}.import.lock")
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:  # nothing else can be written there either, which is reported later
            return True
        held.callback(_remove, lock)  # runs after the file is closed
        held.callback(os.close, descriptor)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _remove(lock: Path) -> None:
        with suppress(OSError):  # another import may have opened it already
            lock.unlink()

else:

    def _hold(path: Path, held: ExitStack) -> bool:
        try:
            import fcntl
        except ModuleNotFoundError:  # such as in a browser
            return True
        file = held.enter_context(path.open("rb"))
        with suppress(OSError):  # raised by a file system without locks
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True
