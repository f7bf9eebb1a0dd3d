"""The clock by which we wait: the real one, also in a test of the app's that has frozen time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import partial

#: Seconds since some moment: never set, never back. A partial, because freezegun replaces every module's
#: time.monotonic, wherever it finds it, and a wait for a clock that stands still never ends.
monotonic = partial(time.monotonic)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment_of(seconds: float) -> datetime:
    """That second since the epoch, in UTC. Raises `OverflowError` out of range, and `ValueError` for NaN.

    Unlike `datetime.fromtimestamp`, also on Windows for one before 1970, or after the year 3000.
    """
    return _EPOCH + timedelta(seconds=seconds)
