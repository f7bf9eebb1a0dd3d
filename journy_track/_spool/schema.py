"""What is in a file of the spool, and how an older one becomes a newer one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from journy_track._spool.errors import Corrupt, Newer

#: In the file's head, so that a file of something else is not taken for ours.
APPLICATION = 0x6A746B73
#: Seconds to wait for another process that writes to the same file.
BUSY = 1.0

#: The step at place n makes version n + 1 out of version n. A released step is never changed.
MIGRATIONS: list[tuple[str, ...]] = [
    (
        # AUTOINCREMENT: a place is never given twice, also after its item has left.
        "CREATE TABLE items (seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, message TEXT NOT NULL)",
        """CREATE TABLE dead (
            seq INTEGER PRIMARY KEY, at REAL NOT NULL, message TEXT NOT NULL, died REAL NOT NULL,
            reason TEXT NOT NULL, status INTEGER, request_id TEXT, fields TEXT NOT NULL, attempts INTEGER NOT NULL
        )""",
        "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    ),
]


def open_connection(path: Path) -> sqlite3.Connection:
    """A connection to the file at *path*, which must be there, in the newest version of its format."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY, isolation_level=None, check_same_thread=False
    )
    try:
        _check(connection, path)
        connection.execute("PRAGMA synchronous = NORMAL")
        # It is personal data: what is deleted shall not be found in the free pages.
        connection.execute("PRAGMA secure_delete = ON")
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only now, before anything is in it
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        return
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise Corrupt(f"{path}: a database, but not a spool of journy_track")
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise Newer(
            f"{path}: written by a newer version of journy_track (format {version}, this one knows up to "
            f"{len(MIGRATIONS)}): it is left alone; upgrade journy-track, or use another folder"
        )


def _migrate(connection: sqlite3.Connection) -> None:
    while (version := _version(connection)) < len(MIGRATIONS):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection) == version:  # and nobody else has done it in the meantime
                for statement in MIGRATIONS[version]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
