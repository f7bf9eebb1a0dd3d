"""Files that commands keep: for their owner only, and never through a link or a pipe that somebody planted."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

# Windows has neither; there, other users have no access to start with.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_SAFE = _NO_LINK | _BINARY | getattr(os, "O_NONBLOCK", 0)  # a pipe that nobody else opens would block for ever


def replace_file(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write *path* whole, readable by its owner only; a link there is replaced, and what it names stays as it is.

    A reader sees the old content or the new. *durable*: also after a power failure. Raises OSError.
    """
    beside = path.with_name(path.name + ".new")
    with suppress(FileNotFoundError):
        beside.unlink()  # of a run that was killed, or planted: it is made here, or not used
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _BINARY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def read_own_file(path: Path) -> bytes:
    """What *path* holds. Raises OSError, also where it is a link or belongs to another user."""
    descriptor = os.open(path, os.O_RDONLY | _SAFE)
    with os.fdopen(descriptor, "rb") as file:
        _check_ours(path, descriptor)
        return file.read()


def append_to_file(path: Path, content: bytes) -> int:
    """Append to *path*, made for its owner only; returns its size. Raises OSError, also where it is a link."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _SAFE, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        _check_ours(path, descriptor)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size


def truncate_file(path: Path, size: int) -> int:
    """Cut *path* to at most *size* bytes; returns its size. Raises OSError, also where it is a link."""
    descriptor = os.open(path, os.O_WRONLY | _SAFE)
    try:
        _check_ours(path, descriptor)
        size = min(size, os.fstat(descriptor).st_size)
        os.ftruncate(descriptor, size)
        return size
    finally:
        os.close(descriptor)


def _check_ours(path: Path, descriptor: int) -> None:
    """Raise OSError for a file of another user, who would read what is written there, or one with another name."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(None, "it is not a file", str(path))
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        raise PermissionError(None, "it belongs to another user", str(path))
    if status.st_nlink > 1:
        raise PermissionError(None, "it has another name elsewhere (a hard link)", str(path))
    if status.st_mode & 0o077 and hasattr(os, "fchmod"):
        os.fchmod(descriptor, 0o600)  # of an earlier version, or planted by somebody else
