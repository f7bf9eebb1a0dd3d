"""What happens at the end of the process."""

from __future__ import annotations

import atexit
import os
import sys
from typing import Any, Protocol

from journy_track._model.clock import monotonic


class Living(Protocol):
    """A tracker, as far as the process cares."""

    def at_exit(self, deadline: float) -> None: ...
    def exit_timeout(self) -> float: ...


# Strong: a tracker whose last name is gone still has items to deliver.
_living: set[Living] = set()
_registered = False
_finalized: int | None = None
_told_celery = False


def watch(tracker: Living) -> None:
    """Have *tracker* told of exit, until it is shut down."""
    global _registered  # noqa: PLW0603 - once a process: hooks cannot be taken away
    _living.add(tracker)
    if not _registered:
        _registered = True
        # Registered early, so run late: what is captured in other exit handlers still counts.
        atexit.register(_at_exit)


def forget(tracker: Living) -> None:
    """The tracker is shut down."""
    _living.discard(tracker)


def first_capture() -> None:
    """The first item of this process was captured: by now it is known what kind of process it is."""
    global _finalized  # noqa: PLW0603 - the process for which it is registered
    _follow_celery()
    if _finalized == os.getpid():
        return
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        # A child of multiprocessing leaves by os._exit, past atexit. It clears what was registered before it
        # began, so not earlier than here; and last of all, since other finalisers may still capture.
        util.Finalize(None, _at_exit, exitpriority=-1000)
        _finalized = os.getpid()


def _follow_celery() -> None:
    """A child of Celery's pool leaves by os._exit, past atexit and past finalisers. It sends a signal before."""
    global _told_celery  # noqa: PLW0603 - once, and forked children have it too
    ends = getattr(sys.modules.get("celery.signals"), "worker_process_shutdown", None)
    if ends is not None and not _told_celery:
        _told_celery = True  # before: connecting takes a lock, and a signal handler may capture meanwhile
        ends.connect(_celery_ends, weak=False, dispatch_uid="journy_track")


def _celery_ends(**_: Any) -> None:
    _at_exit()


def uwsgi_without_threads() -> bool:
    """Whether this is a worker of uWSGI whose options keep Python's threads, and so the worker, from running."""
    uwsgi = sys.modules.get("uwsgi")
    options = getattr(uwsgi, "opt", None)
    # Since 2.0.28 they always run, whatever the options.
    if not isinstance(options, dict) or getattr(uwsgi, "version_info", (0,))[:3] >= (2, 0, 28):
        return False
    return not any(_is_on(options, name) for name in ("threads", "enable-threads", "gevent"))


def _is_on(options: dict[Any, Any], name: str) -> bool:
    value = options.get(name, options.get(name.encode()))
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return value is not None and text.lower() not in ("false", "off", "no", "0")


def _at_exit() -> None:
    """Everything that waits gets one time budget: the longest that any tracker asks for."""
    trackers = list(_living)
    if trackers:
        deadline = monotonic() + max(tracker.exit_timeout() for tracker in trackers)
        for tracker in trackers:
            tracker.at_exit(deadline)
