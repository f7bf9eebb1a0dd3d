"""Delivery at the end of the process."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from journy_track._model import forks, frameworks
from journy_track._model.clock import monotonic
from journy_track._model.ending import Ending

#: Seconds after which exit shows on a terminal what it is waiting for.
PATIENCE = 2.0
#: Width of that line.
_COLUMNS = 75


class Living(Protocol):
    """The part of a tracker that process exit uses."""

    def after_fork(self) -> None: ...
    def before_exit(self) -> None: ...
    def at_exit(self, ending: Ending, on_wait: Callable[[int], object] = ..., /) -> None: ...
    def exit_timeout(self) -> float: ...
    def exit_limit(self) -> float: ...

    @property
    def wraps_os_exit(self) -> bool: ...
    @property
    def has_waiting(self) -> bool: ...


# Strong references: a tracker that nothing else refers to may still have items to deliver.
_living: set[Living] = set()
_registered = False
_finalized: int | None = None


def watch(tracker: Living) -> None:
    """Call *tracker* at exit, unless it is shut down before."""
    global _registered  # noqa: PLW0603 - once a process: hooks cannot be taken away
    _living.add(tracker)
    if not _registered:
        _registered = True
        # Registered early, so it runs late: items captured in other exit handlers are still delivered.
        atexit.register(_at_exit)
        forks.in_child.append(_after_fork)
        # Newer Pythons start no threads once exit handlers run. This hook is called just before them;
        # concurrent.futures uses it, too. Where even that is too late (3.12), exit uses the existing connections.
        register = getattr(threading, "_register_atexit", None)
        if register is not None:
            with suppress(RuntimeError):  # the process is already ending
                register(_before_exit)


def forget(tracker: Living) -> None:
    """Stop watching *tracker*, which is shut down."""
    _living.discard(tracker)


def first_capture() -> None:
    """Called when this process captures its first item: by now it is clear what kind of process this is."""
    global _finalized  # noqa: PLW0603 - the process for which it is registered
    frameworks.call_before_end(_at_exit)
    # A copy, since another thread may add or remove a tracker meanwhile.
    wraps = any(tracker.wraps_os_exit for tracker in list(_living))
    if wraps and (forks.in_forked_child() or frameworks.ends_abruptly()):
        _wrap_os_exit()
    if _finalized == os.getpid():
        return
    util = sys.modules.get("multiprocessing.util")
    if util is not None and _is_of_multiprocessing():
        # A multiprocessing child exits by os._exit, which skips atexit. It clears finalisers that were registered
        # before it started, so register here and not earlier; run last, since other finalisers may still capture.
        util.Finalize(None, _at_exit, exitpriority=-1000)
        _finalized = os.getpid()


def ends_by_itself() -> bool:
    """Whether this is a script that may take its time to exit.

    A process that handles SIGTERM is a service, and is killed if it does not exit soon. A process without a handler
    that reaches its exit has not received the signal. A child process does not qualify: its parent waits for it.
    """
    is_child = forks.in_forked_child() or _is_of_multiprocessing()
    # SIGBREAK: what a service on Windows receives instead.
    numbers = (signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGTERM))
    return not is_child and all(signal.getsignal(number) == signal.SIG_DFL for number in numbers)


def _is_of_multiprocessing() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def _after_fork() -> None:
    for tracker in list(_living):
        tracker.after_fork()


def _before_exit() -> None:
    for tracker in list(_living):
        tracker.before_exit()


def _at_exit() -> None:
    """Deliver what is waiting, in one time budget for all trackers: the longest that any of them asks for."""
    trackers = list(_living)
    if not trackers:
        return
    ending = Ending(
        max(tracker.exit_timeout() for tracker in trackers), max(tracker.exit_limit() for tracker in trackers)
    )
    line = _Line()
    try:
        for tracker in trackers:
            tracker.at_exit(ending, line.show)
    except KeyboardInterrupt:
        line.clear()
        ending.cut_short()
        for tracker in trackers:
            tracker.at_exit(ending)
    finally:
        line.clear()


class _Line:
    """The progress line shown on a terminal while exit waits."""

    def __init__(self) -> None:
        self._began = monotonic()
        self._first: tuple[float, int] | None = None
        self._shown_at: float | None = None

    def show(self, left: int) -> None:
        """Show that *left* items are not delivered yet, at most once a second."""
        now = monotonic()
        first_at, first_left = self._first = self._first or (now, left)
        if not left or now - self._began < PATIENCE or (self._shown_at is not None and now - self._shown_at < 1.0):
            return
        if sys.stderr is None or not sys.stderr.isatty():
            return
        self._shown_at = now
        items = "1 item" if left == 1 else f"{left} items"
        done = first_left - left
        about = f", about {max(1, round(left * (now - first_at) / done))} s" if done > 0 else ""
        # Padded with spaces, since a Windows console would print an escape sequence. Below 80 columns, since a line
        # that wraps cannot be overwritten.
        self._write(f"\r{f'journy_track: {items} to deliver{about}. Ctrl-C ends it.':{_COLUMNS}}")

    def clear(self) -> None:
        """Erase the line, if it was shown."""
        if self._shown_at is not None:
            self._shown_at = None
            self._write(f"\r{'':{_COLUMNS}}\r")

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # the terminal is gone, or closed
            sys.stderr.write(text)
            sys.stderr.flush()


# ── Ends without an exit ─────────────────────────────────────────────────────────────────────────────────


def _wrap_os_exit() -> None:
    """Deliver what is waiting before `os._exit`, in a forked child or where a framework ends the process that way.

    `os._exit` skips exit handlers. The work horses of job queues end by it, and so do hand-written forks. Other
    processes are left alone: there, the caller wants to exit at once.
    """
    if hasattr(os._exit, "__wrapped__"):
        return  # already wrapped by this child's parent
    original: Final = os._exit

    def _exit(status: int) -> None:
        try:
            waiting = [tracker for tracker in list(_living) if tracker.has_waiting]
            ending = Ending(max((tracker.exit_timeout() for tracker in waiting), default=0.0))
            for tracker in waiting:
                tracker.at_exit(ending)
        finally:
            original(status)

    _exit.__wrapped__ = original  # type: ignore[attr-defined]
    os._exit = _exit  # type: ignore[assignment]
