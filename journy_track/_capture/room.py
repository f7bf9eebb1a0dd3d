"""Who waits for room in a full queue instead of dropping, and where nobody may wait."""

from __future__ import annotations

import functools
import signal
import sys
import threading
from contextvars import ContextVar
from types import CodeType, FrameType
from typing import Any, Protocol

from journy_track._capture.context import current_frame, in_our_own_code
from journy_track._model.loops import in_loop


class Waiter(Protocol):
    """An open `bulk()` block."""

    def wait_for_room(self, queue: Any, extra: int, /) -> bool:
        """Wait until *queue* has room for an item that is charged *extra*; false where it must not, or in vain."""


#: The blocks that the current code runs in, the innermost first. It follows `await`, tasks and `in_context()`; a
#: plain thread begins without. Only a full queue looks here, so that nobody else pays for it.
waiters: ContextVar[tuple[Waiter, ...]] = ContextVar("journy_track_bulk", default=())


def why_not_to_wait() -> str | None:
    """Why the current code must not wait for room; `None`: it may."""
    if in_our_own_code():
        return "in a hook of journy_track, which its own thread runs: that thread makes the room"
    if in_loop():
        return "on an event loop, where it would hold up all other tasks: run it in a thread (asyncio.to_thread)"
    cell = current_frame().cell
    if cell is not None and cell.of_request:
        return "in a web request, whose client would wait, too: run it in a job or a management command"
    if in_signal_handler():
        return "in a signal handler, which holds up what it interrupts: set a flag there, and look at it elsewhere"
    return None


def in_signal_handler() -> bool:
    """Whether a handler of `signal.signal()` runs here. Python does not tell, but the stack does."""
    if threading.current_thread() is not threading.main_thread():
        return False
    codes = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    frame: FrameType | None = sys._getframe(1) if codes else None
    while frame is not None:
        if frame.f_code in codes:
            return True
        frame = frame.f_back
    return False


def _code_of(handler: Any) -> CodeType | None:
    while isinstance(handler, functools.partial):
        handler = handler.func
    function = getattr(handler, "__func__", handler)
    code = getattr(function, "__code__", None)
    if code is None and callable(function):
        code = getattr(getattr(type(function), "__call__", None), "__code__", None)  # noqa: B004 - for its code
    return code if isinstance(code, CodeType) else None
