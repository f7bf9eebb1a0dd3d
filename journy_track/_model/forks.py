"""What a fork must not cut in half: `configure()`, imports that come late, and SQLite.

A child that is forked in the middle of an import holds half a module, and the lock of a thread that it does not have.
"""

from __future__ import annotations

# logging first: what is registered last is called first, and it has a hook that takes the lock which the modules that
# are being imported need for their loggers.
import logging  # noqa: F401
import os
from collections.abc import Callable
from threading import RLock

#: Held while a tracker is installed.
configuring = RLock()
#: Held while something is imported later than at the start. Re-entrant: a signal handler may fork, or import, while
#: its own thread imports.
importing = RLock()
#: Held while something is done of which SQLite keeps locks of its own in memory: the child would find them held for
#: ever.
unforked_lock = RLock()
#: Seconds for which a fork waits for each of them, at most.
_WAIT = 5.0
#: Called in each forked child.
in_child: list[Callable[[], object]] = []
_held: list[RLock] = []
_first_pid = os.getpid()
_told = False


def _before_fork() -> None:
    _held[:] = [lock for lock in (configuring, importing, unforked_lock) if lock.acquire(timeout=_WAIT)]


def _after_fork() -> None:
    while _held:
        _held.pop().release()


def _in_child() -> None:
    global _told  # noqa: PLW0603 - a flag that only ever becomes true
    _told = True
    _after_fork()
    for call in in_child:
        call()


def in_forked_child() -> bool:
    """Whether this process was forked from one that had this library, also by a server that runs no hooks."""
    return _told or os.getpid() != _first_pid


if hasattr(os, "register_at_fork"):  # there are systems that do not fork
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
