"""When to try again, and with how much."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST = 0.5
MAX_PAUSE = 60.0
#: Bytes in one call of a broker, at most: a quarter of a second at 1 MB/s, where a call may last one.
MAX_BYTES = 256 * 1024
MIN_BYTES = 4 * 1024


def backoff(attempts: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds before the next attempt after *attempts*: exponential from 0.5 to 60, with full jitter."""
    return uniform(0.0, min(MAX_PAUSE, FIRST * 2.0 ** min(attempts, 20)))


class ByteLimit:
    """How many bytes one call may carry: half as many after each failure, twice as many after each success.

    What takes too long on a slow connection takes too long again, however often it is tried.
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
