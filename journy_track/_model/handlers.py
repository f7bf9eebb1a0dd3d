"""Finds the code of signal handlers, to recognise their frames."""

from __future__ import annotations

import functools
import signal
from types import CodeType
from typing import Any


def handler_codes() -> set[CodeType]:
    """Return the code of each handler that is set by `signal.signal()` and written in Python."""
    codes = (_code_of(signal.getsignal(number)) for number in signal.valid_signals())
    return {code for code in codes if code is not None}


def _code_of(handler: Any) -> CodeType | None:
    while isinstance(handler, functools.partial):
        handler = handler.func
    function = getattr(handler, "__func__", handler)
    code = getattr(function, "__code__", None)
    if code is None and callable(function):
        code = getattr(getattr(type(function), "__call__", None), "__code__", None)  # noqa: B004 - for its code
    return code if isinstance(code, CodeType) else None
