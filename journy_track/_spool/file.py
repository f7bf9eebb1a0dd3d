"""One file of the spool: the items of one process that wait, and those that were given up."""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from journy_track._model.frozendict import FrozenDict
from journy_track._model.messages import message_start
from journy_track._spool.errors import Gone, SpoolError, told
from journy_track._spool.lock import OwnerLock, create_private
from journy_track._spool.schema import open_connection

SUFFIX = ".spool"


@dataclass(frozen=True, slots=True)
class Row:
    """One waiting item. *seq* is its place in the file, *at* the second since the epoch of its capture."""

    seq: int
    at: float
    message: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One item that was given up, and why. *died* is the second since the epoch at which it was."""

    seq: int
    at: float
    message: str
    died: float
    reason: str
    status: int | None = None
    request_id: str | None = None
    fields: Mapping[str, str] = field(default_factory=FrozenDict)
    attempts: int = 0


class SpoolFile:
    """An open file. Each method is one transaction; all raise `SpoolError` and its kinds.

    *lock* is held during each: SQLite keeps locks of its own in memory, which a fork would leave held for ever
    in the child, so whoever forks takes *lock* first.
    """

    def __init__(self, path: Path, lock: AbstractContextManager[Any] | None = None) -> None:
        """Open what is at *path*, without owning it: to look, or to remove what must not be kept."""
        self.path = path
        self._lock: AbstractContextManager[Any] = threading.RLock() if lock is None else lock
        self._owner: OwnerLock | None = None
        with self._lock, told(path):
            self._connection = open_connection(path)
            try:
                self._inode = os.stat(path).st_ino
                self._version: int = self._value("PRAGMA data_version")
            except BaseException:
                self._connection.close()
                raise

    @classmethod
    def create(cls, folder: Path, about: str, lock: AbstractContextManager[Any] | None = None) -> SpoolFile:
        """A new file in *folder*, owned by this process. *about* says what its items are for."""
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        path = folder / name
        lock = threading.RLock() if lock is None else lock
        with lock, ExitStack() as failed:  # in which case nothing is left of it
            failed.callback(_remove, lock_path(path))
            create_private(lock_path(path))
            owner = OwnerLock(lock_path(path))
            failed.callback(owner.release, remove=True)
            failed.callback(_remove, path, *_beside(path))
            create_private(path)
            made = cls(path, lock)
            failed.callback(made._connection.close)
            with made._transaction():
                made._connection.execute("INSERT INTO about VALUES ('for', ?)", (about,))
            made._owner = owner
            failed.pop_all()
            return made

    @classmethod
    def adopt(cls, path: Path, lock: AbstractContextManager[Any] | None = None) -> SpoolFile:
        """The file of a process that ended, owned by this one from now on. Raises `Owned` if it lives."""
        lock = threading.RLock() if lock is None else lock
        with lock:
            owner = OwnerLock(lock_path(path))
            try:
                adopted = cls(path, lock)
            except BaseException:
                owner.release()
                raise
            adopted._owner = owner
            return adopted

    # ── What it is ──

    @property
    def about(self) -> str | None:
        """What its items are for, as its maker said."""
        value: str | None = self._read("SELECT value FROM about WHERE name = 'for'")
        return value

    def waiting(self, after: int = 0, upto: int | None = None) -> int:
        """How many items wait whose place is beyond *after* and at most *upto*."""
        upto = 2**63 - 1 if upto is None else upto
        return int(self._read("SELECT count(*) FROM items WHERE seq > ? AND seq <= ?", (after, upto)))

    def oldest(self) -> float | None:
        """When the oldest waiting item was captured."""
        at: float | None = self._read("SELECT at FROM items ORDER BY seq LIMIT 1")
        return at

    def last(self) -> int:
        """The place of the last item; 0 when none waits."""
        return int(self._read("SELECT max(seq) FROM items") or 0)

    def dead(self) -> int:
        """How many items were given up."""
        return int(self._read("SELECT count(*) FROM dead"))

    def size(self) -> int:
        """How many bytes of it are in use."""
        with self._lock, told(self.path):
            pages: int = self._value("PRAGMA page_count") - self._value("PRAGMA freelist_count")
            return pages * int(self._value("PRAGMA page_size"))

    def changed(self) -> bool:
        """Whether somebody else wrote to it since the last time this was asked."""
        with self._lock, told(self.path):
            version = self._value("PRAGMA data_version")
            was, self._version = self._version, version
            return bool(version != was)

    def look_again(self) -> None:
        """Have `changed` say so, the next time."""
        self._version = -1

    # ── Its owner's side ──

    def write(self, messages: Sequence[tuple[float, str]]) -> list[int]:
        """Append items, given as (captured at, message). Answers their places."""
        try:
            inode = os.stat(self.path).st_ino
        except OSError:
            inode = 0
        if inode != self._inode:  # writing to it would succeed, and be lost
            raise Gone(f"{self.path}: the file was removed")
        with self._transaction():
            insert = "INSERT INTO items (at, message) VALUES (?, ?)"
            return [self._connection.execute(insert, message).lastrowid or 0 for message in messages]

    def read(self, after: int, limit: int, upto: int | None = None) -> list[Row]:
        """The next *limit* items whose place is beyond *after* and at most *upto*, in order."""
        upto = 2**63 - 1 if upto is None else upto
        query = "SELECT seq, at, message FROM items WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        with self._lock, told(self.path):
            return [Row(*row) for row in self._connection.execute(query, (after, upto, limit))]

    def remove(self, seqs: Iterable[int]) -> None:
        """Those items need not be kept any more."""
        with self._transaction():
            self._connection.executemany("DELETE FROM items WHERE seq = ?", ((seq,) for seq in seqs))

    def bury(self, seqs: Sequence[int], letter: DeadLetter) -> None:
        """Those items were given up, together, as *letter*."""
        with self._transaction():
            self._connection.executemany("DELETE FROM items WHERE seq = ?", ((seq,) for seq in seqs))
            self._connection.execute(
                "INSERT INTO dead (at, message, died, reason, status, request_id, fields, attempts) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    letter.at,
                    letter.message,
                    letter.died,
                    letter.reason,
                    letter.status,
                    letter.request_id,
                    json.dumps(dict(letter.fields)),
                    letter.attempts,
                ),
            )

    def shrink(self) -> None:
        """Give the room of what was removed back to the system."""
        with self._lock, told(self.path):
            if self._value("PRAGMA freelist_count"):
                # A script: execute() takes one step, and a step gives back one page.
                self._connection.executescript("PRAGMA incremental_vacuum;")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self, *, remove: bool = False) -> None:
        """Close it, and let others have it. With *remove* it goes, if nothing is in it."""
        with self._lock, told(self.path):
            try:
                empty = remove and not self.waiting() and not self.dead()
            except SpoolError:
                empty = False
            self._connection.close()
            try:
                if empty:
                    for path in (self.path, *_beside(self.path)):
                        path.unlink(missing_ok=True)
            finally:
                if self._owner is not None:
                    self._owner.release(remove=empty)

    def set_aside(self) -> Path:
        """Close it and give it a name under which nobody uses it. Answers that name."""
        with self._lock, told(self.path):
            self._connection.close()
            aside: Path | None = None
            try:
                aside = set_aside(self.path)
            finally:
                if self._owner is not None:
                    self._owner.release(remove=aside is not None)
            return aside

    # ── Anybody's side ──

    def purge(
        self,
        written: str,
        upto: float,
        left: Callable[[str], str | None],
        *,
        after: int = 0,
        before: int | None = None,
    ) -> int:
        """Remove, of the items that hold the text *written* and were captured until *upto*, what is not *left*.

        Only those between the places *after* and *before*.

        *left* gets a message and answers what remains of it: itself, another one, or `None`. Answers how many
        are gone.
        """
        query = "SELECT seq, message FROM items WHERE seq > ? AND seq < ? AND at <= ? AND instr(message, ?)"
        places = after, 2**63 - 1 if before is None else before
        gone = 0
        with self._removal():
            for seq, message in self._connection.execute(query, (*places, upto, written)).fetchall():
                kept = left(message)
                if kept is None:
                    gone += 1
                    self._connection.execute("DELETE FROM items WHERE seq = ?", (seq,))
                elif kept != message:
                    self._connection.execute("UPDATE items SET message = ? WHERE seq = ?", (kept, seq))
        return gone

    def dead_letters(self, after: int = 0, limit: int = 1000) -> list[DeadLetter]:
        """The items that were given up, the oldest first."""
        query = (
            "SELECT seq, at, message, died, reason, status, request_id, fields, attempts FROM dead "
            "WHERE seq > ? ORDER BY seq LIMIT ?"
        )
        with self._lock, told(self.path):
            rows = self._connection.execute(query, (after, limit)).fetchall()
        return [
            DeadLetter(seq, at, message, died, reason, status, request_id, FrozenDict(json.loads(fields)), attempts)
            for seq, at, message, died, reason, status, request_id, fields, attempts in rows
        ]

    def retry(self, now: float, *, reason: str | None = None, operation: str | None = None) -> int:
        """Have what was given up tried again, as captured *now*: else it may be too old. Answers how many.

        Only what was given up for a reason that holds the text *reason*, and what is for *operation*.
        """
        start = "" if operation is None else message_start(operation)
        chosen = "FROM dead WHERE instr(reason, ?) AND substr(message, 1, length(?)) = ?"
        values = reason or "", start, start
        with self._transaction():
            self._connection.execute(
                f"INSERT INTO items (at, message) SELECT ?, message {chosen} ORDER BY seq", (now, *values)
            )
            return self._connection.execute(f"DELETE {chosen}", values).rowcount

    def purge_dead_letters(self, written: str, left: Callable[[str], str | None]) -> int:
        """As `purge`, of what was given up."""
        gone = 0
        with self._removal():
            query = "SELECT seq, message FROM dead WHERE instr(message, ?)"
            for seq, message in self._connection.execute(query, (written,)).fetchall():
                kept = left(message)
                if kept is None:
                    gone += 1
                    self._connection.execute("DELETE FROM dead WHERE seq = ?", (seq,))
                elif kept != message:
                    self._connection.execute("UPDATE dead SET message = ? WHERE seq = ?", (kept, seq))
        return gone

    def forget(self, *, dead: bool = False, waiting: bool = False) -> int:
        """Remove what was given up, what waits, or both. Answers how many."""
        count = 0
        with self._removal():
            if dead:
                count += self._connection.execute("DELETE FROM dead").rowcount
            if waiting:
                count += self._connection.execute("DELETE FROM items").rowcount
        return count

    # ── SQLite ──

    @contextmanager
    def _removal(self) -> Iterator[None]:
        """A transaction after which nothing of what it removed is left, not even in SQLite's log beside the file."""
        with self._lock:
            before = self._connection.total_changes
            with self._transaction():
                yield
            if self._connection.total_changes != before:
                with told(self.path):  # while another process reads from the log it stays, until the next time
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, told(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _read(self, query: str, values: Sequence[Any] = ()) -> Any:
        with self._lock, told(self.path):
            return self._value(query, values)

    def _value(self, query: str, values: Sequence[Any] = ()) -> Any:
        row = self._connection.execute(query, values).fetchone()
        return None if row is None else row[0]


def lock_path(path: Path) -> Path:
    """The file whose lock says that *path* has an owner."""
    return path.with_name(path.name + ".lock")


def set_aside(path: Path) -> Path:
    """Give a corrupt file a new name, never deleting it: somebody may still read what it holds."""
    aside = path.with_name(f"{path.name}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    with told(path):
        for old in (path, *_beside(path)):
            if old.exists():
                old.rename(old.with_name(old.name.replace(path.name, aside.name)))
    return aside


def _remove(*paths: Path) -> None:
    """Remove them where that can be done: what went wrong before is what has to be said."""
    for path in paths:
        with suppress(OSError):
            path.unlink()


def _beside(path: Path) -> list[Path]:
    return [path.with_name(path.name + end) for end in ("-wal", "-shm")]
