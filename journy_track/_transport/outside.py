"""Detects exceptions that are unrelated to the request they interrupt."""

from __future__ import annotations

from http.client import HTTPException
from traceback import walk_tb

from journy_track._model.handlers import handler_codes

#: What the standard library may raise during a request.
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
    """Return the exception that interrupted the request that raised *error*; `None` if it is the request's own error.

    That is an exception raised by a signal handler, and any exception that is neither *known* nor of a type that the
    standard library raises, such as Celery's SoftTimeLimitExceeded and RQ's JobTimeoutException.
    """
    return error if not isinstance(error, (*_STANDARD, *known)) else raised_by_signal(error)


def raised_by_signal(error: BaseException) -> BaseException | None:
    """Return *error*, or the cause or context of it, that a signal handler raised; `None` if there is none."""
    handlers = handler_codes()
    at: BaseException | None = error
    while at is not None:
        if any(frame.f_code in handlers for frame, _ in walk_tb(at.__traceback__)):
            return at
        at = at.__cause__ or at.__context__
    return None
