"""Python 3.11: keeps a context's variables alive while garbage is collected in it.

Before 3.12 the collector may run inside `ContextVar.set()` and `copy_context()`, which hold no reference to the
variables that they read (https://github.com/python/cpython/issues/148891). If what is collected sets a ContextVar
as it ends, the variables are freed meanwhile, and the interpreter crashes. Our blocks and decorated functions set
one: in a generator that was abandoned half-way, in the `__del__` of an object.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextvars import copy_context
from typing import Any


def keep_variables() -> None:
    """From now on, keep the current context's variables alive while garbage is collected.

    If nothing was set in a collection they are released at its end, otherwise at the start of the next one: the call
    that was interrupted still reads them after the last callback, and nothing tells when it has ended.
    """
    gc.callbacks.insert(0, _keeper())


def _keeper() -> Callable[[str, dict[str, Any]], None]:
    # A closure, since the last collections come when the globals of modules are gone.
    copy, referents = copy_context, gc.get_referents
    kept: Any = None

    def variables() -> Any:
        # All copies of a context share one object, until a variable is set.
        return referents(copy())[0]

    def keep(phase: str, info: dict[str, Any]) -> None:
        nonlocal kept
        if phase == "start":
            kept = variables()
        elif variables() is kept:
            kept = None

    return keep
