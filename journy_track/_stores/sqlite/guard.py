"""Holds SQLite's locks on an open file a second time, so that an app cannot release them by accident."""

from __future__ import annotations

import os
import struct
import sys
from contextlib import suppress
from pathlib import Path

from journy_track._stores.sqlite.lock import open_regular

#: Offset and length of the lock that SQLite holds on an open database, and of the one on its shared memory. They are
#: part of SQLite's format: PENDING_BYTE + 2, and UNIX_SHM_DMS.
_SHARED = ("", 0x40000002, 510)
_IN_MEMORY = ("-shm", 128, 1)


class Guard:
    """Locks on a WAL-mode database that this process has open, held from creation on.

    SQLite's POSIX locks end when any code in the process closes the same file, for example an app that reads the
    files in the folder. The next process that opens the database then believes it is the first one and truncates the
    shared memory, so that the others die of SIGBUS. A process that closes it believes it is the last one and removes
    the log that the others write to. The locks here belong to our own open file descriptions instead.

    Only Linux has such locks. On other systems, and on file systems without them, this class does nothing.
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

            # Kept open in any case: closing it would end SQLite's own locks on that file.
            self._descriptors.append(descriptor := open_regular(path, os.O_RDWR))
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _flock(fcntl.F_RDLCK, start, length))

    def release(self) -> None:
        """Release these locks but not SQLite's. Call it before SQLite closes the database."""
        if sys.platform == "linux":
            import fcntl

            for descriptor in self._descriptors:
                with suppress(OSError, AttributeError):
                    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _flock(fcntl.F_UNLCK, 0, 0))

    def close(self) -> None:
        """Close the files, which also ends SQLite's locks on them. Call it after SQLite has closed the database."""
        descriptors, self._descriptors = self._descriptors, []
        for descriptor in descriptors:
            os.close(descriptor)
        with suppress(ValueError):
            _all.remove(self)


def _flock(kind: int, start: int, length: int) -> bytes:
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0)


_all: list[Guard] = []


def _after_fork_in_child() -> None:
    """Close the inherited files, as the child would hold its parent's locks for as long as it lives."""
    for guard in list(_all):
        guard.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
