"""Who owns a file of the spool: a lock that ends with the process that holds it, however it ends."""

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

#: What is in a lock file that was made for another process's file, because there was none.
_MADE_FOR_ANOTHER = b"?"
#: What is in a lock file whose owner has said who it is begins with this.
_NOTE = b"journy_track: "
_MAX_NOTE = 400
#: Windows has none of the first three, and of the last nobody else.
_NO_LINK, _NO_WAIT, _NO_HEIR, _BINARY = (
    getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
)


class OwnerLock:
    """Held from when it is made to `release()`. Raises `Owned` while somebody else holds it.

    The lock of a file of its own. Whoever uses it holds a lock that forks wait for. *note* is for those who wait: who
    holds it (`note_of`).
    """

    def __init__(self, path: Path, note: str = "") -> None:
        self.path = path
        with mapped_errors(path):
            self._held = _Held(path)
            self._held.write(note)

    def keep(self) -> bool:
        """Hold it still, though somebody may have removed its file; false when another process was faster.

        Cheap where nothing has happened.
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
        """Let others have it. With *remove* nobody shall: the file goes, too."""
        with mapped_errors(self.path):
            if remove:
                self._held.remove(self.path)
            else:
                self._held.close()


def unlink_closed(path: Path) -> None:
    """Remove the file at *path*, if it is there. On Windows it stays where another process has it open."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        if sys.platform != "win32":
            raise


if sys.platform == "win32":
    # No file can be removed while it is open, so each is closed first. SQLite's locks belong to who opened the file,
    # and it says "fstat" when it cannot find, by its name, the file that it has open.
    _HELD_OR_REMOVED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR_FSTAT}

    class _Held:
        def __init__(self, path: Path) -> None:
            self._connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
            try:
                self._connection.execute("PRAGMA journal_mode = MEMORY")  # nothing is written: no file beside it
                self._connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.Error as error:
                self._connection.close()
                code = getattr(error, "sqlite_errorcode", 0)
                if code in _HELD_OR_REMOVED:
                    raise Owned(f"{path}: a living process owns it, or has just removed it") from None
                if code == sqlite3.SQLITE_NOTADB:
                    raise SpoolError(f"{path}: not a lock of journy_track: it is left alone", "lock") from None
                raise

        def is_at(self, path: Path) -> bool:
            return path.exists()

        def write(self, note: str) -> None:
            """Nobody could read it: SQLite has the file."""

        def close(self) -> None:
            self._connection.close()

        def remove(self, path: Path) -> None:
            # Whoever takes the lock in between has the file open: it stays, and is theirs to remove.
            self.close()
            unlink_closed(path)

    def is_owned(path: Path) -> bool:
        """Whether somebody holds the lock at *path*, without taking it."""
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

        Of flock(), not of fcntl(): these end when anybody in the process closes the same file, as an app does that
        reads all that is in the folder. It works between two owners in one process too.
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
            if removed:  # what we have locked is the lock of nothing
                self.close()
                raise Owned(f"{path}: its owner has just removed it")
            _all_held.add(self)

        def _empty(self, path: Path) -> None:
            content = os.read(self._descriptor, len(_NOTE))
            if content in (_MADE_FOR_ANOTHER, _NOTE):
                os.ftruncate(self._descriptor, 0)
            elif content:  # perhaps another name of a file that somebody needs
                raise SpoolError(f"{path}: not a lock of journy_track: it is left alone", "lock")

        def write(self, note: str) -> None:
            if note:
                os.pwrite(self._descriptor, _NOTE + note.encode()[:_MAX_NOTE], 0)

        def is_at(self, path: Path) -> bool:
            """Whether it is still the file of that name."""
            try:
                return self._descriptor >= 0 and os.path.samestat(os.lstat(path), os.fstat(self._descriptor))
            except FileNotFoundError:
                return False

        def close(self) -> None:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)

        def remove(self, path: Path) -> None:
            # While it is ours: once it is closed, it may be another's.
            try:
                if self.is_at(path):
                    path.unlink(missing_ok=True)
            finally:
                self.close()

    _all_held: weakref.WeakSet[_Held] = weakref.WeakSet()

    def _after_fork_in_child() -> None:
        """A child has its parent's open files, and would hold their locks for as long as it lives."""
        for held in list(_all_held):
            held.close()

    os.register_at_fork(after_in_child=_after_fork_in_child)

    def is_owned(path: Path) -> bool:
        """Whether somebody holds the lock at *path*, without taking it."""
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
    """What the owner of the lock at *path* wrote; empty where there is nothing that can be read."""
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
    """Whether a lock at *path* that nobody holds means that its owner has ended.

    Not where it is missing: somebody removed it, a cleaner of old files perhaps, and the owner may live. It is made
    here, and the owner has *grace* seconds from then on to see that and to take it again.
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
    if not S_ISREG(made.st_mode):  # no owner has taken it: whoever tries reports what it is
        return True
    return not made.st_size or not 0 <= now - made.st_mtime < grace


def open_regular(path: Path, flags: int) -> int:
    """Open the file at *path*, and nothing else that somebody may have put there: no link, and no pipe to wait for.

    The descriptor is not inherited. Raises `OSError`.
    """
    plain = _NO_LINK | _NO_WAIT | _NO_HEIR | _BINARY
    descriptor = os.open(path, flags | plain, 0o600)
    if not S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotAFile(EINVAL, "Not a file", str(path))
    return descriptor


def create_private(path: Path) -> None:
    """An empty file at *path*, which nobody but its owner can read. It may not be there yet."""
    with mapped_errors(path):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
