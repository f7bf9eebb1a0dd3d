"""Warnings that are logged once per process, since repeating them would not help."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from journy_track._model.logs import log

MAX_CAUSES = 1000
_logged: set[object] = set()
_forgetting: list[Callable[[], object]] = [_logged.clear]


def warn_once(cause: object, message: str, *arguments: Any) -> None:
    """Log *message* as a warning, the first time that *cause* occurs in this process."""
    if cause not in _logged and len(_logged) < MAX_CAUSES:
        _logged.add(cause)
        log(logging.WARNING, message + " (Logged once.)", *arguments)


def also_forget(clear: Callable[[], object]) -> None:
    """Also call *clear* in `forget()`."""
    _forgetting.append(clear)


def forget() -> None:
    """Reset, as if nothing had been logged or done yet in this process. For tests."""
    for clear in _forgetting:
        clear()
