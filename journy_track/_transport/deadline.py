"""A deadline for a whole request, as a socket's timeout applies to each read and write separately."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from journy_track._model.apart import OURS
from journy_track._model.clock import monotonic

#: The maximum number of bytes of the status line and the headers, in addition to the body's.
MAX_HEAD = 64 * 1024


class Bounds:
    """What is left for one request: the time until *deadline*, and bytes of response. Also whether it was sent."""

    __slots__ = ("bytes_left", "deadline", "sent")

    def __init__(self, deadline: float, max_bytes: int) -> None:
        self.deadline = deadline
        self.bytes_left = max_bytes + MAX_HEAD
        #: Whether any part of the request was written to a connection, so that it may have been processed.
        self.sent = False

    def seconds_left(self) -> float:
        """Return the seconds until the deadline. Raises `TimeoutError` after it."""
        left = self.deadline - monotonic()
        if left <= 0:
            raise TimeoutError("the time of the request is over")
        return left

    def begin(self) -> None:
        """Record that the request is about to be written. Raises `TimeoutError` if it may not be sent any more."""
        permitted = _permitted.get()
        if permitted is not None and not permitted():
            raise TimeoutError("the request may not be sent any more")
        self.sent = True


_permitted: ContextVar[Callable[[], bool] | None] = ContextVar("journy_track_request_permitted", default=None)
OURS.append(_permitted)


@contextmanager
def only_while(permitted: Callable[[], bool]) -> Iterator[None]:
    """In this block, write a request only if *permitted* returns true once its connection is ready.

    Connecting takes time, and the process may be suspended in the middle of it.
    """
    token = _permitted.set(permitted)
    try:
        yield
    finally:
        _permitted.reset(token)
