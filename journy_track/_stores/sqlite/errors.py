"""Errors of spool files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from errno import errorcode
from pathlib import Path

from journy_track._model.errors import printable
from journy_track._stores.store import StoreError

#: The last two mean a row that is too large, and a statement that took too long (see `bounds`).
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_INTERRUPT}
#: Maximum characters of SQLite's error text, which may quote definitions in a file.
_MAX_QUOTED = 200


class SpoolError(StoreError):
    """The file cannot be used at the moment: a full disk, no permission, another process that keeps it busy.

    *name* is SQLite's or the system's name for the error, such as ``SQLITE_FULL`` or ``EROFS``.
    """

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(printable(message), name)


class Corrupt(SpoolError):
    """The file is not a spool file of this library, or is damaged."""

    at_once = True  # with another file


class Gone(SpoolError):
    """The file was removed while it was open."""

    at_once = True  # with another file


class Newer(SpoolError):
    """The file was written by a newer version of this library."""


class Owned(SpoolError):
    """A living process owns the file."""


class NotAFile(OSError):
    """There is a link, a pipe or a folder instead of a file."""


class Implausible(Exception):
    """The data read was not written by this library. `mapped_errors` raises `Corrupt` for it."""


@contextmanager
def mapped_errors(path: Path) -> Iterator[None]:
    """Convert errors of SQLite and the system to a `SpoolError` that names *path*."""
    try:
        yield
    except Implausible as error:
        raise Corrupt(f"{path}: it holds {error}", "implausible") from None
    except UnicodeDecodeError:
        raise Corrupt(f"{path}: it holds names that are not UTF-8", "implausible") from None
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary result code
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        kind = Corrupt if code in _CORRUPT else SpoolError
        raise kind(f"{path}: {str(error)[:_MAX_QUOTED]} ({name})", name) from error
    except OSError as error:
        name = errorcode.get(error.errno or 0, type(error).__name__)
        raise SpoolError(f"{error.filename or path}: {error.strerror or error}", name) from error
