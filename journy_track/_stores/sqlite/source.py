"""A file of the spool while its items are delivered: how far it was read, and what of it is not settled."""

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
#: Chunks of a file that somebody left which are looked at before anything is written behind them: what comes behind a
#: row that cannot be read is lost with it. Not all of it: a gigabyte takes some 10 seconds.
_PROBED = 20


class OpenFile:
    """An open file that this process owns. Only `remove`, `dead_letter`, `forget` and
    `is_settled` may be called from any thread.
    """

    def __init__(self, file: SpoolFile) -> None:
        self.file = file
        with file.looked_at():
            #: The place of the last item that is known of.
            self.last = file.last()
            #: How many come after what was read, up to `last`: others may be adding to them.
            self.unread = file.waiting(upto=self.last)
            self._probe()
        #: What was read and is not settled, in order: by place, whatever the reader made of it.
        self.outstanding: dict[int, Any] = {}
        self._sizes: dict[int, int] = {}
        self._read_upto = 0
        #: Settled, and still in the file: on a full disk nothing can be removed either.
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
        """How many are settled and could not be removed."""
        return len(self._unremoved)

    @property
    def held(self) -> int:
        """Characters of the messages that were read and are not settled."""
        return sum(self._sizes.copy().values())

    def is_settled(self, last: int) -> bool:
        """Whether everything up to the place *last* is settled."""
        if self._abandoned:
            return True
        if self.unread and self._read_upto < last:
            return False
        oldest = next(iter(self.outstanding.copy()), None)  # looked at last: what is read is put there first
        return oldest is None or oldest > last

    def is_done(self) -> bool:
        """Whether nothing is left of it to deliver."""
        return not (self.unread or self.outstanding or self._unremoved)

    # ── In and out ──

    def write(self, messages: Sequence[tuple[float, str]], adopted: Callable[[int], object]) -> None:
        """Append items. *adopted* is called with how many somebody else has put there since the last time."""
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
        """The next ones need not be read: they are *jobs*, which were written last, and nothing else is unread."""
        seqs = range(self.last - len(jobs) + 1, self.last + 1)
        self._sizes.update(zip(seqs, map(len, messages), strict=True))
        self.outstanding.update(zip(seqs, jobs, strict=True))
        self._read_upto = self.last
        self.unread = 0

    def read(self, limit: int) -> list[Row]:
        """The next items, at most *limit*. Each is outstanding until it is settled, or `forget` is called."""
        # Not beyond `last`: what others have put there since is not counted, and would be found once more.
        rows = self.file.read(self._read_upto, limit, self.last)
        self.outstanding.update((row.seq, None) for row in rows)
        sizes = {row.seq: len(row.message) for row in rows}
        self._sizes.update(sizes)
        more = len(rows) == limit or sum(sizes.values()) >= PAGE_SIZE
        self._read_upto = rows[-1].seq if more else self.last
        self.unread -= len(rows)
        if self.unread and self._read_upto == self.last:  # they are gone, and `recount` has to count them
            self.file.look_again()
        return rows

    def remove(self, seqs: Sequence[int]) -> None:
        """They are settled."""
        try:
            if not self._abandoned:
                self.file.remove(seqs)
        except SpoolError:
            self._unremoved.update(seqs)
            raise

    def remove_again(self) -> None:
        """Those that could not be removed may be by now."""
        seqs = list(self._unremoved)
        if seqs:
            self.file.remove(seqs)
            self._unremoved.difference_update(seqs)

    def dead_letter(self, seqs: Sequence[int], letter: DeadLetter) -> None:
        """They were given up."""
        try:
            if not self._abandoned:
                self.file.dead_letter(seqs, letter)
        except SpoolError:
            self._unremoved.update(seqs)
            raise

    def forget(self, seq: int) -> None:
        """That one is settled, and counted as such."""
        self.outstanding.pop(seq, None)
        self._sizes.pop(seq, None)

    # ── What others did ──

    def recount(self) -> tuple[int, int]:
        """How many items were added by others, and how many of those that were not read are gone."""
        left = self.file.waiting(self._read_upto, self.last)
        lost = self.unread - left
        last = self.file.last()
        adopted = self.file.waiting(self.last, last) if last > self.last else 0
        self.last = max(last, self.last)
        self.unread = left + adopted
        return adopted, lost

    def kept(self) -> dict[int, str]:
        """The messages, by place, of what was read and is still in the file."""
        kept: dict[int, str] = {}
        places = list(self.outstanding)
        after, upto = (places[0] - 1, places[-1]) if places else (0, 0)
        while after < upto:
            rows = self.file.read(after, _CHUNK, upto)
            kept.update((row.seq, row.message) for row in rows if row.seq in self.outstanding)
            after = rows[-1].seq if rows else upto
        return kept

    def purge(self, purge: Purge, at: float, before: int | None) -> int:
        """Remove what was not read, or was given up, and must go. Returns how many waited."""
        for text in purge.texts:
            self.file.purge_dead_letters(text, purge.left)
        counted = self.last + 1
        gone = sum(
            self.file.purge(text, at, purge.left, after=self._read_upto, before=before or counted)
            for text in purge.texts
        )
        self.unread -= gone
        if before is None:
            for text in purge.texts:  # what others have put there since: it goes as well, and was never counted
                self.file.purge(text, at, purge.left, after=self.last)
        return gone

    # ── The end ──

    def abandon(self) -> int:
        """It cannot be used any more. Returns how many items in it were never read."""
        self._abandoned = True
        lost, self.unread = self.unread, 0
        self._unremoved.clear()
        return lost

    def set_aside(self) -> str:
        """Give the abandoned file another name, and return that."""
        return self.file.set_aside().name

    def close(self) -> None:
        """Close it, for others to adopt; it is removed if nothing is in it."""
        if not self._abandoned:
            with suppress(SpoolError):
                self.remove_again()
        self.file.close(remove=not self._abandoned)
