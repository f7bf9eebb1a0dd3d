"""What is said once a process: hints that do not get truer by repetition."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from journy_track._model.logs import say

_MOST = 1000
_said: set[object] = set()
_forgetting: list[Callable[[], object]] = [_said.clear]


def warn_once(cause: object, message: str, *arguments: Any, exc_info: BaseException | None = None) -> None:
    """Log *message* as a warning, the first time that *cause* comes up in this process."""
    if cause not in _said and len(_said) < _MOST:
        _said.add(cause)
        say(logging.WARNING, message + " (Said once.)", *arguments, exc_info=exc_info)


def also_forget(clear: Callable[[], object]) -> None:
    """Call *clear* where what a process remembers is forgotten."""
    _forgetting.append(clear)


def forget() -> None:
    """As if nothing had been said or done yet in this process. For tests."""
    for clear in _forgetting:
        clear()
