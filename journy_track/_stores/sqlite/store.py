"""The store on disk: captured items survive the process, and items left by ended processes are delivered, too.

In each of its turns, the worker writes the new items in one transaction. They are sent from memory if they fit there,
and otherwise read back later. They are removed from the disk when they are settled.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from journy_track._model.items import Item
from journy_track._model.messages import item_of, message_of
from journy_track._model.notices import Notices
from journy_track._model.purging import Delete, Purge
from journy_track._stores.sqlite.errors import SpoolError
from journy_track._stores.sqlite.files import OpenFiles
from journy_track._stores.sqlite.folder import Folder
from journy_track._stores.sqlite.keys import RefusedKey
from journy_track._stores.sqlite.source import OpenFile
from journy_track._stores.store import Changes, DeadLetter, Job
from journy_track._stores.trouble import Trouble

#: The maximum number of characters of messages in memory, as files may contain messages written by anyone.
MAX_HELD = 16 << 20
#: If more settled items than this could not be removed, nothing more is read.
MAX_UNREMOVED = 100_000


class SqliteStore:
    """The spool of one process. A job's receipts are pairs of an open file and a position in it.

    *limit*: maximum size of the folder in bytes. *window*: maximum number of jobs in memory.

    *join* combines two merged items into one. *on_open* is called once the folder can be used: with the remaining and
    the total seconds of the pause for a key that was refused before, or with `None` if it was not refused.
    """

    durable = True

    def __init__(
        self,
        folder: Folder,
        key: RefusedKey,
        notices: Notices,
        trouble: Trouble,
        *,
        limit: int,
        window: int,
        join: Callable[[Item, Item], Item | None],
        on_open: Callable[[tuple[float, float] | None], object],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._key = key
        self._notices = notices
        self._limit = limit
        self._window = window
        self._join = join
        self._on_open = on_open
        self._wall = wall
        #: Whether opening the folder was attempted, even if it failed.
        self.is_open = False
        self._key_recalled = False
        self._closed = False
        #: The jobs written last, which are still in memory and are fetched next.
        self._tail: list[Job] = []
        self._files = OpenFiles(folder, notices, trouble, clock)

    @property
    def append(self) -> Callable[[Sequence[Job]], int] | None:
        return None if self._files.own is None or self._closed else self._append

    @property
    def unread(self) -> bool:
        return bool(self._tail or self._files.unread)

    @property
    def unsettled(self) -> int:
        return sum(len(source.outstanding) for source in self._files) - len(self._tail)

    # ── In and out ──

    def _append(self, jobs: Sequence[Job]) -> int:
        own = self._files.own
        assert own is not None, "else nobody is given this"
        messages = self._within_limit(jobs)
        catches_up = not (self._files.unread or self._tail)
        known = self._files.changes.adopted
        try:
            own.write([(job.at, message) for job, message in zip(jobs, messages, strict=False)], self._adopted)
        except SpoolError as error:
            raise self._files.recovered(own, error) from None
        written = jobs[: len(messages)]
        for seq, job in enumerate(written, own.last - len(written) + 1):
            job.receipts = ((own, seq),)
        catches_up = catches_up and known == self._files.changes.adopted
        if catches_up and self._has_room(len(written), sum(map(len, messages))):
            own.skip(written, messages)
            self._tail += written
        return len(written)

    def _has_room(self, count: int, size: int) -> bool:
        """Whether *count* more jobs fit in memory, with *size* characters of messages."""
        outstanding = sum(len(source.outstanding) for source in self._files)
        return outstanding + count <= self._window and self._held() + size < MAX_HELD

    def _held(self) -> int:
        return sum(source.held for source in self._files)

    def _adopted(self, count: int) -> None:
        self._files.changes.adopted += count

    def _within_limit(self, jobs: Sequence[Job]) -> list[str]:
        """Return the messages of *jobs*, from the first on, as far as there is room for them."""
        room = self._limit - self._files.size()
        messages: list[str] = []
        for job in jobs:
            message = message_of(job.item, message_id=job.id())
            room -= len(message)
            if room <= 0:
                self._notices.log(
                    "spool_full",
                    "the spool in %s is full (spool_limit, %d bytes): new items are dropped and "
                    "counted. See `journy-track spool status`.",
                    self._folder.path,
                    self._limit,
                )
                break
            messages.append(message)
        return messages

    def fetch(self, limit: int, /) -> list[Job]:
        if self._tail:
            fetched, self._tail = self._tail[:limit], self._tail[limit:]
            return fetched
        fetched = []
        unread = self._files.unread if self._held() < MAX_HELD else []
        for source in unread:
            if source.unremoved < MAX_UNREMOVED:
                with self._files.contained(source):
                    for row in source.read(max(1, limit // len(unread))):
                        job = Job(0, 0.0, row.at)
                        job.message = row.message
                        job.message_id = f"{source.file.path.stem}-{row.seq}"  # for messages of versions without IDs
                        job.receipts = ((source, row.seq),)
                        source.outstanding[row.seq] = job
                        fetched.append(job)
        return fetched

    # ── Any thread ──

    def ack(self, jobs: Sequence[Job], /) -> None:
        for source, seqs in _by_source(jobs).items():
            with self._files.contained(source):
                source.remove(seqs)

    def dead_letter(self, job: Job, letter: DeadLetter, /) -> None:
        by_source = _by_source([job])
        source = next(iter(by_source), self._files.own)
        if source is None or self._closed:
            return
        with self._files.contained(source):
            source.dead_letter(by_source.pop(source, []), letter)
        for other, seqs in by_source.items():
            with self._files.contained(other):
                other.remove(seqs)

    def forget(self, job: Job, /) -> None:
        for source, seq in job.receipts:
            source.forget(seq)
        job.receipts = ()

    def checkpoint(self) -> Callable[[], bool]:
        lasts: list[tuple[OpenFile, int]] | None = None

        def is_settled() -> bool:
            nonlocal lasts
            if lasts is None:  # first called when everything captured before is stored
                if not self.is_open:
                    return False
                lasts = [(source, source.last) for source in self._files]
            return all(source.is_settled(last) for source, last in lasts)

        return is_settled

    # ── The key ──

    def note_key(self, pause: float | None) -> None:
        """Remember that the key was refused: no process uses it for *pause* seconds. `None`: it was accepted."""
        with self._files.contained(None):
            if pause is None:
                self._key.forget()
            else:
                self._key.remember(self._wall() + pause, pause)

    # ── What others do to our files, and we to theirs ──

    def look(self) -> None:
        if self._closed:
            return
        self._let_go()
        self._files.open()
        self.is_open = True
        if not self._key_recalled and self._files.own is not None:
            self._key_recalled = True
            with self._files.contained(None):
                self._on_open(self._key.recall(self._wall()))
        for source in self._files:
            with self._files.contained(source):
                source.remove_again()
                self._look_at(source)
        self._files.adopt()

    def changes(self) -> Changes:
        return self._files.taken_changes()

    def _look_at(self, source: OpenFile) -> None:
        """Detect changes by others to the file: a purge by another process, or a command."""
        if not source.file.changed():
            return
        changes = self._files.changes
        adopted, lost = source.recount()
        changes.adopted += adopted
        changes.lost["deleted"] += lost
        kept: dict[OpenFile, dict[int, str]] = {}
        for job in self._outstanding_of(source):
            items = []
            for file, seq in job.receipts:  # several if it was merged, perhaps in several files
                if file not in kept:
                    kept[file] = file.kept()
                if seq in kept[file]:
                    items.append(item_of(kept[file][seq]))
            if not items:
                self._withdraw(job, "deleted")
                continue
            item, *others = items
            for other in others:
                # They fit, as all of them did before: a delete removes the earliest, and later values win.
                item = self._join(item, other) or item
            if message_of(item) != message_of(job.item):
                changes.amended.append((job, item))

    def _let_go(self) -> None:
        """Release files that another process has taken over. Their items in flight may be delivered twice."""
        for source in self._files:
            with self._files.contained(source):
                if source.file.is_ours():
                    continue
                outstanding = self._outstanding_of(source)
                self._files.lose(source)
                for job in outstanding:
                    if all(file is source for file, _ in job.receipts):
                        self._withdraw(job, "taken_over")

    def _withdraw(self, job: Job, reason: str) -> None:
        if job in self._tail:  # it was not fetched yet
            self._tail.remove(job)
            self._files.changes.lost[reason] += 1
            self.forget(job)
        else:
            self._files.changes.withdrawn.append((job, reason))

    def _outstanding_of(self, source: OpenFile) -> list[Job]:
        """Return the waiting and in-flight jobs that have a row in the file of *source*."""
        jobs = {id(job): job for other in self._files for job in other.outstanding.copy().values() if job is not None}
        return [job for job in jobs.values() if any(file is source for file, _ in job.receipts)]

    def purge(self, delete: Delete, job: Job, /) -> int:
        """Remove it from all files on this host: unfetched items, other processes' items, and dead letters."""
        purge = Purge(delete)
        gone = 0
        place = next((seq for source, seq in job.receipts if source is self._files.own), None)
        for source in self._files:
            with self._files.contained(source):
                gone += source.purge(purge, job.at, place if source is self._files.own else None)
        self._files.purge_others(purge, job.at)
        return gone

    def has_orphans(self) -> bool:
        """Whether a process that has ended seems to have left items to deliver."""
        return self._folder.has_orphans()

    def tidy(self) -> None:
        self._files.wipe()

    def close(self) -> None:
        self._closed = True
        self._files.close()


def _by_source(jobs: Sequence[Job]) -> dict[OpenFile, list[int]]:
    by_source: dict[OpenFile, list[int]] = {}
    for source, seq in itertools.chain.from_iterable(job.receipts for job in jobs):
        by_source.setdefault(source, []).append(seq)
    return by_source
