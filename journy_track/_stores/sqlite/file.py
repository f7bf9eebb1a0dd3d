"""One spool file: the waiting items of one process, and its dead letters."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from journy_track._model.messages import message_start
from journy_track._stores.sqlite import bounds
from journy_track._stores.sqlite.bounds import COUNTED, MAX_PLACE, PAGE, PAGE_SIZE, Pauses
from journy_track._stores.sqlite.errors import Corrupt, Gone, SpoolError, mapped_errors
from journy_track._stores.sqlite.guard import Guard
from journy_track._stores.sqlite.lock import OwnerLock, create_private, unlink_closed
from journy_track._stores.sqlite.schema import beside, journal, open_connection
from journy_track._stores.store import DeadLetter

SUFFIX = ".spool"
#: Maximum characters of a dead letter's reason and fields, so that it fits in a row whatever the server responded.
_MAX_REASON = 1000
_MAX_FIELDS = 256 * 1024
#: Pages of the file that are returned to the system each time the lock is held.
_GIVEN_BACK = 500


@dataclass(frozen=True, slots=True)
class Row:
    """One waiting item. *seq* is its position in the file, *at* its capture time in seconds since the epoch."""

    seq: int
    at: float
    message: str


class SpoolFile:
    """An open spool file. All methods raise `SpoolError` or its subclasses.

    *lock* is held while SQLite is used, and a fork must take it first: SQLite has internal locks in memory, which
    would otherwise stay locked forever in the child. Long operations are split into pages, each in its own
    transaction, and release the lock in between. All reads are bounded (see `bounds`); a file that exceeds a bound is
    `Corrupt`.
    """

    def __init__(self, path: Path, lock: AbstractContextManager[Any] | None = None) -> None:
        """Open the file at *path* without owning it, to read it or to remove what must not be kept."""
        self.path = path
        self._lock: AbstractContextManager[Any] = threading.RLock() if lock is None else lock
        self._owner: OwnerLock | None = None
        self._guard: Guard | None = None
        #: Whether something was removed that SQLite's log next to the file may still contain.
        self.has_traces = False
        with self._lock, mapped_errors(path):
            self._connection = open_connection(path)
            try:
                self._inode = _inode(path)
                self._beside = [_inode(one) for one in beside(path)]
                self._version: int = self._value("PRAGMA data_version")
            except BaseException:
                self._connection.close()
                raise

    @classmethod
    def create(cls, folder: Path, about: str, lock: AbstractContextManager[Any] | None = None) -> SpoolFile:
        """Create a file in *folder*, owned by this process. *about* is the base URL that its items are for."""
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        path = folder / name
        lock = threading.RLock() if lock is None else lock
        with lock, ExitStack() as failed:  # on failure, everything created is removed again
            failed.callback(_remove, lock_path(path))
            create_private(lock_path(path))
            owner = OwnerLock(lock_path(path))
            failed.callback(owner.release, remove=True)
            failed.callback(_remove, path, *beside(path))
            create_private(path)
            made = cls(path, lock)
            failed.callback(made._connection.close)
            with made._transaction():
                made._connection.execute("INSERT INTO about VALUES ('for', ?)", (about,))
            made._owner, made._guard = owner, Guard(path)
            failed.pop_all()
            return made

    @classmethod
    def adopt(cls, path: Path, lock: AbstractContextManager[Any] | None = None) -> SpoolFile:
        """Take over the file of a process that has ended. Raises `Owned` if that process is alive."""
        lock = threading.RLock() if lock is None else lock
        with lock:
            owner = OwnerLock(lock_path(path))
            try:
                adopted = cls(path, lock)
            except BaseException:
                owner.release()
                raise
            adopted._owner, adopted._guard = owner, Guard(path)
            return adopted

    # ── What it is ──

    @property
    def about(self) -> str | None:
        """The base URL that its items are for, as set by the process that created the file."""
        with self._used():
            value = self._value("SELECT value FROM about WHERE name = 'for'")
            return None if value is None else bounds.text(value)

    def waiting(self, after: int = 0, upto: int | None = None) -> int:
        """Return the number of waiting items with positions after *after*, up to and including *upto*."""
        return self._count("items", after, MAX_PLACE if upto is None else upto)

    def oldest(self) -> float | None:
        """Return when the oldest waiting item was captured, in seconds since the epoch; `None` if none waits."""
        with self._used():
            at = self._value("SELECT at FROM items WHERE seq > 0 ORDER BY seq LIMIT 1")
            return None if at is None else bounds.moment(at)

    def last(self) -> int:
        """Return the position of the last item; 0 if none waits."""
        with self._used():
            return bounds.place(self._value("SELECT max(seq) FROM items") or 0, -1)

    def dead(self) -> int:
        """Return the number of dead letters."""
        return self._count("dead", 0, MAX_PLACE)

    def size(self) -> int:
        """Return how many bytes of the file are in use."""
        with self._used():
            pages: int = self._value("PRAGMA page_count") - self._value("PRAGMA freelist_count")
            return max(0, pages) * int(self._value("PRAGMA page_size"))

    def changed(self) -> bool:
        """Whether anyone else has written to the file since the last call."""
        with self._used():
            self._look_beside()
            version = self._value("PRAGMA data_version")
            was, self._version = self._version, version
            if version == was:
                return False
            self.has_traces = True  # the other writer may have deleted something
            return True

    def look_again(self) -> None:
        """Make the next call of `changed` return true."""
        self._version = -1

    # ── Its owner's side ──

    def is_ours(self) -> bool:
        """Whether this process still owns the file; false if another one has taken it over.

        If only the lock file was removed, it is created again. If the file itself is gone, `write` raises.
        """
        if self._owner is None or _inode(self.path) != self._inode:
            return True
        with self._lock:
            return self._owner.keep()

    def freshen(self) -> None:
        """Update its modification time, so that cleaners of old files such as systemd-tmpfiles leave it alone."""
        for path in (self.path, lock_path(self.path), *beside(self.path)):
            with suppress(OSError):
                os.utime(path)

    def write(self, messages: Sequence[tuple[float, str]]) -> list[int]:
        """Append items, given as (captured at, message). Returns their positions."""
        if _inode(self.path) != self._inode:  # writing would succeed, but the data would be lost
            raise Gone(f"{self.path}: the file was removed")
        with self._transaction():
            insert = "INSERT INTO items (at, message) VALUES (?, ?)"
            return [self._connection.execute(insert, message).lastrowid or 0 for message in messages]

    def read(self, after: int, limit: int, upto: int | None = None) -> list[Row]:
        """Return the next items in order, with positions after *after*, up to and including *upto*.

        Returns at most *limit* items, and stops at the first with which they reach `PAGE_SIZE` characters.
        """
        query = "SELECT seq, at, message FROM items WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        rows: list[Row] = []
        size = 0
        with self._used():
            values = after, MAX_PLACE if upto is None else upto, limit
            with self._connection.rows(query, values) as found:
                for seq, at, message in found:
                    after = bounds.place(seq, after)
                    rows.append(Row(after, bounds.moment(at), bounds.text(message)))
                    size += len(message)
                    if size >= PAGE_SIZE:
                        break
        return rows

    def remove(self, seqs: Iterable[int]) -> None:
        """Remove items that no longer need to be kept."""
        with self._transaction():
            self.has_traces = True
            self._delete("items", seqs)

    def dead_letter(self, seqs: Sequence[int], letter: DeadLetter) -> None:
        """Replace items that were given up, merged into one, with *letter*."""
        fields = json.dumps(dict(letter.fields))
        with self._transaction():
            self.has_traces = True
            self._delete("items", seqs)
            self._connection.execute(
                "INSERT INTO dead (at, message, died, reason, status, request_id, fields, attempts) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    letter.at,
                    letter.message,
                    letter.died,
                    letter.reason[:_MAX_REASON],
                    letter.status,
                    letter.request_id,
                    fields if len(fields) <= _MAX_FIELDS else "{}",
                    letter.attempts,
                ),
            )

    def shrink(self) -> None:
        """Return the space of removed items to the system."""
        before, left, pauses = 0, self._free(), Pauses()
        while left and left != before:  # if unchanged, nothing more can be returned
            pauses.between()
            with self._used():
                # As a script: execute() performs a single step, which returns only one page.
                self._connection.executescript(f"PRAGMA incremental_vacuum({_GIVEN_BACK});")
            before, left = left, self._free()
        if before:
            self.wipe()

    def wipe(self) -> None:
        """Erase all traces of removed items. `has_traces` stays true if anyone is reading or writing just now."""
        with self._used():
            self._empty_log()

    def close(self, *, remove: bool = False) -> None:
        """Close the file and release it to others. With *remove*, delete it if it is empty."""
        with self._used():
            try:
                some = "SELECT EXISTS (SELECT 1 FROM items) OR EXISTS (SELECT 1 FROM dead)"
                empty = remove and not self._read(some)
            except SpoolError:
                empty = False
            if self.has_traces and not empty:  # closing only does that for the last process that has it open
                with suppress(sqlite3.Error):
                    self._empty_log()
            self._close_connection()
            try:
                if empty:
                    for path in (self.path, *beside(self.path)):
                        unlink_closed(path)  # if it stays, the next owner finds it empty and removes it
            finally:
                if self._owner is not None:
                    self._owner.release(remove=empty)

    @contextmanager
    def looked_at(self) -> Iterator[None]:
        """Guard the first reads of the file: set it aside if it is corrupt, close it on other errors."""
        try:
            yield
        except Corrupt as error:
            raise Corrupt(f"{error}. It was set aside as {self.set_aside().name}", error.name) from None
        except SpoolError:
            self.close()
            raise

    def set_aside(self) -> Path:
        """Close the file and rename it so that no process uses it. Returns the new path."""
        with self._lock, mapped_errors(self.path):
            self._close_connection()
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
        """Reduce or remove the items that contain the text *written* and were captured until *upto*.

        *left* is called with each message and returns what remains of it: the message itself, a changed one, or
        `None` to remove the item. Only items with positions after *after* and before *before* are considered. Returns
        how many were removed.
        """
        until = MAX_PLACE if before is None else before - 1
        return self._purge("items", "at <= ? AND instr(message, ?)", (upto, written), left, after, until)

    def dead_letters(self, after: int = 0, limit: int = 1000) -> list[DeadLetter]:
        """Return the next dead letters after the position *after*, oldest first, limited as in `read`."""
        query = (
            "SELECT seq, at, message, died, reason, status, request_id, fields, attempts FROM dead "
            "WHERE seq > ? ORDER BY seq LIMIT ?"
        )
        letters: list[DeadLetter] = []
        size = 0
        with self._used(), self._connection.rows(query, (after, limit)) as rows:
            for row in rows:
                letters.append(_dead_letter(after, *row))
                after = letters[-1].seq
                size += len(letters[-1].message)
                if size >= PAGE_SIZE:
                    break
        return letters

    def retry(self, now: float, *, reason: str | None = None, operation: str | None = None) -> int:
        """Retry dead letters, with *now* as their capture time, as they may be too old otherwise. Returns how many.

        *reason* restricts this to reasons that contain the text, and *operation* to items of that operation.
        """
        start = "" if operation is None else message_start(operation)
        chosen = "instr(reason, ?) AND substr(message, 1, length(?)) = ?"

        def again(seqs: list[int]) -> int:
            insert = "INSERT INTO items (at, message) SELECT ?, message FROM dead WHERE seq = ?"
            self._connection.executemany(insert, ((now, seq) for seq in seqs))
            return self._delete("dead", seqs)

        return self._each("dead", chosen, (reason or "", start, start), again)

    def purge_dead_letters(self, written: str, left: Callable[[str], str | None]) -> int:
        """Like `purge`, for dead letters."""
        return self._purge("dead", "instr(message, ?)", (written,), left)

    def forget(self, *, dead: bool = False, waiting: bool = False) -> int:
        """Remove the dead letters, the waiting items, or both. Returns how many were removed."""
        tables = ["dead"] * dead + ["items"] * waiting
        with self._removal():
            return sum(self._each(table, "1", (), partial(self._delete, table)) for table in tables)

    # ── Pages ──

    def _count(self, table: str, after: int, upto: int) -> int:
        """Return the number of rows with positions after *after*, up to and including *upto*."""
        # Counts by skipping rows: SQLite counts a whole table in a single step, which cannot be interrupted.
        beyond = f"SELECT seq FROM {table} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        count, pauses = 0, Pauses()
        while True:
            with self._used():
                last = self._value(f"{beyond} OFFSET {COUNTED - 1}", (after, upto, 1))
                if last is None:
                    return count + int(self._value(f"SELECT count(*) FROM ({beyond})", (after, upto, COUNTED)))
                after = bounds.place(last, after + COUNTED - 1)
                count += COUNTED
            pauses.between()

    def _each(
        self,
        table: str,
        chosen: str,
        values: Sequence[Any],
        do: Callable[[list[int]], int],
        after: int = 0,
        upto: int = MAX_PLACE,
    ) -> int:
        """Call *do* with the positions of *chosen* rows, a page per transaction, until all are processed.

        Only rows after *after*, up to and including *upto*, are considered. Returns the sum of what *do* returns.
        """
        query = f"SELECT seq, {chosen} FROM {table} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT {PAGE}"
        count, seen, pauses = 0, PAGE, Pauses()
        while seen == PAGE:
            with self._transaction():
                rows = self._connection.execute(query, (*values, after, upto)).fetchall()
                seqs = []
                for seq, wanted in rows:
                    after = bounds.place(seq, after)
                    if wanted:
                        seqs.append(after)
                count += do(seqs)
            seen = len(rows)
            pauses.between()
        return count

    def _delete(self, table: str, seqs: Iterable[int]) -> int:
        return self._connection.executemany(f"DELETE FROM {table} WHERE seq = ?", ((seq,) for seq in seqs)).rowcount

    def _purge(
        self,
        table: str,
        chosen: str,
        values: Sequence[Any],
        left: Callable[[str], str | None],
        after: int = 0,
        upto: int = MAX_PLACE,
    ) -> int:
        def reduce(seqs: list[int]) -> int:
            gone = []
            for seq in seqs:
                message = bounds.text(self._value(f"SELECT message FROM {table} WHERE seq = ?", (seq,)))
                kept = left(message)
                if kept is None:
                    gone.append(seq)
                elif kept != message:
                    self._connection.execute(f"UPDATE {table} SET message = ? WHERE seq = ?", (kept, seq))
            return self._delete(table, gone)

        with self._removal():
            return self._each(table, chosen, values, reduce, after, upto)

    # ── SQLite ──

    @contextmanager
    def _used(self) -> Iterator[None]:
        """Hold the lock, and limit the statements in the block to `MAX_CPU` seconds of CPU time."""
        with self._lock, mapped_errors(self.path):
            self._connection.renew()
            yield

    @contextmanager
    def _removal(self) -> Iterator[None]:
        """After the block's transactions, erase what they removed, also from SQLite's log next to the file.

        If they removed nothing, the log may still contain items that were removed earlier, which `wipe` erases.
        """
        self.has_traces = True
        before = self._connection.total_changes
        yield
        if self._connection.total_changes != before:
            self.wipe()

    def _empty_log(self) -> None:
        """Move the contents of SQLite's log into the file, where removed data is overwritten."""
        busy, *_ = self._connection.first("PRAGMA wal_checkpoint(TRUNCATE)")
        self.has_traces = bool(busy)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._used():
            self._look_beside()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _look_beside(self) -> None:
        """Reopen the file if SQLite's own files next to it are gone, as others would not see what is written to them.

        A cleaner may have removed them or, where `Guard` has no effect, the last process that closed the file.
        """
        now = [_inode(path) for path in beside(self.path)]
        if now == self._beside or _inode(self.path) != self._inode:
            return
        self._close_connection()  # which moves what is only in them into the file
        self._connection = open_connection(self.path)
        self._guard = None if self._owner is None else Guard(self.path)
        self._beside = [_inode(path) for path in beside(self.path)]
        self.look_again()

    def _close_connection(self) -> None:
        guard, self._guard = self._guard, None
        try:
            if guard is not None:
                guard.release()
            self._connection.close()
        finally:
            if guard is not None:
                guard.close()

    def _read(self, query: str, values: Sequence[Any] = ()) -> Any:
        with self._used():
            return self._value(query, values)

    def _free(self) -> int:
        return int(self._read("PRAGMA freelist_count"))

    def _value(self, query: str, values: Sequence[Any] = ()) -> Any:
        row = self._connection.first(query, values)
        return None if row is None else row[0]


