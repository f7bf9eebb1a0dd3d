"""What is said in the app's log: never at the cost of what says it."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import Any

_log = logging.getLogger("journy_track")
_broken = False


def say(level: int, message: str, *arguments: Any, exc_info: BaseException | None = None) -> None:
    """Log *message*.

    A handler or filter of the app's that raises must not end a worker, lose an item or reach who captures. It is
    named on stderr, once: there is no log to name it in.
    """
    global _broken  # noqa: PLW0603 - said once a process
    try:
        _log.log(level, message, *arguments, exc_info=exc_info, stacklevel=2)
    except Exception as error:  # noqa: BLE001
        if not _broken and sys.stderr is not None:
            _broken = True
            with suppress(OSError, ValueError):  # it may be closed
                print(f"journy_track: logging raised {type(error).__name__}; this line was lost", file=sys.stderr)


def show(text: str) -> None:
    """Log *text* as information, or print it where the log takes none: who asks for debug mode wants to see."""
    if _log.isEnabledFor(logging.INFO) and _log.hasHandlers():
        say(logging.INFO, "%s", text)
    elif sys.stderr is not None:
        with suppress(OSError, ValueError):  # it may be closed
            print(f"journy_track: {text}", file=sys.stderr)
