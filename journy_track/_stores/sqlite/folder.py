"""The spool's folder: whose files are in it, and how much room they take."""

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

#: Seconds in which a process that lives takes a lock again that somebody removed: it looks each second.
GRACE = 10.0
_LIFT = "or allow it with spool_shared=True (JOURNY_SPOOL_SHARED=1)"
_OWNER = f"the folder belongs to user {{}}, and this process runs as user {{}}: use a folder of its own, {_LIFT}"
_WRITABLE = f"others may write to the folder, and so have things sent: chmod 700 {{}}, {_LIFT}"


class Folder:
    """One folder. *about* is what the items are for, a base URL: files for another one are left alone."""

    def __init__(self, path: Path, about: str, lock: AbstractContextManager[Any], *, shared: bool = False) -> None:
        """*shared*: others may own the folder, or write to it."""
        self.path = path
        self._shared = shared or not hasattr(os, "geteuid")  # as on Windows
        self._about = about
        self._lock = lock

    def prepare(self) -> None:
        """Make it, readable by its owner only, if it is not there.

        Raises `SpoolError` where others could plant files in it, which would be sent, or read what it holds.
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
        """The files in it, the oldest first. Not links, and not what somebody else has put there."""
        with mapped_errors(self.path):
            return [path for path in sorted(self.path.glob(f"*{SUFFIX}")) if self._is_of_the_owner(path)]

    def _is_of_the_owner(self, path: Path) -> bool:
        try:
            found = path.lstat()
        except FileNotFoundError:
            return False
        # Of the folder's, and not of this process: root may look, too.
        return S_ISREG(found.st_mode) and (self._shared or found.st_uid == self.path.stat().st_uid)

    def has_orphans(self) -> bool:
        """Whether a process that has ended seems to have left a file. A cheap look, which takes nothing."""
        with self._lock, suppress(SpoolError):
            return any(not self.is_owned(path) for path in self.files())
        return False

    def is_owned(self, path: Path) -> bool:
        """Whether a living process owns the file at *path*. A cheap look, which takes nothing."""
        with self._lock, mapped_errors(path):
            return is_owned(lock_path(path))

    def create(self) -> SpoolFile:
        """A new file, owned by this process."""
        for _ in range(10):
            with suppress(Owned):  # somebody tidied its lock up before it was taken
                return SpoolFile.create(self.path, self._about, self._lock)
        return SpoolFile.create(self.path, self._about, self._lock)

    def adopt(self, path: Path) -> SpoolFile | None:
        """The file at *path*, owned by this process from now on; `None` when it is not ours to take.

        Its owner may live, or have delivered everything just now. Raises `Corrupt` for a file that was, and
        is set aside.
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
        """How many bytes all files take that are not *own*."""
        names = tuple(file.path.name for file in own)
        size = 0
        with mapped_errors(self.path), os.scandir(self.path) as entries:
            for entry in entries:
                if not entry.name.startswith(names):
                    with suppress(FileNotFoundError):
                        size += entry.stat(follow_symlinks=False).st_size
        return size

    def purge(self, path: Path, purge: Purge, upto: float) -> int:
        """Remove from another process's file what must not be kept. Returns how many are gone."""
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
            if file.has_traces:  # of what was delivered before
                file.wipe()
            return gone
        finally:
            file.close()

    def tidy(self) -> None:
        """Remove the locks of files that are gone."""
        with mapped_errors(self.path):
            for lock in self.path.glob(f"*{SUFFIX}.lock"):
                self._tidy(lock.with_name(lock.name.removesuffix(".lock")))

    def _tidy(self, path: Path) -> None:
        with self._lock, suppress(SpoolError), mapped_errors(path):
            if not path.exists():
                OwnerLock(lock_path(path)).release(remove=not path.exists())
