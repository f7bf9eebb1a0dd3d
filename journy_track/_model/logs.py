"""The app's log. Whatever its handlers do, logging raises nothing here."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import Any, Protocol
from weakref import WeakSet

from journy_track._model.errors import printable

_log = logging.getLogger("journy_track")
_broken = False


class Listener(Protocol):
    """Gets each line that is logged."""

    def logged(self, level: int, message: str, arguments: tuple[Any, ...]) -> None:
        """A line was logged. Must not raise."""


#: Weak: a tracker that nobody uses any more is not kept alive.
listeners: WeakSet[Listener] = WeakSet()


def log(level: int, message: str, *arguments: Any, exc_info: BaseException | None = None) -> None:
    """Log *message*.

    Where no logging is configured, Python prints the bare message on stderr: there it begins with who speaks.
    A handler or filter of the app's that raises must not end a worker, lose an item or reach the code that captures.
    It is reported on stderr, once: there is no log to report it in.
    """
    global _broken  # noqa: PLW0603 - reported once in a process
    for listener in tuple(listeners):
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
    """Log *text* as information, or print it where the log does not take it: debug mode is there to be seen."""
    text = printable(text)
    if _log.isEnabledFor(logging.INFO) and _log.hasHandlers():
        log(logging.INFO, "%s", text)
    elif sys.stderr is not None:
        with suppress(OSError, ValueError):  # it may be closed
            print(f"journy_track: {text}", file=sys.stderr)
