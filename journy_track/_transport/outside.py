"""Exceptions that have nothing to do with the request that they interrupt."""

from __future__ import annotations

import signal
from http.client import HTTPException
from traceback import walk_tb
from types import CodeType
from typing import Any

#: What the standard library raises while a request is made.
_STANDARD = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    HTTPException,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def interruption(error: BaseException, *known: type[BaseException]) -> BaseException | None:
    """What interrupted the request that *error* came out of; `None` where it is an error of the request.

    That is what a signal handler raised, and any exception that is neither *known* nor of a kind that the standard
    library raises: Celery's SoftTimeLimitExceeded and RQ's JobTimeoutException are of their own.
    """
    return error if not isinstance(error, (*_STANDARD, *known)) else raised_by_signal(error)


def raised_by_signal(error: BaseException) -> BaseException | None:
    """*error*, or what led to it, if a signal handler raised that."""
    handlers = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    at: BaseException | None = error
    while at is not None:
        if any(frame.f_code in handlers for frame, _ in walk_tb(at.__traceback__)):
            return at
        at = at.__cause__ or at.__context__
    return None


def _code_of(handler: Any) -> CodeType | None:
    code = getattr(getattr(handler, "__func__", handler), "__code__", None)
    return code if isinstance(code, CodeType) else None
