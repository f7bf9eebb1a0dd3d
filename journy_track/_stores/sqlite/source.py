"""A spool file whose items are being delivered: how far it was read, and which items are not settled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from journy_track._model.purging import Purge
from journy_track._stores.sqlite.bounds import PAGE_SIZE
from journy_track._stores.sqlite.errors import SpoolError
from journy_track._stores.sqlite.file import Row, SpoolFile
from journy_track._stores.store import DeadLetter

_CHUNK = 500
#: Chunks of an adopted file that are checked before anything is appended, as items after an unreadable row are lost
#: with it. Not the whole file is checked: a gigabyte takes about 10 seconds.
_PROBED = 20


class OpenFile:
    """An open file that this process owns.

    Only `remove`, `dead_letter`, `forget` and `is_settled` may be called from any thread.
    """

    def __init__(self, file: SpoolFile) -> None:
        self.file = file
        with file.looked_at():
            #: The position of the last known item.
            self.last = file.last()
            #: The number of unread items up to `last`. Other processes may add more after that.
            self.unread = file.waiting(upto=self.last)
            self._probe()
        #: What was read and is not settled, in order: by position, the object that the reader assigned.
        self.outstanding: dict[int, Any] = {}
        self._sizes: dict[int, int] = {}
        self._read_upto = 0
        #: Settled items that are still in the file: on a full disk, removing fails, too.
        self._unremoved: set[int] = set()
        self._abandoned = False

    def _probe(self) -> None:
        self.file.dead()
        self.file.dead_letters()
        after = 0
        for _ in range(_PROBED):
            rows = self.file.read(after, _CHUNK, self.last)
            if not rows:
                return
            after = rows[-1].seq

    @property
    def unremoved(self) -> int:
        """The number of settled items that could not be removed."""
        return len(self._unremoved)

    @property
    def held(self) -> int:
        """The number of characters of the messages that were read and are not settled."""
        return sum(self._sizes.copy().values())

    def is_settled(self, last: int) -> bool:
        """Whether everything up to the position *last* is settled."""
        if self._abandoned:
            return True
        if self.unread and self._read_upto < last:
            return False
        oldest = next(iter(self.outstanding.copy()), None)  # checked last: `read` adds items here first
        return oldest is None or oldest > last

    def is_done(self) -> bool:
        """Whether nothing in it is left to deliver or to remove."""
        return not (self.unread or self.outstanding or self._unremoved)

    # ── In and out ──

    def write(self, messages: Sequence[tuple[float, str]], adopted: Callable[[int], object]) -> None:
        """Append items. *adopted* is called with the number of items that others have added since the last time."""
        if not messages:
            return
        seqs = self.file.write(messages)
        if seqs[0] > self.last + 1:
            others = self.file.waiting(self.last, seqs[0] - 1)
            adopted(others)
            self.unread += others
        self.last = seqs[-1]
        self.unread += len(seqs)

    def skip(self, jobs: Sequence[Any], messages: Sequence[str]) -> None:
        """Mark *jobs*, which were written last, as read: they are in memory. There must not be other unread items."""
        seqs = range(self.last - len(jobs) + 1, self.last + 1)
        self._sizes.update(zip(seqs, map(len, messages), strict=True))
        self.outstanding.update(zip(seqs, jobs, strict=True))
        self._read_upto = self.last
        self.unread = 0

    def read(self, limit: int) -> list[Row]:
        """Return the next items, at most *limit*. Each is outstanding until `forget` is called."""
        # Not beyond `last`: later items of other writers are not counted yet, and would be found a second time.
        rows = self.file.read(self._read_upto, limit, self.last)
        self.outstanding.update((row.seq, None) for row in rows)
        sizes = {row.seq: len(row.message) for row in rows}
        self._sizes.update(sizes)
        more = len(rows) == limit or sum(sizes.values()) >= PAGE_SIZE
        self._read_upto = rows[-1].seq if more else self.last
        self.unread -= len(rows)
        if self.unread and self._read_upto == self.last:  # they were removed, and `recount` has to count them
            self.file.look_again()
        return rows

    def remove(self, seqs: Sequence[int]) -> None:
        """Remove settled items."""
        try:
            if not self._abandoned:
                self.file.remove(seqs)
        except SpoolError:
            self._unremoved.update(seqs)
            raise

    def remove_again(self) -> None:
        """Retry removing the settled items that could not be removed before."""
        seqs = list(self._unremoved)
        if seqs:
            self.file.remove(seqs)
            self._unremoved.difference_update(seqs)

    def dead_letter(self, seqs: Sequence[int], letter: DeadLetter) -> None:
        """Replace items that were given up with *letter*."""
        try:
            if not self._abandoned:
                self.file.dead_letter(seqs, letter)
        except SpoolError:
            self._unremoved.update(seqs)
            raise

    def forget(self, seq: int) -> None:
        """Forget an item that is settled and counted."""
        self.outstanding.pop(seq, None)
        self._sizes.pop(seq, None)

    # ── What others did ──

    def recount(self) -> tuple[int, int]:
        """Return how many items others have added, and how many unread items are gone."""
        left = self.file.waiting(self._read_upto, self.last)
        lost = self.unread - left
        last = self.file.last()
        adopted = self.file.waiting(self.last, last) if last > self.last else 0
        self.last = max(last, self.last)
        self.unread = left + adopted
        return adopted, lost

    def kept(self) -> dict[int, str]:
        """Return the messages that were read and are still in the file, by position."""
        kept: dict[int, str] = {}
        places = list(self.outstanding)
        after, upto = (places[0] - 1, places[-1]) if places else (0, 0)
        while after < upto:
            rows = self.file.read(after, _CHUNK, upto)
            kept.update((row.seq, row.message) for row in rows if row.seq in self.outstanding)
            after = rows[-1].seq if rows else upto
        return kept

    def purge(self, purge: Purge, at: float, before: int | None) -> int:
        """Apply *purge* to unread items and dead letters. Returns how many unread items were removed."""
        for text in purge.texts:
            self.file.purge_dead_letters(text, purge.left)
        counted = self.last + 1
        gone = sum(
            self.file.purge(text, at, purge.left, after=self._read_upto, before=before or counted)
            for text in purge.texts
        )
        self.unread -= gone
        if before is None:
            for text in purge.texts:  # also in items that others have added since, which were never counted
                self.file.purge(text, at, purge.left, after=self.last)
        return gone

    # ── The end ──

    def abandon(self) -> int:
        """Mark the file as unusable. Returns how many of its items were never read."""
        self._abandoned = True
        lost, self.unread = self.unread, 0
        self._unremoved.clear()
        return lost

    def set_aside(self) -> str:
        """Rename the abandoned file, and return the new name."""
        return self.file.set_aside().name

    def close(self) -> None:
        """Close the file so that others can adopt it. It is removed if it is empty."""
        if not self._abandoned:
            with suppress(SpoolError):
                self.remove_again()
        self.file.close(remove=not self._abandoned)
