"""Where in the user's code something happened."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_OURS = str(Path(__file__).parent.parent) + os.sep
_BETWEEN = (f"{os.sep}wrapt{os.sep}", f"{os.sep}contextlib.py")


def caller() -> str:
    """File and line of the innermost frame that is not this library's."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        path = frame.f_code.co_filename
        if not path.startswith(_OURS) and not any(part in path for part in _BETWEEN):
            break
        frame = frame.f_back
    path = frame.f_code.co_filename
    relative = os.path.relpath(path) if os.path.isabs(path) else path
    return f"{path if relative.startswith('..') else relative}:{frame.f_lineno}"
