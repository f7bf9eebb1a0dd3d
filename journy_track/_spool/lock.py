"""Who owns a file of the spool: a lock that ends with the process that holds it, however it ends."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from journy_track._spool.errors import Owned, told

#: SQLite says "fstat" when it cannot find, by its name, the file that it has open: somebody removed it.
_HELD_OR_REMOVED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR_FSTAT}


class OwnerLock:
    """Held from when it is made to `release()`. Raises `Owned` while somebody else holds it.

    A transaction of SQLite on an empty file of its own: its locks work alike on all systems, between two
    owners in one process too, and a forked child does not inherit them. As with all of SQLite, no fork may begin
    while it is made or released: whoever uses it holds a lock that forks wait for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with told(path):
            self._connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
            try:
                self._connection.execute("BEGIN EXCLUSIVE")
                held = is_owned(path)
            except sqlite3.OperationalError as error:
                self._connection.close()
                if error.sqlite_errorcode in _HELD_OR_REMOVED:
                    raise Owned(f"{path}: a living process owns it, or has just removed it") from None
                raise
            except BaseException:
                self._connection.close()
                raise
            if not held:  # the file was removed after we opened it: what we have locked is the lock of nothing
                self._connection.close()
                raise Owned(f"{path}: its owner has just removed it")

    def release(self, *, remove: bool = False) -> None:
        """Let others have it. With *remove* nobody shall: the file goes first, while it is ours."""
        try:
            if remove:
                self.path.unlink(missing_ok=True)
        finally:
            self._connection.close()


def is_owned(path: Path) -> bool:
    """Whether somebody holds the lock at *path*, without taking it."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0)
    except sqlite3.OperationalError:
        return False
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode == sqlite3.SQLITE_BUSY
    finally:
        connection.close()
    return False


def create_private(path: Path) -> None:
    """An empty file at *path*, which nobody but its owner can read. It may not be there yet."""
    with told(path):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
