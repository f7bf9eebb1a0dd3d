"""What happens at the end of the process."""

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

#: Seconds after which an end shows on a terminal what it waits for.
PATIENCE = 2.0
#: Of the line that shows it.
_COLUMNS = 75


class Living(Protocol):
    """A tracker, as the end of the process sees it."""

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
    """Call *tracker* at exit, until it is shut down."""
    global _registered  # noqa: PLW0603 - once a process: hooks cannot be taken away
    _living.add(tracker)
    if not _registered:
        _registered = True
        # Registered early, so run late: what is captured in other exit handlers still counts.
        atexit.register(_at_exit)
        forks.in_child.append(_after_fork)
        # Newer Pythons start no thread once exit handlers run. This is called just before; concurrent.futures uses
        # it, too. Where it is too late for that as well (3.12), an end sends over the connections that are there.
        register = getattr(threading, "_register_atexit", None)
        if register is not None:
            with suppress(RuntimeError):  # the process is ending already
                register(_before_exit)


def forget(tracker: Living) -> None:
    """The tracker is shut down."""
    _living.discard(tracker)


def first_capture() -> None:
    """The first item of this process was captured: by now it is known what kind of process it is."""
    global _finalized  # noqa: PLW0603 - the process for which it is registered
    frameworks.call_before_end(_at_exit)
    if any(tracker.wraps_os_exit for tracker in _living) and (forks.in_forked_child() or frameworks.ends_abruptly()):
        _wrap_os_exit()
    if _finalized == os.getpid():
        return
    util = sys.modules.get("multiprocessing.util")
    if util is not None and _is_of_multiprocessing():
        # A child of multiprocessing leaves by os._exit, past atexit. It clears what was registered before it
        # began, so not earlier than here; and last of all, since other finalisers may still capture.
        util.Finalize(None, _at_exit, exitpriority=-1000)
        _finalized = os.getpid()


def ends_by_itself() -> bool:
    """Whether this is a script that nothing stops in a hurry.

    A process that handles SIGTERM is a service, and is killed if it does not end soon. One that does not handle it
    has not got one. Whoever made a child waits for its end.
    """
    is_child = forks.in_forked_child() or _is_of_multiprocessing()
    # SIGBREAK: what a service on Windows gets instead.
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
    """Everything that waits gets one time budget: the longest that any tracker asks for."""
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
    """What a person at a terminal sees while the end waits."""

    def __init__(self) -> None:
        self._began = monotonic()
        self._first: tuple[float, int] | None = None
        self._shown_at: float | None = None

    def show(self, left: int) -> None:
        """*left* items are not delivered yet."""
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
        # With blanks, not an escape sequence, which a console of Windows would show. Below 80 columns: a line that
        # wraps cannot be written again.
        self._write(f"\r{f'journy_track: {items} to deliver{about}. Ctrl-C ends it.':{_COLUMNS}}")

    def clear(self) -> None:
        """It is over."""
        if self._shown_at is not None:
            self._shown_at = None
            self._write(f"\r{'':{_COLUMNS}}\r")

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # the terminal is gone, or closed
            sys.stderr.write(text)
            sys.stderr.flush()


# ── Ends without an exit ─────────────────────────────────────────────────────────────────────────────────


def _wrap_os_exit() -> None:
    """In a forked child, and where a framework ends: what waits is delivered before `os._exit`, past exit handlers.

    That is how work horses of job systems end, and home-made forks. Only here: whoever calls it elsewhere means it.
    """
    if hasattr(os._exit, "__wrapped__"):
        return  # by a parent of this child
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
