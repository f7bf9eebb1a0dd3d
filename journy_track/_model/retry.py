"""When to retry, and with how many bytes."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST = 0.5
MAX_PAUSE = 60.0
#: The most bytes in one broker call: a quarter of a second at 1 MB/s, where a call may take one second.
MAX_BYTES = 256 * 1024
MIN_BYTES = 4 * 1024


def backoff(attempts: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds to wait after *attempts* attempts: exponential, from 0.5 up to 60, with full jitter."""
    return uniform(0.0, min(MAX_PAUSE, FIRST * 2.0 ** min(attempts, 20)))


class ByteLimit:
    """The limit of bytes in one call: halved after each failure, doubled after each success.

    On a slow connection, a call that takes too long would take too long again each time it is retried.
    """

    def __init__(self) -> None:
        self.bytes = MAX_BYTES

    def failed(self) -> None:
        self.bytes = max(MIN_BYTES, self.bytes // 2)

    def succeeded(self) -> None:
        self.bytes = min(MAX_BYTES, self.bytes * 2)


def size_of(text: str) -> int:
    """Bytes of *text* in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())
