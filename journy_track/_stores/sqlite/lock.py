"""Ownership of spool files: a lock that is released when its process ends, however it ends."""

from __future__ import annotations

import os
import sqlite3
import sys
import weakref
from contextlib import suppress
from errno import EINVAL
from pathlib import Path
from stat import S_ISREG

from journy_track._stores.sqlite.errors import NotAFile, Owned, SpoolError, mapped_errors

#: The content of a lock file created on behalf of another process, whose own was missing.
_MADE_FOR_ANOTHER = b"?"
#: The start of a lock file that contains its owner's note.
_NOTE = b"journy_track: "
_MAX_NOTE = 400
#: Windows lacks the first three; only Windows has the last.
_NO_LINK, _NO_WAIT, _NO_HEIR, _BINARY = (
    getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
)


class OwnerLock:
    """A lock on a separate lock file, held from creation to `release()`. Raises `Owned` if another owner holds it.

    Callers must hold a lock that forks wait for. *note* tells waiting processes who the owner is (see `note_of`).
    """

    def __init__(self, path: Path, note: str = "") -> None:
        self.path = path
        with mapped_errors(path):
            self._held = _Held(path)
            self._held.write(note)

    def keep(self) -> bool:
        """Keep the lock, even if its file was removed. Returns false if another process has taken it.

        Cheap if nothing has changed.
        """
        with mapped_errors(self.path):
            if self._held.is_at(self.path):
                return True
            try:
                held = _Held(self.path)
            except Owned:
                return False
            self._held.close()
            self._held = held
            return True

    def release(self, *, remove: bool = False) -> None:
        """Release the lock. With *remove*, also delete its file, as no other process needs it."""
        with mapped_errors(self.path):
            if remove:
                self._held.remove(self.path)
            else:
                self._held.close()


def unlink_closed(path: Path) -> None:
    """Remove the file at *path*, if it exists. On Windows, it stays if another process has it open."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        if sys.platform != "win32":
            raise


if sys.platform == "win32":
    # A file cannot be removed while it is open, so it is closed first. SQLite's locks belong to the file handle, and
    # SQLite reports an "fstat" error if it cannot find its open file by name.
    _HELD_OR_REMOVED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR_FSTAT}

    class _Held:
        def __init__(self, path: Path) -> None:
            self._connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
            try:
                self._connection.execute("PRAGMA journal_mode = MEMORY")  # nothing is written: no journal file
                self._connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.Error as error:
                self._connection.close()
                code = getattr(error, "sqlite_errorcode", 0)
                if code in _HELD_OR_REMOVED:
                    raise Owned(f"{path}: a living process owns it, or has just removed it") from None
                if code == sqlite3.SQLITE_NOTADB:
                    raise SpoolError(
                        f"{path}: not a lock of journy_track: it is left alone. Remove it", "lock"
                    ) from None
                raise

        def is_at(self, path: Path) -> bool:
            return path.exists()

        def write(self, note: str) -> None:
            """Do nothing: SQLite uses the file, so others could not read a note."""

        def close(self) -> None:
            self._connection.close()

        def remove(self, path: Path) -> None:
            # If another process takes the lock in between, the file is open and stays, and that process removes it.
            self.close()
            unlink_closed(path)

    def is_owned(path: Path) -> bool:
        """Whether the lock at *path* is held. Does not take it."""
        try:
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0)
        except sqlite3.OperationalError:
            return False
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_BUSY
        finally:
            connection.close()
        return False

else:
    import fcntl

    class _Held:
        """The open file and its lock.

        It uses flock(), not fcntl(): locks of fcntl() end when any code in the process closes the same file, for
        example an app that reads all files in the folder. flock() also works between two owners in one process.
        """

        def __init__(self, path: Path) -> None:
            self._descriptor = open_regular(path, os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                removed = not self.is_at(path)
                self._empty(path)
            except BlockingIOError:
                self.close()
                raise Owned(f"{path}: a living process owns it") from None
            except BaseException:
                self.close()
                raise
            if removed:  # the lock we hold is on a deleted file
                self.close()
                raise Owned(f"{path}: its owner has just removed it")
            _all_held.add(self)

        def _empty(self, path: Path) -> None:
            content = os.read(self._descriptor, len(_NOTE))
            if content in (_MADE_FOR_ANOTHER, _NOTE):
                os.ftruncate(self._descriptor, 0)
            elif content:  # perhaps a hard link to a file that is needed
                raise SpoolError(f"{path}: not a lock of journy_track: it is left alone. Remove it", "lock")

        def write(self, note: str) -> None:
            if note:
                os.pwrite(self._descriptor, _NOTE + note.encode()[:_MAX_NOTE], 0)

        def is_at(self, path: Path) -> bool:
            """Whether it is still the file at *path*."""
            try:
                return self._descriptor >= 0 and os.path.samestat(os.lstat(path), os.fstat(self._descriptor))
            except FileNotFoundError:
                return False

        def close(self) -> None:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)

        def remove(self, path: Path) -> None:
            # Before closing it: afterwards, another process may own it.
            try:
                if self.is_at(path):
                    path.unlink(missing_ok=True)
            finally:
                self.close()

    _all_held: weakref.WeakSet[_Held] = weakref.WeakSet()

    def _after_fork_in_child() -> None:
        """Close the inherited files, as the child would hold its parent's locks for as long as it lives."""
        for held in list(_all_held):
            held.close()

    os.register_at_fork(after_in_child=_after_fork_in_child)

    def is_owned(path: Path) -> bool:
        """Whether the lock at *path* is held. Does not take it."""
        try:
            descriptor = open_regular(path, os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


def note_of(path: Path) -> str:
    """Return the note of the owner of the lock at *path*; empty if none can be read."""
    try:
        descriptor = open_regular(path, os.O_RDONLY)
        try:
            content = os.read(descriptor, len(_NOTE) + _MAX_NOTE)
        finally:
            os.close(descriptor)
    except OSError:
        return ""
    return content.removeprefix(_NOTE).decode("utf-8", "replace") if content.startswith(_NOTE) else ""


def was_left(path: Path, grace: float, now: float) -> bool:
    """Whether the lock at *path*, which is not held, means that its owner has ended.

    It does not if the lock file is missing: it was removed, perhaps by a cleaner of old files, and the owner may be
    alive. The file is then created here, and the owner has *grace* seconds to notice that and to lock it again.
    """
    if sys.platform == "win32":
        return True
    try:
        made = path.lstat()
    except FileNotFoundError:
        with mapped_errors(path), suppress(FileExistsError):
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, _MADE_FOR_ANOTHER)
            finally:
                os.close(descriptor)
        return False
    if not S_ISREG(made.st_mode):  # it cannot be an owner's lock: trying to take it reports what it is
        return True
    return not made.st_size or not 0 <= now - made.st_mtime < grace


def open_regular(path: Path, flags: int) -> int:
    """Open the file at *path* only if it is a regular file: no link is followed, and no pipe is waited for.

    The descriptor is not inherited. Raises `OSError`.
    """
    plain = _NO_LINK | _NO_WAIT | _NO_HEIR | _BINARY
    descriptor = os.open(path, flags | plain, 0o600)
    if not S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotAFile(EINVAL, "Not a file", str(path))
    return descriptor


def create_private(path: Path) -> None:
    """Create an empty file at *path* that only its owner can read. Raises `SpoolError` if it exists already."""
    with mapped_errors(path):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