def _dead_letter(
    after: int,
    seq: Any,
    at: Any,
    message: Any,
    died: Any,
    reason: Any,
    status: Any,
    request_id: Any,
    fields: Any,
    attempts: Any,
) -> DeadLetter:
    return DeadLetter(
        bounds.place(seq, after),
        bounds.moment(at),
        bounds.text(message),
        bounds.moment(died),
        bounds.text(reason),
        None if status is None else bounds.number(status),
        None if request_id is None else bounds.text(request_id),
        bounds.fields(fields),
        bounds.number(attempts),
    )


def lock_path(path: Path) -> Path:
    """Return the path of the lock file that marks *path* as owned."""
    return path.with_name(path.name + ".lock")


def _inode(path: Path) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def set_aside(path: Path) -> Path:
    """Rename a corrupt file. It is never deleted, as someone may still be able to read its contents."""
    aside = path.with_name(f"{path.name}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    with mapped_errors(path):
        for old in (path, *beside(path), journal(path)):
            if os.path.lexists(old):
                old.rename(old.with_name(old.name.replace(path.name, aside.name)))
    return aside


def _remove(*paths: Path) -> None:
    """Remove files where possible. Does not raise, as an earlier error is about to be raised."""
    for path in paths:
        with suppress(OSError):
            path.unlink()
