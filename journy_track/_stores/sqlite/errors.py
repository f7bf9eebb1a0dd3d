"""What can be wrong with a file of the spool."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from errno import errorcode
from pathlib import Path

from journy_track._model.errors import printable
from journy_track._stores.store import StoreError

#: The last two: a row that is too large, and a statement that took too long (see `bounds`).
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_INTERRUPT}
#: Characters of what SQLite finds wrong: it quotes what a file defines.
_MAX_QUOTED = 200


class SpoolError(StoreError):
    """The file cannot be used now: a full disk, no permission, another process that keeps it busy.

    *name* is what SQLite or the system calls that, as ``SQLITE_FULL`` or ``EROFS``.
    """

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(printable(message), name)


class Corrupt(SpoolError):
    """The file is not a spool of this library, or is damaged."""

    at_once = True  # with another file


class Gone(SpoolError):
    """Somebody removed the file while it was open."""

    at_once = True  # with another file


class Newer(SpoolError):
    """A newer version of this library wrote the file."""


class Owned(SpoolError):
    """A living process owns the file."""


class NotAFile(OSError):
    """A link, a pipe or a folder is in the place of a file."""


class Implausible(Exception):
    """What was read is nothing that this library writes. `mapped_errors` raises `Corrupt` for it."""


@contextmanager
def mapped_errors(path: Path) -> Iterator[None]:
    """Raise a `SpoolError` that names *path* for what SQLite and the system raise."""
    try:
        yield
    except Implausible as error:
        raise Corrupt(f"{path}: it holds {error}", "implausible") from None
    except UnicodeDecodeError:
        raise Corrupt(f"{path}: it holds names that are not UTF-8", "implausible") from None
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what an extended code adds
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        kind = Corrupt if code in _CORRUPT else SpoolError
        raise kind(f"{path}: {str(error)[:_MAX_QUOTED]} ({name})", name) from error
    except OSError as error:
        name = errorcode.get(error.errno or 0, type(error).__name__)
        raise SpoolError(f"{error.filename or path}: {error.strerror or error}", name) from error
