"""Files that commands write: readable by their owner only, and never through a planted link or pipe."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

# Windows has no O_NOFOLLOW and no O_NONBLOCK; other users have no access there by default.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_SAFE = _NO_LINK | _BINARY | getattr(os, "O_NONBLOCK", 0)  # opening a pipe with no other end would block for ever


def replace_file(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Replace *path* atomically, readable by its owner only. A link there is replaced; its target does not change.

    A reader sees either the old content or the new, with *durable* even after a power failure. Raises OSError.
    """
    beside = path.with_name(path.name + ".new")
    with suppress(FileNotFoundError):
        beside.unlink()  # left by a killed run, or planted: only a file created here is used
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
    """The content of *path*. Raises OSError, also if it is a link or belongs to another user."""
    descriptor = os.open(path, os.O_RDONLY | _SAFE)
    with os.fdopen(descriptor, "rb") as file:
        _check_ours(path, descriptor)
        return file.read()


def append_to_file(path: Path, content: bytes) -> int:
    """Append to *path*, readable by its owner only, and return its size. Raises OSError, also if it is a link."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _SAFE, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        _check_ours(path, descriptor)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size


def truncate_file(path: Path, size: int) -> int:
    """Truncate *path* to at most *size* bytes, and return its size. Raises OSError, also if it is a link."""
    descriptor = os.open(path, os.O_WRONLY | _SAFE)
    try:
        _check_ours(path, descriptor)
        size = min(size, os.fstat(descriptor).st_size)
        os.ftruncate(descriptor, size)
        return size
    finally:
        os.close(descriptor)


def _check_ours(path: Path, descriptor: int) -> None:
    """Raise OSError if it is not a regular file, has a hard link, or belongs to another user, who could read it."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(None, "it is not a file", str(path))
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        raise PermissionError(None, "it belongs to another user", str(path))
    if status.st_nlink > 1:
        raise PermissionError(None, "it has another name elsewhere (a hard link)", str(path))
    if status.st_mode & 0o077 and hasattr(os, "fchmod"):
        os.fchmod(descriptor, 0o600)  # written by an earlier version, or planted by another user
