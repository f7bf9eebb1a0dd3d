"""Finding the place in the user's code where something happened."""

from __future__ import annotations

import inspect
import os
import sys
from types import CodeType, FrameType

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
#: Parts of the paths of code that may come between the user's code and this library.
_BETWEEN = (
    f"{os.sep}wrapt{os.sep}",
    f"{os.sep}contextlib.py",
    f"{os.sep}logging{os.sep}__init__.py",
    "<journy_track>",  # stand-ins of decorated functions
)


def caller() -> str:
    """File and line of the innermost frame outside this library."""
    return _outside(sys._getframe(1))


def captured_at() -> str:
    """File and line of the function that `@track_event` decorates; for any other call, the same as `caller()`.

    A decorated view is called by its framework, and the framework's line would not help the reader.
    """
    first = frame = sys._getframe(1)
    while frame.f_back is not None and not _is_outside(frame):
        here = frame.f_locals
        code = _code_of(here.get("function")) or _code_of(getattr(here.get("self"), "_function", None))
        if code is not None:
            return f"{_short(code.co_filename)}:{code.co_firstlineno}"
        frame = frame.f_back
    return _outside(first)


def _code_of(function: object) -> CodeType | None:
    """The code of *function* if it is the user's; otherwise `None`."""
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    return code if isinstance(code, CodeType) and not code.co_filename.startswith(_OURS) else None


def _outside(frame: FrameType) -> str:
    while frame.f_back is not None and not _is_outside(frame):
        frame = frame.f_back
    return f"{_short(frame.f_code.co_filename)}:{frame.f_lineno}"


def _is_outside(frame: FrameType) -> bool:
    path = frame.f_code.co_filename
    return not path.startswith(_OURS) and not any(part in path for part in _BETWEEN)


def _short(path: str) -> str:
    try:
        relative = os.path.relpath(path) if os.path.isabs(path) else path
    except (OSError, ValueError):  # the working directory is gone, or on another drive
        return path
    return path if relative.startswith("..") else relative
