"""What a file of the spool may cost in memory and time: whoever can write to the folder may have planted it.

A legitimate file stays far below each bound; one that exceeds it is `Corrupt`.
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

#: Bytes of a row. A dead letter has a message, and what a server responded, escaped.
MAX_ROW = 512 * 1024
#: Characters of a message. A body has 64 KiB at most.
MAX_MESSAGE = 2 * MAX_BYTES
#: Places are counted up from 1. Beyond this one, adding to them might not fit in SQLite's integers.
MAX_PLACE = 1 << 62
#: Bytes of SQLite's log beside a file: a gigabyte takes half a second to read, and two to move into the file.
MAX_LOG = 1 << 30
#: Seconds of CPU for which the lock is held: one page takes 1 to 20 ms. Not seconds of the clock: a slow disk, or a
#: process that was suspended, does not mean that the file is bad.
MAX_CPU = 2.0
#: Rows that are looked into while the lock is held, and rows that are counted.
PAGE = 500
COUNTED = 10_000
#: Characters of messages that are read into memory at once.
PAGE_SIZE = 4 << 20
#: Seconds of work after which the lock is left free for `_PAUSE`: a thread that only releases it and takes it again
#: leaves a fork no chance to get it.
_WORK = 0.02
_PAUSE = 0.0005
#: SQLite's steps between two looks at the clock, and looks while a file is opened. That takes some 200 steps, and
#: 7 more for each table that the file defines.
_STEPS = 1000
_LOOKS_TO_OPEN = 5

_YEAR_1, _YEAR_9999 = -62135596800.0, 253402300799.0


class BoundedConnection(Connection):
    """A connection whose statements end, whatever is in the file."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_ROW)
        self.text_factory = _text
        self._budget = _Budget()
        self._budget.renew(_LOOKS_TO_OPEN)
        self.set_progress_handler(self._budget.is_used_up, _STEPS)

    def renew(self) -> None:
        """Grant what comes next `MAX_CPU` seconds."""
        self._budget.renew()


class _Budget:
    """Of its own, as a connection that its own handler refers to would wait for the garbage collector."""

    def renew(self, looks: float = inf) -> None:
        self._looks = looks
        self._until = thread_time() + MAX_CPU

    def is_used_up(self) -> bool:
        self._looks -= 1
        return self._looks < 0 or thread_time() > self._until


class Pauses:
    """Leaves the lock free now and then, between the pages of long work."""

    def __init__(self) -> None:
        self._at = monotonic() + _WORK

    def between(self) -> None:
        """Call it without the lock."""
        if monotonic() >= self._at:
            threading.Event().wait(_PAUSE)
            self._at = monotonic() + _WORK


def check_log(log: Path) -> None:
    """Raise `SpoolError` if SQLite's log beside a file is larger than it should be read."""
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
    """A row's place, which is beyond that of the row before it: a damaged tree may lead back to what was read."""
    if type(value) is not int or not after < value <= MAX_PLACE:
        raise Implausible("places that are not in order")
    return value


def moment(value: Any) -> float:
    """A second since the epoch, of a year that there is."""
    if type(value) is not float or not _YEAR_1 <= value <= _YEAR_9999:
        raise Implausible("a time that is not one")
    return value


def text(value: Any, limit: int = MAX_MESSAGE) -> str:
    """A text of at most *limit* characters."""
    if type(value) is not str or len(value) > limit:
        raise Implausible("a text that is not one, or too long")
    return value


def number(value: Any) -> int:
    """A count, or a status."""
    if type(value) is not int:
        raise Implausible("a number that is not one")
    return value


def fields(value: Any) -> FrozenDict:
    """What is wrong with which field, by name."""
    try:
        kept = json.loads(text(value, MAX_ROW))
    except (ValueError, RecursionError):
        raise Implausible("fields that are not JSON") from None
    if type(kept) is not dict or not all(type(reason) is str for reason in kept.values()):
        raise Implausible("fields that are not texts")
    return FrozenDict(kept)
