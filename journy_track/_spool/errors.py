"""What can be wrong with a file of the spool."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from errno import errorcode
from pathlib import Path

_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class SpoolError(Exception):
    """The file cannot be used now: a full disk, no permission, another process that keeps it busy.

    *name* is what SQLite or the system calls that, as ``SQLITE_FULL`` or ``EROFS``.
    """

    def __init__(self, said: str, name: str = "") -> None:
        super().__init__(said)
        self.name = name


class Corrupt(SpoolError):
    """What is in the file is no longer, or never was, a spool."""


class Gone(SpoolError):
    """Somebody removed the file while it was open."""


class Newer(SpoolError):
    """A newer version of this library wrote the file."""


class Owned(SpoolError):
    """A living process owns the file."""


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Raise a `SpoolError` that names *path* for what SQLite and the system raise."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what an extended code adds
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        kind = Corrupt if code in _CORRUPT else SpoolError
        raise kind(f"{path}: {error} ({name})", name) from error
    except OSError as error:
        name = errorcode.get(error.errno or 0, type(error).__name__)
        raise SpoolError(f"{error.filename or path}: {error.strerror or error}", name) from error
