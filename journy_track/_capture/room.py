"""Waiting for room in a full queue instead of dropping items, and where waiting is not allowed."""

from __future__ import annotations

import sys
import threading
from contextvars import ContextVar
from types import FrameType
from typing import Any, Protocol

from journy_track._capture.context import current_frame, in_our_own_code
from journy_track._model.handlers import handler_codes
from journy_track._model.loops import in_loop


class Waiter(Protocol):
    """An open `bulk()` block."""

    def wait_for_room(self, queue: Any, extra: int, /) -> bool:
        """Wait until *queue* has room for an item charged *extra*; false if it may not wait, or gives up."""


#: The blocks that the current code runs in, innermost first. Propagates through `await`, tasks and `in_context()`; a
#: plain thread starts without any. Read only when a queue is full, so that it costs nothing otherwise.
waiters: ContextVar[tuple[Waiter, ...]] = ContextVar("journy_track_bulk", default=())


def why_not_to_wait() -> str | None:
    """Why the current code must not wait for room; `None` if it may."""
    if in_our_own_code():
        return "in a journy_track hook: it runs in the thread that has to make room"
    if in_loop():
        return "on an event loop, where it would hold up all other tasks: run it in a thread (asyncio.to_thread)"
    cell = current_frame().cell
    if cell is not None and cell.of_request:
        return "in a web request, whose client would wait, too: run it in a job or a management command"
    if in_signal_handler():
        return "in a signal handler, which holds up what it interrupts: set a flag there, and look at it elsewhere"
    return None


def in_signal_handler() -> bool:
    """Whether the current code runs in a handler set by `signal.signal()`, found by inspecting the stack."""
    if threading.current_thread() is not threading.main_thread():
        return False
    codes = handler_codes()
    frame: FrameType | None = sys._getframe(1) if codes else None
    while frame is not None:
        if frame.f_code in codes:
            return True
        frame = frame.f_back
    return False
