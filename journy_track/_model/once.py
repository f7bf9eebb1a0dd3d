"""Hints that are logged once in a process: repeating them would not help."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from journy_track._model.logs import log

MAX_CAUSES = 1000
_logged: set[object] = set()
_forgetting: list[Callable[[], object]] = [_logged.clear]


def warn_once(cause: object, message: str, *arguments: Any) -> None:
    """Log *message* as a warning, the first time that *cause* comes up in this process."""
    if cause not in _logged and len(_logged) < MAX_CAUSES:
        _logged.add(cause)
        log(logging.WARNING, message + " (Logged once.)", *arguments)


def also_forget(clear: Callable[[], object]) -> None:
    """Call *clear* where what a process remembers is forgotten."""
    _forgetting.append(clear)


def forget() -> None:
    """As if nothing had been logged or done yet in this process. For tests."""
    for clear in _forgetting:
        clear()
