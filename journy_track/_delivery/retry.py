"""When to try again."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST = 0.5
LONGEST = 60.0


def backoff(attempts: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds before the next attempt after *attempts*: exponential from 0.5 to 60, with full jitter."""
    return uniform(0.0, min(LONGEST, FIRST * 2.0 ** min(attempts, 20)))
