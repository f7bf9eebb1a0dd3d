"""A file of the spool while its items are delivered: how far it was read, and what of it is under way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from journy_track._spool.errors import SpoolError
from journy_track._spool.file import DeadLetter, Row, SpoolFile

_CHUNK = 500


class Purge(Protocol):
    """What to search for, as it stands in messages, and what is left of a message that holds it."""

    @property
    def texts(self) -> Sequence[str]: ...
    def left(self, message: str, /) -> str | None: ...


class Source:
    """An open file that this process owns. Not thread-safe, but `remove`, `bury`, `forget`, `is_settled`."""

    def __init__(self, file: SpoolFile) -> None:
        self.file = file
        #: The place of the last item that is known of.
        self.last = file.last()
        #: How many are beyond what was read, and not beyond `last`: somebody may be adding to them.
        self.unread = file.waiting(upto=self.last)
        #: What was read and is not settled, in order: by place, whatever the reader made of it.
        self.outstanding: dict[int, Any] = {}
        self._read_upto = 0
        #: Settled, and still in the file: on a full disk nothing can be removed either.
        self._unremoved: set[int] = set()
        self._abandoned = False

    @property
    def unremoved(self) -> int:
        """How many are settled and could not be removed."""
        return len(self._unremoved)

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

    def write(self, messages: Sequence[tuple[float, str]], found: Callable[[int], object]) -> None:
        """Append items. *found* is told how many somebody else has put there since the last time."""
        if not messages:
            return
        seqs = self.file.write(messages)
        if seqs[0] > self.last + 1:
            others = self.file.waiting(self.last, seqs[0] - 1)
            found(others)
            self.unread += others
        self.last = seqs[-1]
        self.unread += len(seqs)

    def read(self, most: int) -> list[Row]:
        """The next items, at most so many. Each is outstanding until it is settled, or `forget` is called."""
        # Not beyond `last`: what others have put there since is not counted, and would be found once more.
        rows = self.file.read(self._read_upto, most, self.last)
        self.outstanding.update((row.seq, None) for row in rows)
        self._read_upto = self.last if len(rows) < most else rows[-1].seq
        self.unread -= len(rows)
        if self.unread and self._read_upto == self.last:  # they are gone, and `recount` has to say so
            self.file.look_again()
        return rows

    def remove(self, seqs: Sequence[int]) -> None:
        """Those are settled."""
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

    def bury(self, seqs: Sequence[int], letter: DeadLetter) -> None:
        """Those were given up."""
        try:
            if not self._abandoned:
                self.file.bury(seqs, letter)
        except SpoolError:
            self._unremoved.update(seqs)
            raise

    def forget(self, seq: int) -> None:
        """That one is settled, and counted as such."""
        self.outstanding.pop(seq, None)

    # ── What others did ──

    def recount(self) -> tuple[int, int]:
        """How many more there are than were known, and how many of those that were not read are gone."""
        left = self.file.waiting(self._read_upto, self.last)
        missing = self.unread - left
        last = self.file.last()
        found = self.file.waiting(self.last, last) if last > self.last else 0
        self.last = max(last, self.last)
        self.unread = left + found
        return found, missing

    def kept(self) -> dict[int, str]:
        """The messages, by place, of what was read and is still in the file."""
        kept: dict[int, str] = {}
        places = list(self.outstanding)
        after, upto = (places[0] - 1, places[-1]) if places else (0, 0)
        while after < upto:
            rows = self.file.read(after, _CHUNK, upto)
            kept.update((row.seq, row.message) for row in rows)
            after = rows[-1].seq if len(rows) == _CHUNK else upto
        return kept

    def purge(self, purge: Purge, at: float, before: int | None) -> int:
        """Remove what was not read, or was given up, and must go. Answers how many waited."""
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
        """It cannot be used any more. Answers how many items in it were never read."""
        self._abandoned = True
        lost, self.unread = self.unread, 0
        self._unremoved.clear()
        return lost

    def set_aside(self) -> str:
        """Give the abandoned file another name, and answer it."""
        return self.file.set_aside().name

    def close(self) -> None:
        """Let others have it; nobody, if nothing is in it."""
        if not self._abandoned:
            with suppress(SpoolError):
                self.remove_again()
        self.file.close(remove=not self._abandoned)
