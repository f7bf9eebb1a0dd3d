"""The spool files that this process reads: its own, and those of processes that have ended."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from journy_track._model.notices import Notices
from journy_track._model.purging import Purge
from journy_track._stores.sqlite.errors import Corrupt, Gone, SpoolError
from journy_track._stores.sqlite.folder import Folder
from journy_track._stores.sqlite.source import OpenFile
from journy_track._stores.store import Changes
from journy_track._stores.trouble import Trouble

#: Seconds between searches for files whose process has ended, and before the first one: processes that are started
#: together, such as a server's workers, first take one file each.
ADOPT = 10.0
#: Seconds after which delivered or deleted items are erased from the disk.
WIPE = 2.0


class OpenFiles:
    """Opens, takes over, gives up and closes files. For a single thread, except `contained`."""

    def __init__(self, folder: Folder, notices: Notices, trouble: Trouble, clock: Callable[[], float]) -> None:
        self.folder = folder
        self._notices = notices
        self._trouble = trouble
        self._clock = clock
        #: The changes that the store has not reported yet. Only the worker uses them.
        self.changes = Changes()
        #: The numbers of unread items in lost files, which any thread may find.
        self._lost: deque[int] = deque()
        #: The file that this process writes to; `None` while none can be used.
        self.own: OpenFile | None = None
        self._adopted: list[OpenFile] = []
        self._adopt_at = clock() + ADOPT
        self._wipe_at = 0.0
        #: Files that could not be taken over, or had nothing to deliver, with their times and sizes (see `_looks`).
        self._idle: dict[Path, object] = {}
        self._others_size = 0
        self._size_at = 0.0
        self._closed = False

    def __iter__(self) -> Iterator[OpenFile]:
        return iter([*([] if self.own is None else [self.own]), *self._adopted])

    @property
    def paths(self) -> set[Path]:
        """The paths of the files."""
        return {source.file.path for source in self}

    @property
    def unread(self) -> list[OpenFile]:
        """The files with unread items."""
        return [source for source in self if source.unread]

    def size(self) -> int:
        """Return the bytes in use in the folder. The size of other processes' files is only updated now and then."""
        if self._clock() >= self._size_at:
            self._size_at = self._clock() + ADOPT
            self._others_size = self.folder.size_of_others([source.file for source in self])
        return self._others_size + sum(source.file.size() for source in self)

    def taken_changes(self) -> Changes:
        """Return the changes since the last call."""
        changes, self.changes = self.changes, Changes()
        while self._lost:
            changes.lost["spool_lost"] += self._lost.popleft()
        return changes

    # ── Coming ──

    def open(self) -> None:
        """Get a file to write to: one left by a process that has ended, or a new one."""
        if self.own is None and not self._trouble.is_on:
            with self.contained(None):
                self.folder.prepare()
                self.own = self._taken_over() or OpenFile(self.folder.create())
                self.changes.adopted += self.own.unread

    def _taken_over(self) -> OpenFile | None:
        # New items are appended to those left in the file, so a restart keeps the order.
        self.folder.tidy()
        for path in self.folder.files():
            if path not in self.paths:
                with self._trouble_with_one():
                    file = self.folder.adopt(path)
                    if file is not None:
                        return OpenFile(file)
        return None

    def adopt(self) -> None:
        """Take over the files of processes that have ended, and close those that are fully delivered."""
        if self._clock() < self._adopt_at:
            return
        self._adopt_at = self._clock() + ADOPT
        with self.contained(None):
            for source in [source for source in self._adopted if source.is_done()]:
                self._adopted.remove(source)
                source.close()
            for source in self:
                source.file.freshen()
            if self.own is not None and self.own.is_done():
                self.own.file.shrink()
            for path in self.folder.files():
                if path not in self.paths:
                    with self._trouble_with_one():
                        self._adopt(path)

    def wipe(self) -> None:
        """Erase the traces of removed items from the files, now and then."""
        if self._clock() >= self._wipe_at:
            for source in self:
                if source.file.has_traces:
                    self._wipe_at = self._clock() + WIPE
                    with suppress(SpoolError):  # it is retried, and other uses of the file log the error
                        source.file.wipe()

    def _adopt(self, path: Path) -> None:
        looks = _looks(path)
        if self._idle.get(path) == looks and not self.folder.is_owned(path):  # unchanged since then
            return
        self._idle[path] = looks  # its state before adopting it: later writes are noticed the next time
        file = self.folder.adopt(path)
        if file is None:
            del self._idle[path]  # its owner may end without writing to it again
            return
        source = OpenFile(file)
        if source.unread:
            del self._idle[path]
            self._adopted.append(source)
            self.changes.adopted += source.unread
        else:  # nothing to deliver, at most dead letters
            source.close()

    def purge_others(self, purge: Purge, upto: float) -> None:
        """Apply *purge* to the files of all other processes, for items captured until *upto*."""
        with self.contained(None):
            for path in self.folder.files():
                if path not in self.paths:
                    with self._trouble_with_one():
                        self.folder.purge(path, purge, upto)

    # ── Going ──

    def lose(self, source: OpenFile) -> None:
        """Give up a file that another process has taken over, and now delivers."""
        lost = source.abandon()
        self.changes.lost["taken_over"] += lost
        self._remove(source)
        with self.contained(source):
            source.close()
        if self.own is None:
            self._trouble.over()  # the disk may be fine: try another file at once
        self._notices.log(
            ("spool", "taken_over", self.folder.path),
            "%s: another process has taken over this file of the spool, because its lock was removed, and delivers "
            "its items; some may arrive twice. Exclude the folder from clean-up jobs.",
            source.file.path,
            level=logging.ERROR,
        )

    def _remove(self, source: OpenFile) -> None:
        if source is self.own:
            self.own = None
        else:
            with suppress(ValueError):  # another thread may have removed it
                self._adopted.remove(source)

    def close(self) -> None:
        """Close the files, so that others can take them over."""
        self._closed = True
        for source in self:
            with self.contained(source):
                source.close()
        self.own, self._adopted = None, []

    @contextmanager
    def contained(self, source: OpenFile | None) -> Iterator[None]:
        """Log errors of the disk instead of raising them, and pause its use."""
        try:
            yield
        except SpoolError as error:
            if not self._closed:  # after closing, errors are expected
                self._fails(source, error)

    @contextmanager
    def _trouble_with_one(self) -> Iterator[None]:
        try:
            yield
        except SpoolError as error:
            self._leave_alone(error)

    def _leave_alone(self, error: SpoolError) -> None:
        self._notices.log(
            ("spool", type(error), str(error), self.folder.path),
            "one file of the spool is left alone: %s.",
            error,
            level=logging.ERROR,
        )

    def _fails(self, source: OpenFile | None, error: SpoolError) -> None:
        adopted = source in self._adopted
        error = self.recovered(source, error)
        if adopted:  # our own file may still be fine
            self._leave_alone(error)
        else:
            self._trouble.note(error)

    def recovered(self, source: OpenFile | None, error: SpoolError) -> SpoolError:
        """Give up *source* if *error* means that it is lost, and return the error to log."""
        if source is not None and isinstance(error, (Corrupt, Gone)):
            return self._abandoned(source, error)
        return error

    def _abandoned(self, source: OpenFile, error: SpoolError) -> SpoolError:
        """Give up a lost file. Items that were already read are in memory and are still delivered."""
        lost = source.abandon()
        self._lost.append(lost)
        self._remove(source)
        if isinstance(error, Corrupt):
            try:
                aside = source.set_aside()
            except SpoolError as why:  # for example on Windows, while another process has it open
                return Corrupt(f"{error}. It could not be set aside; {lost} items in it were not read", why.name)
            return Corrupt(f"{error}. It was set aside as {aside}; {lost} items in it were not read", error.name)
        with suppress(SpoolError):
            source.close()
        return error


def _looks(path: Path) -> list[tuple[int, int]]:
    """Return the times and sizes of the file and SQLite's log, which contains what a killed process wrote last."""
    looks = []
    for part in (path, path.with_name(path.name + "-wal")):
        with suppress(OSError):
            found = part.stat()
            if found.st_size:  # an empty log appears and disappears whenever a process opens the file
                looks.append((found.st_mtime_ns, found.st_size))
    return looks
