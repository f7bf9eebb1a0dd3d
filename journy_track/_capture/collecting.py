"""Keep a context's variables alive during garbage collection, on Python 3.11.

Before 3.12 the collector may run inside `ContextVar.set()` and `copy_context()`, which hold no reference to the
variables that they read (https://github.com/python/cpython/issues/148891). If a collected object sets a ContextVar
as it ends, the variables are freed meanwhile, and the interpreter crashes. Our blocks and decorated functions set
one, for example in a generator that was abandoned half-way or in the `__del__` of an object.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextvars import copy_context
from typing import Any


def keep_variables() -> None:
    """From now on, keep the current context's variables alive during garbage collections.

    If a collection sets no variable, they are released at its end, otherwise at the start of the next one: the
    interrupted call still reads them after the last callback, and there is no way to know when it has ended.
    """
    gc.callbacks.insert(0, _keeper())


def _keeper() -> Callable[[str, dict[str, Any]], None]:
    # A closure, since the last collections run when module globals are already gone.
    copy, referents = copy_context, gc.get_referents
    kept: Any = None

    def variables() -> Any:
        # All copies of a context share one object until a variable is set.
        return referents(copy())[0]

    def keep(phase: str, info: dict[str, Any]) -> None:
        nonlocal kept
        if phase == "start":
            kept = variables()
        elif variables() is kept:
            kept = None

    return keep
