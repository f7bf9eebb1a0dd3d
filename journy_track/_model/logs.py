"""Logging to the app's log, which never raises, whatever the app's handlers do."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import Any, Protocol
from weakref import ref

from journy_track._model.errors import printable

_log = logging.getLogger("journy_track")
_broken = False


class Listener(Protocol):
    """Receives each line that is logged."""

    def logged(self, level: int, message: str, arguments: tuple[Any, ...]) -> None:
        """Called for each logged line. Must not raise."""


#: Weak references, so that unused trackers are not kept alive. In a list, which is copied in one step: iterating over
#: a WeakSet raises if another thread adds to it.
_listeners: list[ref[Listener]] = []


def listen(listener: Listener) -> None:
    """Tell *listener* what is logged from now on, for as long as it exists."""
    _listeners.append(ref(listener, _forget))


def unlisten(listener: Listener) -> None:
    """Tell *listener* no more."""
    _forget(ref(listener))


def _forget(listener: ref[Listener]) -> None:
    with suppress(ValueError):  # it is not listening
        _listeners.remove(listener)


def log(level: int, message: str, *arguments: Any, exc_info: BaseException | None = None) -> None:
    """Log *message*. Never raises.

    If logging is not configured, Python prints the bare message to stderr, so it gets the library's name as a prefix.
    If one of the app's handlers or filters raises, that must not end a worker, lose an item or reach the capturing
    code. It is reported once, on stderr, since the log itself is broken.
    """
    global _broken  # noqa: PLW0603 - reported once in a process
    for reference in _listeners.copy():
        listener = reference()
        if listener is not None:
            listener.logged(level, message, arguments)
    try:
        if not _log.hasHandlers():
            message = f"journy_track: {message}"
        _log.log(level, message, *arguments, exc_info=exc_info, stacklevel=2)
    except Exception as error:  # noqa: BLE001
        if not _broken and sys.stderr is not None:
            _broken = True
            with suppress(OSError, ValueError):  # it may be closed
                print(f"journy_track: logging raised {type(error).__name__}; this line was lost", file=sys.stderr)


def log_or_print(text: str) -> None:
    """Log *text* at level INFO, or print it if the log would discard it: debug output should be visible."""
    text = printable(text)
    if _log.isEnabledFor(logging.INFO) and _log.hasHandlers():
        log(logging.INFO, "%s", text)
    elif sys.stderr is not None:
        with suppress(OSError, ValueError):  # it may be closed
            print(f"journy_track: {text}", file=sys.stderr)
