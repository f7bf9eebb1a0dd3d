"""Digests in a SQLite file, which any number of processes may share."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import time

from journy_track._model.logs import log
from journy_track._state.digests import SALT, Confirmed
from journy_track._stores.sqlite.errors import Corrupt, SpoolError, mapped_errors
from journy_track._stores.sqlite.lock import open_regular
from journy_track._stores.sqlite.statements import Connection

#: Stored in the file's header, so that another application's file is not mistaken for ours.
APPLICATION = 0x6A746467
VERSION = 1
#: Seconds to wait while another process writes.
BUSY = 1.0
_SCHEMA = (
    # Without a rowid, the name is the primary key and the table is its own index.
    "CREATE TABLE digests (name BLOB PRIMARY KEY, digest BLOB, at REAL, until REAL) WITHOUT ROWID",
    "CREATE TABLE about (salt BLOB NOT NULL)",
)


class SqliteDigests:
    """Stores digests in the file at *path*, which only its owner can access. The file is opened on first use.

    The file survives a crash of the process. A crash of the machine may damage it; it is then started over, and
    everything is sent once more. Writes are not synced to disk, because everything can be sent again.
    """

    def __init__(self, path: Path, wall: Callable[[], float] = time) -> None:
        self._path = path
        self._wall = wall
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def salt(self) -> bytes:
        """Return the salt for all digests."""
        with self._used() as connection:
            return bytes(connection.first("SELECT salt FROM about")[0])

    def find(self, names: Sequence[bytes], /) -> dict[bytes, Confirmed]:
        """Return the records for those of *names* that have one."""
        marks = ", ".join("?" * len(names))
        with self._used() as connection:
            rows = connection.execute(f"SELECT name, digest, at FROM digests WHERE name IN ({marks})", names)  # noqa: S608 - marks
            return {bytes(name): Confirmed(bytes(digest), float(at)) for name, digest, at in rows}

    def keep(self, confirmed: Mapping[bytes, Confirmed], /, until: float) -> None:
        """Store *confirmed* until *until*, in seconds since the epoch. Each record replaces the previous one."""
        rows = [(name, known.digest, known.at, until) for name, known in confirmed.items()]
        with self._used() as connection, _transaction(connection):
            connection.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)", rows)

    def forget(self, names: Iterable[bytes], /) -> None:
        """Remove the records for *names*."""
        with self._used() as connection, _transaction(connection):
            connection.executemany("DELETE FROM digests WHERE name = ?", [(name,) for name in names])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    @contextmanager
    def _used(self) -> Iterator[Connection]:
        with self._lock:
            try:
                with mapped_errors(self._path):
                    if self._connection is None:
                        self._connection = self._opened()
                    yield self._connection
            except Corrupt:
                self._close()
                self._remove()
                raise
            except BaseException:
                self._close()  # whatever the cause, the next use opens the file again
                raise

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _remove(self) -> None:
        with mapped_errors(self._path):
            self._path.unlink(missing_ok=True)
        log(
            logging.WARNING,
            "the state %s was damaged, and has been recreated: everything is sent once more",
            self._path,
        )

    def _opened(self) -> Connection:
        descriptor = open_regular(self._path, os.O_RDWR | os.O_CREAT)
        try:
            status = os.fstat(descriptor)
            if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
                raise PermissionError(None, "it belongs to another user", str(self._path))
            if status.st_mode & 0o077 and hasattr(os, "fchmod"):
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=BUSY,
            isolation_level=None,
            check_same_thread=False,
            factory=Connection,
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: Connection) -> None:
        # Not WAL: its shared memory breaks as soon as the app of any process that uses it closes the file on its own.
        connection.first("PRAGMA journal_mode = TRUNCATE")
        connection.first("PRAGMA synchronous = OFF")
        with _transaction(connection):
            (application,) = connection.first("PRAGMA application_id")
            (version,) = connection.first("PRAGMA user_version")
            if not application and not connection.first("SELECT 1 FROM sqlite_master"):
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute("INSERT INTO about VALUES (?)", (os.urandom(SALT),))
                connection.first(f"PRAGMA application_id = {APPLICATION}")
                connection.first(f"PRAGMA user_version = {VERSION}")
            elif application != APPLICATION:
                raise SpoolError(f"{self._path}: it is not a state of journy_track: name another file")
            elif version > VERSION:
                raise SpoolError(f"{self._path}: a newer version of journy_track wrote it")
            connection.execute("DELETE FROM digests WHERE until < ?", (self._wall(),))


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
