"""The locks that SQLite has on an open file, held once more, so that an app cannot end them by accident."""

from __future__ import annotations

import os
import struct
import sys
from contextlib import suppress
from pathlib import Path

from journy_track._stores.sqlite.lock import open_regular

#: Where SQLite's lock is that whoever has a database open holds, and its length; and the one on the memory that those
#: share. Part of SQLite's format: PENDING_BYTE + 2, and UNIX_SHM_DMS.
_SHARED = ("", 0x40000002, 510)
_IN_MEMORY = ("-shm", 128, 1)


class Guard:
    """Held from when it is made, for a database in WAL mode that this process has open.

    POSIX locks, as SQLite's are, end when anybody in the process closes the same file: an app that reads what is in
    the folder ends them. The next process that opens the database then takes itself for the first, and truncates the
    memory that the others share: they die of SIGBUS. One that closes it takes itself for the last, and removes the
    log that they write to. These locks belong to open files of our own instead.

    Linux has such locks. Elsewhere, and on file systems without them, this does nothing.
    """

    def __init__(self, path: Path) -> None:
        self._descriptors: list[int] = []
        for end, start, length in (_SHARED, _IN_MEMORY):
            with suppress(OSError, AttributeError):
                self._hold(path.with_name(path.name + end), start, length)
        _all.append(self)

    def _hold(self, path: Path, start: int, length: int) -> None:
        if sys.platform == "linux":
            import fcntl

            # Kept whatever happens: closing it would end SQLite's own locks on that file.
            self._descriptors.append(descriptor := open_regular(path, os.O_RDWR))
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _flock(fcntl.F_RDLCK, start, length))

    def release(self) -> None:
        """End these locks, and not SQLite's: before it closes the database."""
        if sys.platform == "linux":
            import fcntl

            for descriptor in self._descriptors:
                with suppress(OSError, AttributeError):
                    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _flock(fcntl.F_UNLCK, 0, 0))

    def close(self) -> None:
        """Close the files, which ends SQLite's locks on them, too: after it has closed the database."""
        descriptors, self._descriptors = self._descriptors, []
        for descriptor in descriptors:
            os.close(descriptor)
        with suppress(ValueError):
            _all.remove(self)


def _flock(kind: int, start: int, length: int) -> bytes:
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0)


_all: list[Guard] = []


def _after_fork_in_child() -> None:
    """A child has its parent's open files, and would hold their locks for as long as it lives."""
    for guard in list(_all):
        guard.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
