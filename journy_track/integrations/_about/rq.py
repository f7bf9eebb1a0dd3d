"""RQ: how a work horse ends."""

from __future__ import annotations

import os
from typing import Final

from journy_track._model.frameworks import Framework


def _ends_abruptly() -> bool:
    """A work horse ends by os._exit, and may have been spawned, or forked before this library was imported.

    RQ sets this variable for each horse, and in the worker itself, where it does no harm. The stacks of all threads
    would be more exact, but to look at them hangs or crashes CPython 3.11 now and then (gh-106883).
    """
    return "RQ_JOB_ID" in os.environ


FRAMEWORK: Final = Framework(ends_abruptly=_ends_abruptly)
