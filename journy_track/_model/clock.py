"""The clock used for waiting: the real one, even in a test that freezes time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import partial

#: Seconds on a monotonic clock. A partial, because freezegun replaces time.monotonic in every module that holds it,
#: and waiting by a frozen clock would never end.
monotonic = partial(time.monotonic)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment_of(seconds: float) -> datetime:
    """The datetime in UTC of *seconds* since the epoch. Raises `OverflowError` out of range, `ValueError` for NaN.

    Unlike `datetime.fromtimestamp`, it also works on Windows for times before 1970 or after the year 3000.
    """
    return _EPOCH + timedelta(seconds=seconds)
