"""Threads that inherit the context of whoever starts them, from Python 3.14 on: they inherit nobody's identity.

`thread_inherit_context` is on by default where there is no GIL. A pool's thread would act, for as long as it lives,
for whoever was served when it was started. What is handed over on purpose still is: by `in_context()`,
`asyncio.to_thread` or `Thread(context=…)`.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextvars import copy_context

from journy_track._capture.context import BOTTOM, set_frame


def start_without_identity(kind: type[threading.Thread]) -> None:
    """From now on, threads of that *kind* inherit what their starter's context holds, but for who acts.

    It has to be at the start: in the thread nobody can tell an inherited context from one that was handed over.
    """
    start = kind.start

    @functools.wraps(start)
    def started(self: threading.Thread) -> None:
        copy_context().run(_started, start, self)

    kind.start = started  # type: ignore[method-assign]


def _started(start: Callable[[threading.Thread], None], thread: threading.Thread) -> None:
    set_frame(BOTTOM)  # in a copy of the starter's context, of which the thread gets a copy
    start(thread)
