"""Operations that a fork must not interrupt: `configure()`, late imports, and SQLite.

A child that is forked in the middle of an import has a half-imported module, and a lock held by a thread that does
not exist in it.
"""

from __future__ import annotations

# logging first: fork hooks run in reverse order of registration, and logging's hook takes a lock that modules need
# for their loggers while they are imported.
import logging  # noqa: F401
import os
from collections.abc import Callable
from threading import RLock

#: Held while a tracker is installed.
configuring = RLock()
#: Held during imports that happen later than at the start. Re-entrant: a signal handler may fork, or import, while
#: its own thread is importing.
importing = RLock()
#: Held during operations for which SQLite takes its own in-memory locks, which would stay locked in a child.
unforked_lock = RLock()
#: The maximum number of seconds for which a fork waits for each of them.
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
    """Whether this process was forked from one with this library loaded, even by a server that runs no fork hooks."""
    return _told or os.getpid() != _first_pid


if hasattr(os, "register_at_fork"):  # some systems cannot fork
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
