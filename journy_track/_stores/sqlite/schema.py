"""The schema of spool files, and the migration of older ones."""

from __future__ import annotations

import os
import sqlite3
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG
from typing import Any

from journy_track._stores.sqlite.bounds import MAX_PLACE, BoundedConnection, check_log
from journy_track._stores.sqlite.errors import Corrupt, Newer

#: The application ID in the file's header, which distinguishes our files from others.
APPLICATION = 0x6A746B73
#: Seconds to wait for another process that is writing to the same file.
BUSY = 1.0

#: The step at index n migrates version n to version n + 1. A released step is never changed.
MIGRATIONS: list[tuple[str, ...]] = [
    (
        # AUTOINCREMENT: a position is never reused, not even after its item was removed.
        "CREATE TABLE items (seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, message TEXT NOT NULL)",
        """CREATE TABLE dead (
            seq INTEGER PRIMARY KEY, at REAL NOT NULL, message TEXT NOT NULL, died REAL NOT NULL,
            reason TEXT NOT NULL, status INTEGER, request_id TEXT, fields TEXT NOT NULL, attempts INTEGER NOT NULL
        )""",
        "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    ),
]

_PLACES = " UNION ALL ".join(
    f"SELECT {place}"
    for place in (
        *(f"{end}(seq) FROM {table}" for end in ("min", "max") for table in ("items", "dead")),
        "seq FROM sqlite_sequence",
    )
)


def beside(path: Path) -> list[Path]:
    """Return the files that SQLite keeps next to the file at *path* while it is in use."""
    return [path.with_name(path.name + end) for end in ("-wal", "-shm")]


def journal(path: Path) -> Path:
    """Return the file that SQLite would keep next to it in another journal mode, which is never used here."""
    return path.with_name(path.name + "-journal")


def open_connection(path: Path) -> BoundedConnection:
    """Open the file at *path*, which must exist, and migrate it to the newest version of its format."""
    _look_at(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY,
        isolation_level=None,
        check_same_thread=False,
        factory=BoundedConnection,
    )
    try:
        # Code defined in a planted file must not run, not even while the file is checked.
        connection.first("PRAGMA trusted_schema = OFF")
        _check(connection, path)
        # The header may request a cache of any size. With mapped memory, truncating the file crashes the process.
        connection.first("PRAGMA cache_size = -2000")
        connection.first("PRAGMA mmap_size = 0")
        connection.first("PRAGMA synchronous = NORMAL")
        # The items are personal data: deleted ones must not remain in the free pages.
        connection.first("PRAGMA secure_delete = ON")
        connection.renew()
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _look_at(path: Path) -> None:
    """Raise `Corrupt` for links and journals: SQLite would follow links, and remove any file that a journal names."""
    for one in (path, *beside(path)):
        if os.path.lexists(one) and not S_ISREG(os.lstat(one).st_mode):
            raise Corrupt(f"{one}: not a file, and not a spool of journy_track")
    if os.path.lexists(journal(path)):
        raise Corrupt(f"{path}: not a spool of journy_track: a journal is beside it")
    check_log(beside(path)[0])


def _check(connection: BoundedConnection, path: Path) -> None:
    if connection.first("SELECT 1 FROM sqlite_master LIMIT 1") is None:
        connection.first("PRAGMA auto_vacuum = INCREMENTAL")  # only possible while the file is empty
        _use_log(connection)
        connection.first(f"PRAGMA application_id = {APPLICATION}")
        return
    version = _version(connection)
    ours = connection.first("PRAGMA application_id")[0] == APPLICATION
    if ours and version > len(MIGRATIONS):
        raise Newer(
            f"{path}: written by a newer version of journy_track (format {version}, this one knows up to "
            f"{len(MIGRATIONS)}): it is left alone; upgrade journy-track, or use another folder"
        )
    # Compared literally: a view, a trigger, an index or a generated column may compute forever.
    if not ours or version < 1 or _defined(connection) != _defined_by(tuple(MIGRATIONS[:version])):
        raise Corrupt(f"{path}: a database, but not a spool of journy_track")
    if connection.first("SELECT count(*) FROM (SELECT 1 FROM sqlite_sequence LIMIT 2)")[0] > 1:
        raise Corrupt(f"{path}: not a spool of journy_track: it has more than one row counter")
    with connection.rows(_PLACES) as places:
        for (place,) in places:
            if place is not None and (type(place) is not int or not 0 <= place < MAX_PLACE):
                raise Corrupt(f"{path}: not a spool of journy_track: it has an invalid row number")
    _use_log(connection)


def _use_log(connection: BoundedConnection) -> None:
    if connection.first("PRAGMA journal_mode")[0] != "wal":
        connection.first("PRAGMA journal_mode = MEMORY")  # no journal file: see _look_at
        connection.first("PRAGMA journal_mode = WAL")


def _defined(connection: sqlite3.Connection) -> set[Any]:
    """Return what the database defines, limited to 20 entries, which is more than there should be."""
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master LIMIT 20"
    return set(connection.execute(query))


@lru_cache
def _defined_by(steps: tuple[tuple[str, ...], ...]) -> set[Any]:
    made = sqlite3.connect(":memory:")
    try:
        for step in steps:
            for statement in step:
                made.execute(statement)
        return _defined(made)
    finally:
        made.close()


def _migrate(connection: BoundedConnection) -> None:
    while (version := _version(connection)) < len(MIGRATIONS):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection) == version:  # no other process has migrated it in the meantime
                for statement in MIGRATIONS[version]:
                    connection.execute(statement)
                connection.first(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _version(connection: BoundedConnection) -> int:
    return int(connection.first("PRAGMA user_version")[0])
