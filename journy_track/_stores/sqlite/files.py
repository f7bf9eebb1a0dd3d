"""The files of the spool that this process reads: its own, and those of processes that have ended."""

from __future__ import annotations

import logging
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

#: Seconds between two looks for files whose process has ended. The first comes after as long: processes that
#: are started together, as a server's workers are, first take one each.
ADOPT = 10.0
#: Seconds after which what was delivered or deleted is removed from the disk.
WIPE = 2.0


class OpenFiles:
    """Opens, takes over, gives up and closes files. For one thread, but `contained`."""

    def __init__(self, folder: Folder, notices: Notices, trouble: Trouble, clock: Callable[[], float]) -> None:
        self.folder = folder
        self._notices = notices
        self._trouble = trouble
        self._clock = clock
        #: What the store has not reported yet.
        self.changes = Changes()
        #: The file that this process writes to; `None` while none can be used.
        self.own: OpenFile | None = None
        self._adopted: list[OpenFile] = []
        self._adopt_at = clock() + ADOPT
        self._wipe_at = 0.0
        #: What could not be taken over, or was of no use, and how it looked.
        self._idle: dict[Path, object] = {}
        self._others_size = 0
        self._size_at = 0.0
        self._closed = False

    def __iter__(self) -> Iterator[OpenFile]:
        return iter([*([] if self.own is None else [self.own]), *self._adopted])

    @property
    def paths(self) -> set[Path]:
        """Where they are."""
        return {source.file.path for source in self}

    @property
    def unread(self) -> list[OpenFile]:
        """Those in which something was not read yet."""
        return [source for source in self if source.unread]

    def size(self) -> int:
        """Bytes in use in the folder, whoever uses them. Asks for the others' now and then only."""
        if self._clock() >= self._size_at:
            self._size_at = self._clock() + ADOPT
            self._others_size = self.folder.size_of_others([source.file for source in self])
        return self._others_size + sum(source.file.size() for source in self)

    # ── Coming ──

    def open(self) -> None:
        """Have a file to write to: one that a process left which has ended, or a new one."""
        if self.own is None and not self._trouble.is_on:
            with self.contained(None):
                self.folder.prepare()
                self.own = self._taken_over() or OpenFile(self.folder.create())
                self.changes.adopted += self.own.unread

    def _taken_over(self) -> OpenFile | None:
        # What follows goes behind what it left, so a restart keeps the order.
        self.folder.tidy()
        for path in self.folder.files():
            if path not in self.paths:
                with self._trouble_with_one():
                    file = self.folder.adopt(path)
                    if file is not None:
                        return OpenFile(file)
        return None

    def adopt(self) -> None:
        """Take over what processes left that have ended, and let go of what is delivered of it."""
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
        """Have nothing of what was removed left in the files, now and then."""
        if self._clock() >= self._wipe_at:
            for source in self:
                if source.file.has_traces:
                    self._wipe_at = self._clock() + WIPE
                    with suppress(SpoolError):  # it is tried again, and whatever uses the file logs what is wrong
                        source.file.wipe()

    def _adopt(self, path: Path) -> None:
        looks = _looks(path)
        if self._idle.get(path) == looks and not self.folder.is_owned(path):  # nobody wrote to it since
            return
        self._idle[path] = looks  # as it was before: what comes into it from now on is seen the next time
        file = self.folder.adopt(path)
        if file is None:
            del self._idle[path]  # its owner may end without writing to it again
            return
        source = OpenFile(file)
        if source.unread:
            del self._idle[path]
            self._adopted.append(source)
            self.changes.adopted += source.unread
        else:  # but dead letters, perhaps
            source.close()

    def purge_others(self, purge: Purge, upto: float) -> None:
        """Have *purge* done in the files of all other processes, in what was captured until *upto*."""
        with self.contained(None):
            for path in self.folder.files():
                if path not in self.paths:
                    with self._trouble_with_one():
                        self.folder.purge(path, purge, upto)

    # ── Going ──

    def lose(self, source: OpenFile) -> None:
        """Another process has taken it over, and delivers what is in it."""
        lost = source.abandon()
        self.changes.lost["taken_over"] += lost
        self._remove(source)
        with self.contained(source):
            source.close()
        if self.own is None:
            self._trouble.over()  # the disk may be fine: another file is tried at once
        self._notices.log(
            ("spool", "taken_over", self.folder.path),
            "%s: another process has taken over this file of the spool, whose lock was removed, and delivers what is "
            "in it. Do not let anything clean up the folder.",
            source.file.path,
            level=logging.ERROR,
        )

    def _remove(self, source: OpenFile) -> None:
        if source is self.own:
            self.own = None
        elif source in self._adopted:
            self._adopted.remove(source)

    def close(self) -> None:
        """Leave the files to others."""
        self._closed = True
        for source in self:
            with self.contained(source):
                source.close()
        self.own, self._adopted = None, []

    @contextmanager
    def contained(self, source: OpenFile | None) -> Iterator[None]:
        """Log what is wrong with the disk, and raise nothing. The disk is left alone for a moment."""
        try:
            yield
        except SpoolError as error:
            if not self._closed:  # else it is only late
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
        if adopted:  # the own file may still be fine
            self._leave_alone(error)
        else:
            self._trouble.note(error)

    def recovered(self, source: OpenFile | None, error: SpoolError) -> SpoolError:
        """Let go of *source* where *error* means that it is lost, and return what to log."""
        if source is not None and isinstance(error, (Corrupt, Gone)):
            return self._abandoned(source, error)
        return error

    def _abandoned(self, source: OpenFile, error: SpoolError) -> SpoolError:
        """Nothing more comes from it. What was read of it is in memory, and goes on."""
        lost = source.abandon()
        self.changes.lost["spool_lost"] += lost
        self._remove(source)
        if isinstance(error, Corrupt):
            try:
                aside = source.set_aside()
            except SpoolError as why:  # as on Windows while another process has it open
                return Corrupt(f"{error}. It could not be set aside; {lost} items in it were not read", why.name)
            return Corrupt(f"{error}. It was set aside as {aside}; {lost} items in it were not read", error.name)
        with suppress(SpoolError):
            source.close()
        return error


def _looks(path: Path) -> list[tuple[int, int]]:
    """When it was written to, and its size. What a process that was killed wrote is in SQLite's log beside it."""
    looks = []
    for part in (path, path.with_name(path.name + "-wal")):
        with suppress(OSError):
            found = part.stat()
            if found.st_size:  # an empty log comes and goes with whoever looks at the file
                looks.append((found.st_mtime_ns, found.st_size))
    return looks
