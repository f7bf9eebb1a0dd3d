"""Prevents threads that inherit their starter's context, from Python 3.14 on, from inheriting its identity.

`thread_inherit_context` is on by default in builds without the GIL. A pool's thread would keep, for its whole life,
the identity of the user who was being served when it was started. A context that is passed on explicitly, by
`in_context()`, `asyncio.to_thread` or `Thread(context=…)`, is not affected.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextvars import copy_context

from journy_track._capture.context import BOTTOM, set_frame


def start_without_identity(kind: type[threading.Thread]) -> None:
    """From now on, threads of that *kind* inherit their starter's context, except for the user and account.

    This must happen in `start()`: inside the thread, an inherited context looks the same as one passed explicitly.
    """
    start = kind.start

    @functools.wraps(start)
    def started(self: threading.Thread) -> None:
        copy_context().run(_started, start, self)

    kind.start = started  # type: ignore[method-assign]


def _started(start: Callable[[threading.Thread], None], thread: threading.Thread) -> None:
    set_frame(BOTTOM)  # in a copy of the starter's context, of which the thread gets a copy
    start(thread)
