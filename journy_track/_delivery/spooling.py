"""From the worker to the disk, and from the disk to the dispatcher: what `spool` adds to delivery.

What was captured is written first, in one transaction per turn of the worker, and leaves memory. From the files
as many items are read ahead as fit in the window, in the order in which they were written; who is settled is
removed. Where the disk cannot be used, items stay in memory, as without a spool, until it can.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from journy_track._delivery.ledger import Ledger, Mark
from journy_track._delivery.merging import merged
from journy_track._delivery.notices import Notices
from journy_track._delivery.purging import Delete, Purge
from journy_track._delivery.sources import Sources
from journy_track._delivery.taken import Taken
from journy_track._model.items import DeleteAccount, DeleteUser, Item
from journy_track._model.messages import item_of, message_of
from journy_track._model.outcomes import Answer
from journy_track._spool.errors import SpoolError
from journy_track._spool.file import DeadLetter, Row
from journy_track._spool.folder import Folder
from journy_track._spool.keys import RefusedKey
from journy_track._spool.source import Source

#: Items in memory that were read ahead, at most.
WINDOW = 5_000
#: Items read in one turn, at most: what is captured meanwhile waits for its turn to be written.
CHUNK = 100
#: Items in one transaction, at most.
BATCH = 500
#: Seconds after which what waits here is looked at again, where nothing else says when.
LATER = 1.0
#: Items that were settled and could not be removed, above which nothing more is read.
MOST_UNREMOVED = 100_000


class Desk(Protocol):
    """The dispatcher, as far as the spool needs it."""

    @property
    def waiting(self) -> int: ...
    def put(self, taken: Taken, /) -> None: ...
    def purge(self, delete: Delete, /) -> None: ...
    def withdraw(self, taken: Taken, reason: str, /) -> None: ...
    def amend(self, taken: Taken, item: Item, /) -> None: ...


class Spool:
    """The spool of one process. `add`, `turn` and `close` are for the worker, the rest for who settles an item.

    *on_open* gets how long a key that was refused before is to be left alone, and the pause it is part of.
    """

    def __init__(
        self,
        folder: Folder,
        key: RefusedKey,
        ledger: Ledger,
        desk: Desk,
        notices: Notices,
        *,
        limit: int,
        window: int,
        on_open: Callable[[tuple[float, float] | None], object],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._key = key
        self._ledger = ledger
        self._desk = desk
        self._notices = notices
        self._limit = limit
        self._window = max(1, min(WINDOW, window))
        self._on_open = on_open
        self._clock = clock
        self._wall = wall
        #: Whether the folder was looked into, whatever came of it.
        self.tried = False
        self._recalled = False
        self._closed = False
        self._pending: list[Taken] = []
        self._sources = Sources(folder, ledger, notices, clock)
        ledger.keeper = self

    # ── The worker's side ──

    def add(self, taken: Taken) -> None:
        """Take a new item in."""
        self._pending.append(taken)
        if len(self._pending) >= BATCH:
            self._store()

    def turn(self) -> float | None:
        """Write what is new, read what may go. Answers seconds to the next turn; `None`: nothing waits here."""
        if self._closed:
            return None
        self._sources.open()
        self.tried = True
        if not self._recalled and self._sources.own is not None:
            self._recalled = True
            with self._sources.trouble(None):
                self._on_open(self._key.recall(self._wall()))
        self._store()
        for source in self._sources:
            with self._sources.trouble(source):
                source.remove_again()
                self._look(source)
        self._sources.adopt()
        if self._load():
            return 0.0
        return LATER if self._pending or self._sources.unread else None

    def has_orphans(self) -> bool:
        """Whether a process that has ended seems to have left something to deliver."""
        return self._folder.has_orphans()

    def beyond(self, stored: Mark) -> Mark:
        """Asks whether all that *stored* speaks of is not only stored, but settled."""
        lasts: list[tuple[Source, int]] | None = None

        def settled() -> bool:
            nonlocal lasts
            if lasts is None:
                if not stored() or not self.tried:
                    return False
                lasts = [(source, source.last) for source in self._sources]
            return all(source.is_settled(last) for source, last in lasts)

        return settled

    def close(self) -> None:
        """Let others have the files. What is settled later stays in them, and is sent again."""
        self._closed = True
        self._sources.close()

    # ── Who settles an item ──

    def settled(self, taken: Taken) -> None:
        """It need not be kept any more."""
        for source, seqs in _by_source(taken):
            with self._sources.trouble(source):
                source.remove(seqs)
        taken.leaving += taken.rows
        taken.rows = ()

    def counted(self, taken: Taken) -> None:
        """It is in the ledger's numbers: whoever waits for it may go on."""
        for source, seq in taken.leaving:
            source.forget(seq)
        taken.leaving = ()

    def given_up(self, taken: Taken, reason: str, answer: Answer | None) -> None:
        """Keep it, and why, among the dead letters."""
        letter = DeadLetter(
            0,
            taken.at,
            message_of(taken.item),
            self._wall(),
            reason,
            None if answer is None else answer.status,
            None if answer is None else answer.request_id,
            {} if answer is None else answer.fields,
            taken.attempts,
        )
        source, seqs = next(iter(_by_source(taken)), (self._sources.own, []))
        if source is None or self._closed:
            return
        with self._sources.trouble(source):
            source.bury(seqs, letter)
            taken.leaving += tuple(row for row in taken.rows if row[0] is source)
            taken.rows = tuple(row for row in taken.rows if row[0] is not source)

    # ── The key ──

    def refused(self, pause: float) -> None:
        """journy.io refused the key: nobody asks again for *pause* seconds, also after a restart."""
        with self._sources.trouble(None):
            self._key.remember(self._wall() + pause, pause)

    def accepted(self) -> None:
        """journy.io accepts the key again."""
        with self._sources.trouble(None):
            self._key.forget()

    # ── Writing ──

    def _store(self) -> None:
        own = self._sources.writable
        if own is not None and self._pending:
            try:
                batch = self._within_limit(self._pending)
                self._pending = [taken for taken, _ in batch]
                own.write([(taken.at, message) for taken, message in batch], self._ledger.found)
            except SpoolError as error:
                self._sources.fails(own, error)
            else:
                self._pending = []
                self._ledger.stored(taken for taken, _ in batch)
                for place, (taken, _) in enumerate(batch, own.last - len(batch) + 1):
                    if isinstance(taken.item, (DeleteUser, DeleteAccount)):
                        self._purge(taken.item, taken.at, place)
        # What cannot be written is delivered from memory, unless that would overtake what is on disk.
        if not self._sources.unread:
            pending, self._pending = self._pending, []
            for taken in pending:
                self._desk.put(taken)

    def _within_limit(self, batch: list[Taken]) -> list[tuple[Taken, str]]:
        room = self._limit - self._sources.size()
        kept: list[tuple[Taken, str]] = []
        for taken in batch:
            message = message_of(taken.item)
            room -= len(message)
            if room > 0:
                kept.append((taken, message))
                continue
            self._ledger.dropped(taken, "spool_full")
            self._notices.say(
                "spool_full",
                "the spool in %s is full (spool_limit, %d bytes): what comes is dropped and counted, the newest "
                "first. See `journy-track spool status`.",
                self._folder.path,
                self._limit,
            )
        return kept

    # ── Reading ──

    def _load(self) -> bool:
        """Read some of what waits. Answers whether more can be read at once."""
        # What was merged into another waits no more at the desk, but is kept until that one is settled.
        room = self._window - max(self._desk.waiting, sum(len(source.outstanding) for source in self._sources))
        unread = self._sources.unread
        chunk = min(CHUNK, max(1, self._window // 4))
        count = 0
        if unread and room >= chunk:
            for source in unread:
                if source.unremoved < MOST_UNREMOVED:
                    with self._sources.trouble(source):
                        for row in source.read(max(1, chunk // len(unread))):
                            self._put(source, row)
                            count += 1
        return count > 0 and room - count >= chunk and bool(self._sources.unread)

    def _put(self, source: Source, row: Row) -> None:
        try:
            item = item_of(row.message)
        except ValueError as error:
            self._ledger.missing(1, "unreadable")
            with self._sources.trouble(source):  # here: what was read with it still has to go
                source.bury([row.seq], DeadLetter(0, row.at, row.message, self._wall(), f"unreadable: {error}"))
            source.forget(row.seq)
            return
        age = max(0.0, self._wall() - row.at)  # a wall clock may have jumped: never captured in the future
        taken = self._ledger.read(item, (source, row.seq), self._clock() - age)
        taken.at = row.at
        source.outstanding[row.seq] = taken
        self._desk.put(taken)

    # ── What others do to our files, and we to theirs ──

    def _look(self, source: Source) -> None:
        """Somebody else may have written to it: a purge by another process, a command."""
        if not source.file.changed():
            return
        found, missing = source.recount()
        self._ledger.found(found)
        self._ledger.missing(missing, "deleted")
        kept: dict[Source, dict[int, str]] = {}
        for taken in self._outstanding_of(source):
            messages = []
            for place, seq in taken.rows:  # of several, where it is merged, and maybe of several files
                if place not in kept:
                    kept[place] = place.kept()
                if seq in kept[place]:
                    messages.append(kept[place][seq])
            if not messages:
                self._desk.withdraw(taken, "deleted")
                continue
            item = item_of(messages[0])
            for message in messages[1:]:
                # It fits, as all of it did: a delete takes the first of them, and later values win.
                item = merged(item, item_of(message)) or item
            if message_of(item) != message_of(taken.item):
                self._desk.amend(taken, item)

    def _outstanding_of(self, source: Source) -> list[Taken]:
        """What waits or is on its way, of which a row is in that file."""
        some = {id(taken): taken for other in self._sources for taken in other.outstanding.copy().values() if taken}
        return [taken for taken in some.values() if any(place is source for place, _ in taken.rows)]

    def _purge(self, delete: Delete, at: float, before: int) -> None:
        """Remove, from all files of this host, what waits and is about the user or account of *delete*."""
        self._desk.purge(delete)
        purge = Purge(delete)
        for source in self._sources:
            with self._sources.trouble(source):
                gone = source.purge(purge, at, before if source is self._sources.own else None)
                self._ledger.missing(gone, "deleted")
        self._sources.purge_others(purge, at)


def _by_source(taken: Taken) -> list[tuple[Source, list[int]]]:
    found: dict[Source, list[int]] = {}
    for source, seq in taken.rows:
        found.setdefault(source, []).append(seq)
    return list(found.items())
