"""Celery: its tasks, the exceptions that end a task without failing it, and how a pool process ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from journy_track._model.frameworks import Framework, Holder

_connected = False


def _call_before_end(deliver: Callable[[], None]) -> None:
    """Call *deliver* on the signal that a pool process sends before it ends by os._exit, without exit handlers."""
    global _connected  # noqa: PLW0603 - once, and forked children have it too
    ends = getattr(sys.modules.get("celery.signals"), "worker_process_shutdown", None)
    if ends is None or _connected:
        return
    _connected = True  # set first: connecting takes a lock, and a signal handler may capture meanwhile

    def ended(**_: Any) -> None:
        deliver()

    ends.connect(ended, weak=False, dispatch_uid="journy_track")


FRAMEWORK: Final = Framework(
    interruptions=frozenset({("celery.exceptions", "TaskPredicate")}),  # Retry, Ignore, Reject
    registered={
        ("celery.app.task", "Task"): "a Celery task",
        ("celery.local", "PromiseProxy"): "a Celery task",
        ("celery.local", "Proxy"): "a Celery task",
    },
    holders={("celery.utils.dispatch.signal", "Signal"): Holder(("receivers",), "@signal.connect")},
    call_before_end=_call_before_end,
)
