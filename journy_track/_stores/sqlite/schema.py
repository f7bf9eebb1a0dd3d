"""What is in a file of the spool, and how an older one becomes a newer one."""

from __future__ import annotations

import os
import sqlite3
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG
from typing import Any

from journy_track._stores.sqlite.bounds import MAX_PLACE, BoundedConnection, check_log
from journy_track._stores.sqlite.errors import Corrupt, Newer

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

_PLACES = " UNION ALL ".join(
    f"SELECT {place}"
    for place in (
        *(f"{end}(seq) FROM {table}" for end in ("min", "max") for table in ("items", "dead")),
        "seq FROM sqlite_sequence",
    )
)


def beside(path: Path) -> list[Path]:
    """What SQLite keeps beside the file at *path* while it is in use."""
    return [path.with_name(path.name + end) for end in ("-wal", "-shm")]


def journal(path: Path) -> Path:
    """What SQLite would keep beside it in another mode, which is never used here."""
    return path.with_name(path.name + "-journal")


def open_connection(path: Path) -> BoundedConnection:
    """A connection to the file at *path*, which must be there, in the newest version of its format."""
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
        # What a planted file defines shall not run: not even while the file is looked at.
        connection.first("PRAGMA trusted_schema = OFF")
        _check(connection, path)
        # The file's head may order a cache of any size. Memory that is mapped ends the process if the file is cut.
        connection.first("PRAGMA cache_size = -2000")
        connection.first("PRAGMA mmap_size = 0")
        connection.first("PRAGMA synchronous = NORMAL")
        # It is personal data: what is deleted shall not be found in the free pages.
        connection.first("PRAGMA secure_delete = ON")
        connection.renew()
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _look_at(path: Path) -> None:
    """SQLite would write through links, and remove any file that a journal names."""
    for one in (path, *beside(path)):
        if os.path.lexists(one) and not S_ISREG(os.lstat(one).st_mode):
            raise Corrupt(f"{one}: not a file, and not a spool of journy_track")
    if os.path.lexists(journal(path)):
        raise Corrupt(f"{path}: not a spool of journy_track: a journal is beside it")
    check_log(beside(path)[0])


def _check(connection: BoundedConnection, path: Path) -> None:
    if connection.first("SELECT 1 FROM sqlite_master LIMIT 1") is None:
        connection.first("PRAGMA auto_vacuum = INCREMENTAL")  # only now, before anything is in it
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
    # To the letter: a view, a trigger, an index or a generated column may compute for ever.
    if not ours or version < 1 or _defined(connection) != _defined_by(tuple(MIGRATIONS[:version])):
        raise Corrupt(f"{path}: a database, but not a spool of journy_track")
    if connection.first("SELECT count(*) FROM (SELECT 1 FROM sqlite_sequence LIMIT 2)")[0] > 1:
        raise Corrupt(f"{path}: not a spool of journy_track: its places are counted more than once")
    with connection.rows(_PLACES) as places:
        for (place,) in places:
            if place is not None and (type(place) is not int or not 0 <= place < MAX_PLACE):
                raise Corrupt(f"{path}: not a spool of journy_track: a place in it is not one")
    _use_log(connection)


def _use_log(connection: BoundedConnection) -> None:
    if connection.first("PRAGMA journal_mode")[0] != "wal":
        connection.first("PRAGMA journal_mode = MEMORY")  # no journal in a file: see _look_at
        connection.first("PRAGMA journal_mode = WAL")


def _defined(connection: sqlite3.Connection) -> set[Any]:
    """What it defines, and maybe too much: at most twice as much as there should be."""
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
            if _version(connection) == version:  # and nobody else has done it in the meantime
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
