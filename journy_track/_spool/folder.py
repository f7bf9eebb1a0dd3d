"""The spool's folder: whose files are in it, and how much room they take."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from journy_track._spool.errors import Corrupt, Owned, SpoolError, told
from journy_track._spool.file import SUFFIX, SpoolFile, lock_path, set_aside
from journy_track._spool.lock import OwnerLock, is_owned
from journy_track._spool.source import Purge


class Folder:
    """One folder. *about* says what the items are for: files for something else are left alone."""

    def __init__(self, path: Path, about: str, lock: AbstractContextManager[Any]) -> None:
        self.path = path
        self._about = about
        self._lock = lock

    def prepare(self) -> None:
        """Make it, readable by its owner only, if it is not there."""
        with told(self.path):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def files(self) -> list[Path]:
        """The files in it, the oldest first."""
        with told(self.path):
            return sorted(self.path.glob(f"*{SUFFIX}"))

    def has_orphans(self) -> bool:
        """Whether a process that has ended seems to have left a file. A cheap look, which takes nothing."""
        with self._lock, suppress(SpoolError):
            return any(not self.is_owned(path) for path in self.files())
        return False

    def is_owned(self, path: Path) -> bool:
        """Whether a living process owns the file at *path*. A cheap look, which takes nothing."""
        with self._lock, told(path):
            return is_owned(lock_path(path))

    def create(self) -> SpoolFile:
        """A new file, owned by this process."""
        for _ in range(10):
            with suppress(Owned):  # somebody tidied its lock up before it was taken
                return SpoolFile.create(self.path, self._about, self._lock)
        return SpoolFile.create(self.path, self._about, self._lock)

    def adopt(self, path: Path) -> SpoolFile | None:
        """The file at *path*, owned by this process from now on; `None` when it is none of ours to take.

        Its owner may live, or have delivered everything just now. Raises `Corrupt` for a file that was, and
        is set aside.
        """
        try:
            file = SpoolFile.adopt(path, self._lock)
        except Owned:
            return None
        except Corrupt as error:
            raise Corrupt(f"{error}. It was set aside as {set_aside(path).name}") from None
        except SpoolError:
            if not path.exists():
                self._tidy(path)
                return None
            raise
        if file.about not in (self._about, None):
            file.close()
            return None
        return file

    def size_of_others(self, own: list[SpoolFile]) -> int:
        """How many bytes all files take that are not *own*."""
        names = tuple(file.path.name for file in own)
        size = 0
        with told(self.path), os.scandir(self.path) as entries:
            for entry in entries:
                if not entry.name.startswith(names):
                    with suppress(FileNotFoundError):
                        size += entry.stat().st_size
        return size

    def purge(self, path: Path, purge: Purge, upto: float) -> int:
        """Remove from another process's file what must not be kept. Answers how many are gone."""
        if not path.exists():
            return 0
        file = SpoolFile(path, self._lock)
        try:
            if file.about != self._about:
                return 0
            for text in purge.texts:
                file.purge_dead_letters(text, purge.left)
            return sum(file.purge(text, upto, purge.left) for text in purge.texts)
        finally:
            file.close()

    def tidy(self) -> None:
        """Remove the locks of files that are gone."""
        with told(self.path):
            for lock in self.path.glob(f"*{SUFFIX}.lock"):
                self._tidy(lock.with_name(lock.name.removesuffix(".lock")))

    def _tidy(self, path: Path) -> None:
        if not path.exists():
            with self._lock, suppress(SpoolError):
                OwnerLock(lock_path(path)).release(remove=not path.exists())
