"""The spool's folder: the files in it, their owners, and the space they use."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from stat import S_ISREG
from time import time
from typing import Any

from journy_track._model.purging import Purge
from journy_track._stores.sqlite.errors import Corrupt, Owned, SpoolError, mapped_errors
from journy_track._stores.sqlite.file import SUFFIX, SpoolFile, lock_path, set_aside
from journy_track._stores.sqlite.lock import OwnerLock, is_owned, was_left

#: Seconds within which a living process notices that its lock file was removed, and takes it again. It checks each
#: second.
GRACE = 10.0
_LIFT = "or allow it with spool_shared=True (JOURNY_SPOOL_SHARED=1)"
_OWNER = f"the folder belongs to user {{}}, and this process runs as user {{}}: use a folder of its own, {_LIFT}"
_WRITABLE = f"other users can write to the folder, and so could have their own items sent: chmod 700 {{}}, {_LIFT}"


class Folder:
    """One folder. *about* is the base URL that the items are for; files for another one are left alone."""

    def __init__(self, path: Path, about: str, lock: AbstractContextManager[Any], *, shared: bool = False) -> None:
        """*shared*: other users may own the folder or write to it."""
        self.path = path
        self._shared = shared or not hasattr(os, "geteuid")  # as on Windows
        self._about = about
        self._lock = lock

    def prepare(self) -> None:
        """Create the folder, readable only by its owner, if it does not exist.

        Raises `SpoolError` if it belongs to another user, or if others could plant files in it that would be sent.
        """
        with mapped_errors(self.path):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.path.stat()
        if self._shared:
            return
        if found.st_uid != os.geteuid():
            raise SpoolError(f"{self.path}: {_OWNER.format(found.st_uid, os.geteuid())}", "owner")
        if found.st_mode & 0o022:
            raise SpoolError(f"{self.path}: {_WRITABLE.format(self.path)}", "writable")

    def files(self) -> list[Path]:
        """Return the files in the folder, oldest first, without links and files of other users."""
        with mapped_errors(self.path):
            return [path for path in sorted(self.path.glob(f"*{SUFFIX}")) if self._is_of_the_owner(path)]

    def _is_of_the_owner(self, path: Path) -> bool:
        try:
            found = path.lstat()
        except FileNotFoundError:
            return False
        # The folder's owner, not that of this process, as root may look, too.
        return S_ISREG(found.st_mode) and (self._shared or found.st_uid == self.path.stat().st_uid)

    def has_orphans(self) -> bool:
        """Whether a process that has ended seems to have left a file. A cheap check that takes no lock."""
        with self._lock, suppress(SpoolError):
            return any(not self.is_owned(path) for path in self.files())
        return False

    def is_owned(self, path: Path) -> bool:
        """Whether a living process owns the file at *path*. A cheap check that does not take the ownership."""
        with self._lock, mapped_errors(path):
            return is_owned(lock_path(path))

    def create(self) -> SpoolFile:
        """Create a file that is owned by this process."""
        for _ in range(10):
            with suppress(Owned):  # another process tidied up its lock file before it was locked
                return SpoolFile.create(self.path, self._about, self._lock)
        return SpoolFile.create(self.path, self._about, self._lock)

    def adopt(self, path: Path) -> SpoolFile | None:
        """Take over the file at *path*. Returns `None` if that is not possible.

        Its owner may be alive, or may have just delivered everything, or the file is for another base URL. Raises
        `Corrupt` for a corrupt file, which is set aside.
        """
        with mapped_errors(path):
            if path.exists() and not was_left(lock_path(path), GRACE, time()):
                return None
        try:
            file = SpoolFile.adopt(path, self._lock)
        except Owned:
            return None
        except Corrupt as error:
            aside = set_aside(path)
            self._tidy(path)
            raise Corrupt(f"{error}. It was set aside as {aside.name}") from None
        except SpoolError:
            if not path.exists():
                self._tidy(path)
                return None
            raise
        with file.looked_at():
            if file.about in (self._about, None):
                return file
        file.close()
        return None

    def size_of_others(self, own: list[SpoolFile]) -> int:
        """Return the size in bytes of all files that are not in *own*."""
        names = tuple(file.path.name for file in own)
        size = 0
        with mapped_errors(self.path), os.scandir(self.path) as entries:
            for entry in entries:
                if not entry.name.startswith(names):
                    with suppress(FileNotFoundError):
                        size += entry.stat(follow_symlinks=False).st_size
        return size

    def purge(self, path: Path, purge: Purge, upto: float) -> int:
        """Apply *purge* to another process's file. Returns how many items were removed."""
        with mapped_errors(path):
            if not path.exists():
                return 0
        file = SpoolFile(path, self._lock)
        try:
            if file.about != self._about:
                return 0
            for text in purge.texts:
                file.purge_dead_letters(text, purge.left)
            gone = sum(file.purge(text, upto, purge.left) for text in purge.texts)
            if file.has_traces:  # traces of items that were delivered before
                file.wipe()
            return gone
        finally:
            file.close()

    def tidy(self) -> None:
        """Remove the lock files of files that no longer exist."""
        with mapped_errors(self.path):
            for lock in self.path.glob(f"*{SUFFIX}.lock"):
                self._tidy(lock.with_name(lock.name.removesuffix(".lock")))

    def _tidy(self, path: Path) -> None:
        with self._lock, suppress(SpoolError), mapped_errors(path):
            if not path.exists():
                OwnerLock(lock_path(path)).release(remove=not path.exists())
