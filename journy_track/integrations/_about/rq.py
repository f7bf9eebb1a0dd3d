"""RQ: how a work horse exits."""

from __future__ import annotations

import os
from typing import Final

from journy_track._model.frameworks import Framework


def _ends_abruptly() -> bool:
    """Whether this is a work horse, which exits by os._exit and may be spawned or forked before we are imported.

    RQ sets the environment variable for each work horse, and in the worker itself, where this does no harm.
    Inspecting the stacks of all threads would be more precise, but it occasionally hangs or crashes CPython 3.11
    (gh-106883).
    """
    return "RQ_JOB_ID" in os.environ


FRAMEWORK: Final = Framework(ends_abruptly=_ends_abruptly)
