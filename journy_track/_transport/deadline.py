"""A deadline for the whole of a request: the timeout of a socket holds for each read and each write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from journy_track._model.apart import OURS
from journy_track._model.clock import monotonic

#: Bytes that the status line and the headers may have, on top of the body's.
MAX_HEAD = 64 * 1024


class Bounds:
    """What one request may still take: time until *deadline*, and bytes of response; and how far it came."""

    __slots__ = ("bytes_left", "deadline", "sent")

    def __init__(self, deadline: float, max_bytes: int) -> None:
        self.deadline = deadline
        self.bytes_left = max_bytes + MAX_HEAD
        #: Whether anything of the request itself was written to a connection: then it may have been processed.
        self.sent = False

    def seconds_left(self) -> float:
        """Seconds until the deadline. Raises `TimeoutError` after it."""
        left = self.deadline - monotonic()
        if left <= 0:
            raise TimeoutError("the time of the request is over")
        return left

    def begin(self) -> None:
        """Call this before the first byte of the request is written. Raises `TimeoutError` if it may not be."""
        permitted = _permitted.get()
        if permitted is not None and not permitted():
            raise TimeoutError("the request may not be sent any more")
        self.sent = True


_permitted: ContextVar[Callable[[], bool] | None] = ContextVar("journy_track_request_permitted", default=None)
OURS.append(_permitted)


@contextmanager
def only_while(permitted: Callable[[], bool]) -> Iterator[None]:
    """In this block a request is written only if *permitted* returns true once its connection is ready.

    Connecting takes its time, and a process may be stopped in the middle of it.
    """
    token = _permitted.set(permitted)
    try:
        yield
    finally:
        _permitted.reset(token)
