"""Limits on the memory and time that a spool file may cost, as anyone who can write to the folder may plant one.

A legitimate file stays far below each bound; a file that exceeds one is `Corrupt`.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from math import inf
from pathlib import Path
from time import thread_time
from typing import Any

from journy_track._model.clock import monotonic
from journy_track._model.frozendict import FrozenDict
from journy_track._model.messages import MAX_BYTES
from journy_track._stores.sqlite.errors import Implausible, SpoolError
from journy_track._stores.sqlite.statements import Connection

#: Maximum bytes of a row. A dead letter contains a message and the server's escaped response.
MAX_ROW = 512 * 1024
#: Maximum characters of a message. A body has at most 64 KiB.
MAX_MESSAGE = 2 * MAX_BYTES
#: The maximum position. Positions count up from 1; beyond this, adding to them could overflow SQLite's integers.
MAX_PLACE = 1 << 62
#: Maximum bytes of SQLite's log: a gigabyte takes half a second to read, and two seconds to move into the file.
MAX_LOG = 1 << 30
#: Maximum seconds of CPU time while the lock is held: one page takes 1 to 20 ms. Not wall-clock time: a slow disk, or
#: a suspended process, does not mean that the file is bad.
MAX_CPU = 2.0
#: Rows that are read, and rows that are counted, each time the lock is held.
PAGE = 500
COUNTED = 10_000
#: Maximum characters of messages that are read into memory at once.
PAGE_SIZE = 4 << 20
#: Seconds of work after which the lock stays free for `_PAUSE` seconds: if a thread releases the lock and takes it
#: again immediately, a fork never gets it.
_WORK = 0.02
_PAUSE = 0.0005
#: SQLite's steps between two checks of the clock, and the maximum number of checks while a file is opened. Opening
#: takes about 200 steps, plus 7 for each table that the file defines.
_STEPS = 1000
_LOOKS_TO_OPEN = 5

_YEAR_1, _YEAR_9999 = -62135596800.0, 253402300799.0


class BoundedConnection(Connection):
    """A connection whose statements end within limits, whatever the file contains."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_ROW)
        self.text_factory = _text
        self._budget = _Budget()
        self._budget.renew(_LOOKS_TO_OPEN)
        self.set_progress_handler(self._budget.is_used_up, _STEPS)

    def renew(self) -> None:
        """Allow the next statements `MAX_CPU` seconds."""
        self._budget.renew()


class _Budget:
    """A separate object: a handler that refers to its own connection would form a reference cycle."""

    def renew(self, looks: float = inf) -> None:
        self._looks = looks
        self._until = thread_time() + MAX_CPU

    def is_used_up(self) -> bool:
        self._looks -= 1
        return self._looks < 0 or thread_time() > self._until


class Pauses:
    """Leaves the lock free now and then, between the pages of a long operation."""

    def __init__(self) -> None:
        self._at = monotonic() + _WORK

    def between(self) -> None:
        """Pause if it is time. Call it without holding the lock."""
        if monotonic() >= self._at:
            threading.Event().wait(_PAUSE)
            self._at = monotonic() + _WORK


def check_log(log: Path) -> None:
    """Raise `SpoolError` if *log*, SQLite's log of a file, is too large to be read."""
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return
    if size > MAX_LOG:
        raise SpoolError(f"{log}: larger than {MAX_LOG} bytes: it is left alone", "log")


def _text(stored: bytes) -> str:
    try:
        return stored.decode()
    except UnicodeDecodeError:
        raise Implausible("a text that is not UTF-8") from None


# ── Values: SQLite keeps any type in any column ──


def place(value: Any, after: int = 0) -> int:
    """Check and return a row's position. It must be after *after*: in a damaged tree, rows may repeat endlessly."""
    if type(value) is not int or not after < value <= MAX_PLACE:
        raise Implausible("row numbers out of order")
    return value


def moment(value: Any) -> float:
    """Check and return a time in seconds since the epoch. Its year must be valid."""
    if type(value) is not float or not _YEAR_1 <= value <= _YEAR_9999:
        raise Implausible("an invalid time")
    return value


def text(value: Any, limit: int = MAX_MESSAGE) -> str:
    """Check and return a text of at most *limit* characters."""
    if type(value) is not str or len(value) > limit:
        raise Implausible("a text that is invalid or too long")
    return value


def number(value: Any) -> int:
    """Check and return a count or a status."""
    if type(value) is not int:
        raise Implausible("an invalid number")
    return value


def fields(value: Any) -> FrozenDict:
    """Parse the errors of fields, by field name."""
    try:
        kept = json.loads(text(value, MAX_ROW))
    except (ValueError, RecursionError):
        raise Implausible("error fields that are not JSON") from None
    if type(kept) is not dict or not all(type(reason) is str for reason in kept.values()):
        raise Implausible("error fields that are not strings")
    return FrozenDict(kept)
