"""The files of the spool that this process reads: its own, and those of processes that have ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from journy_track._delivery.ledger import Ledger
from journy_track._delivery.notices import Notices
from journy_track._spool.errors import Corrupt, Gone, SpoolError
from journy_track._spool.folder import Folder
from journy_track._spool.source import Purge, Source

#: Seconds after which a disk that could not be used is tried again.
RETRY = 5.0
#: Seconds between two looks for files whose process has ended. The first comes after as long: processes that
#: are started together, as a server's workers are, first take one each.
ADOPT = 10.0


class Sources:
    """Opens, takes over, gives up and closes files. For one thread, but `trouble`."""

    def __init__(self, folder: Folder, ledger: Ledger, notices: Notices, clock: Callable[[], float]) -> None:
        self.folder = folder
        self._ledger = ledger
        self._notices = notices
        self._clock = clock
        #: The file that this process writes to; `None` while there is none that can be used.
        self.own: Source | None = None
        self._adopted: list[Source] = []
        self._retry_at = 0.0
        self._adopt_at = clock() + ADOPT
        #: What could not be taken over, or was of no use, and how it looked.
        self._idle: dict[Path, object] = {}
        self._others_size = 0
        self._size_at = 0.0
        self._closed = False

    def __iter__(self) -> Iterator[Source]:
        return iter([*([] if self.own is None else [self.own]), *self._adopted])

    @property
    def paths(self) -> set[Path]:
        """Where they are."""
        return {source.file.path for source in self}

    @property
    def unread(self) -> list[Source]:
        """Those in which something was not read yet."""
        return [source for source in self if source.unread]

    @property
    def writable(self) -> Source | None:
        """The own file, unless it could not be used a moment ago."""
        return None if self._clock() < self._retry_at else self.own

    def size(self) -> int:
        """Bytes in use in the folder, whoever uses them. Asks for the others' now and then only."""
        if self._clock() >= self._size_at:
            self._size_at = self._clock() + ADOPT
            self._others_size = self.folder.size_of_others([source.file for source in self])
        return self._others_size + sum(source.file.size() for source in self)

    # ── Coming ──

    def open(self) -> None:
        """Have a file to write to: one that a process left which has ended, or a new one."""
        if self.own is None and self._clock() >= self._retry_at:
            with self.trouble(None):
                self.folder.prepare()
                self.own = self._taken_over() or Source(self.folder.create())
                self._ledger.found(self.own.unread)

    def _taken_over(self) -> Source | None:
        # What follows goes behind what it left, so a restart keeps the order.
        self.folder.tidy()
        for path in self.folder.files():
            if path not in self.paths:
                with self._trouble_with_one():
                    file = self.folder.adopt(path)
                    if file is not None:
                        return Source(file)
        return None

    def adopt(self) -> None:
        """Take over what processes left that have ended, and let go of what is delivered of it."""
        if self._clock() < self._adopt_at:
            return
        self._adopt_at = self._clock() + ADOPT
        with self.trouble(None):
            for source in [source for source in self._adopted if source.is_done()]:
                self._adopted.remove(source)
                source.close()
            if self.own is not None and self.own.is_done():
                self.own.file.shrink()
            for path in self.folder.files():
                if path not in self.paths:
                    with self._trouble_with_one():
                        self._adopt(path)

    def _adopt(self, path: Path) -> None:
        looks = _looks(path)
        if self._idle.get(path) == looks and not self.folder.is_owned(path):  # nobody wrote to it since
            return
        self._idle[path] = looks  # as it was before: what comes into it from now on is seen the next time
        file = self.folder.adopt(path)
        if file is None:
            del self._idle[path]  # its owner may end without writing to it again
            return
        source = Source(file)
        if source.unread:
            del self._idle[path]
            self._adopted.append(source)
            self._ledger.found(source.unread)
        else:  # but dead letters, perhaps
            source.close()

    def purge_others(self, purge: Purge, upto: float) -> None:
        """Have *purge* done in the files of all other processes, in what was captured until *upto*."""
        with self.trouble(None):
            for path in self.folder.files():
                if path not in self.paths:
                    with self._trouble_with_one():
                        self.folder.purge(path, purge, upto)

    # ── Going ──

    def close(self) -> None:
        """Let others have the files."""
        self._closed = True
        for source in self:
            with self.trouble(source):
                source.close()
        self.own, self._adopted = None, []

    @contextmanager
    def trouble(self, source: Source | None) -> Iterator[None]:
        """Whatever is wrong with the disk is said, and ends here. The disk is left alone for a moment."""
        try:
            yield
        except SpoolError as error:
            if not self._closed:  # else it is only late
                self.fails(source, error)

    @contextmanager
    def _trouble_with_one(self) -> Iterator[None]:
        try:
            yield
        except SpoolError as error:
            self._say(str(error), error, "one file of the spool is left alone: %s.")

    def fails(self, source: Source | None, error: SpoolError) -> None:
        """That went wrong with *source*, or with the folder."""
        self._retry_at = self._clock() + RETRY
        if source is not None and isinstance(error, (Corrupt, Gone)):
            error = self._given_up(source, error)
        # Not by its text: that names the file, which is another one at each try.
        self._say(
            error.name,
            error,
            "the spool cannot be used: %s. Items are kept in memory meanwhile, and the disk is tried again.",
        )

    def _given_up(self, source: Source, error: SpoolError) -> SpoolError:
        """Nothing more comes from it. What was read of it is in memory, and goes on."""
        lost = source.abandon()
        self._ledger.missing(lost, "spool_lost")
        if source is self.own:
            self.own = None
            self._retry_at = 0.0  # the disk may be fine: try a new file
        elif source in self._adopted:
            self._adopted.remove(source)
        if isinstance(error, Corrupt):
            aside = source.set_aside()
            return Corrupt(f"{error}. It was set aside as {aside}; {lost} items in it were not read")
        source.close()
        return error

    def _say(self, cause: str, error: SpoolError, message: str) -> None:
        self._notices.say(("spool", type(error), cause, self.folder.path), message, error, level=logging.ERROR)


def _looks(path: Path) -> list[tuple[int, int]]:
    """When it was written to, and its size. What a process that was killed wrote is in SQLite's log beside it."""
    looks = []
    for part in (path, path.with_name(path.name + "-wal")):
        with suppress(OSError):
            found = part.stat()
            if found.st_size:  # an empty log comes and goes with whoever looks at the file
                looks.append((found.st_mtime_ns, found.st_size))
    return looks
