"""The clock by which we wait: the real one, also in a test of the app's that has frozen time."""

from __future__ import annotations

import time
from functools import partial

#: Seconds since some moment: never set, never back. A partial, because freezegun replaces every module's
#: time.monotonic, wherever it finds it, and a wait for a clock that stands still never ends.
monotonic = partial(time.monotonic)
