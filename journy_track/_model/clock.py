"""The clock by which we wait: the real one, also in a test of the app's that has frozen time."""

from __future__ import annotations

import time
from collections.abc import Callable


# The original is kept as a default: freezegun replaces every module's time.monotonic, wherever it finds it, and a
# wait for a clock that stands still never ends.
def monotonic(now: Callable[[], float] = time.monotonic) -> float:
    """Seconds since some moment: never set, never back."""
    return now()
