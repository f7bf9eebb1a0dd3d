"""Follows each row until it is settled. Calls are captured in order, may be merged, and are reported by index."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, NamedTuple

from journy_track._delivery.ledger import Watcher
from journy_track._model.call import ApiCall
from journy_track._model.items import UpsertAccount, UpsertUser
from journy_track._model.outcomes import Response
from journy_track.cli.importing.journal import Position
from journy_track.cli.importing.source import Record

#: The maximum number of captured rows not yet settled: enough to merge memberships, but few to resend after a kill.
WINDOW = 200
#: The same for batches: enough to fill two. Rows that are sent again have the same message IDs.
BATCH_WINDOW = 5_000
#: The number of settled items to remember, in windows. An item merged into one of them may be reported later.
_REMEMBERED = 8
#: Reasons that do not depend on the row: every other row would be refused for the same reason.
_STOPS = {
    "missing permission": "The API key lacks the permission for these rows: see journy.io, Settings, Connections.",
    "a redirect": "The server responds with a redirect, which is never followed: check the base URL.",
}


@dataclass(slots=True)
class _Row:
    record: Record
    first: int
    left: int
    names: frozenset[str]
    #: Whether all of its calls so far were skipped, because journy.io has the same values already.
    unchanged: bool = True
    refusal: dict[str, Any] | None = None
    rejected: dict[str, str] = field(default_factory=dict)


class Numbers(NamedTuple):
    """The number of rows that are settled, of rejected ones among them, and of rows in flight."""

    settled: int
    rejected: int
    waiting: int


class Following(Watcher):
    """The rows in flight, and the counts. One thread begins rows; any thread may settle them.

    *window* is the maximum number of rows in flight.
    """

    def __init__(self, position: Position, window: int = WINDOW) -> None:
        self._window = window
        self._changed = threading.Condition()
        self._position = replace(position)
        self._reopened = set(position.open)
        self._rows: dict[int, _Row] = {}
        self._row_of: dict[int, _Row] = {}
        self._parts: dict[int, list[int]] = {}
        self._settled: OrderedDict[int, tuple[str, Response | None]] = OrderedDict()
        self._rejections: list[dict[str, Any]] = []
        self._index = 0
        #: When the last call was settled, in monotonic seconds.
        self.settled_at: float = monotonic()
        #: Why the import must stop; `None` if it may continue.
        self.stop: str | None = None

    # ── The thread that reads ──

    def is_settled(self, record: Record) -> bool:
        """Whether an earlier run has settled this row."""
        return record.line < self._position.next_line and record.line not in self._reopened

    def begin(self, record: Record, calls: list[ApiCall]) -> None:
        """Announce that *calls* are captured next, in this order, for this row."""
        with self._changed:
            if not self._rows:
                self.settled_at = monotonic()
            row = _Row(record, self._index + 1, len(calls), _names(calls))
            self._rows[record.line] = row
            for _ in calls:
                self._index += 1
                self._row_of[self._index] = row
            self._read(record)

    def refuse(self, record: Record, reason: str) -> None:
        """Record that this row is rejected without being sent."""
        with self._changed:
            self._reject(record, {"reason": reason})
            self._read(record)

    def _read(self, record: Record) -> None:
        self._reopened.discard(record.line)
        position = self._position
        position.next_line = max(position.next_line, record.line + 1)
        position.offset, position.line = record.offset, record.line

    def has_room(self, timeout: float) -> bool:
        """Wait until another row may begin. Returns false after *timeout* seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._rows) < self._window, timeout)

    def is_empty(self, timeout: float) -> bool:
        """Wait until no row is in flight. Returns false after *timeout* seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._rows, timeout)

    def numbers(self) -> Numbers:
        """The current counts of rows."""
        with self._changed:
            return Numbers(self._position.settled, self._position.rejected, len(self._rows))

    def snapshot(self) -> tuple[Position, list[dict[str, Any]]]:
        """The position, and the rows rejected since the last snapshot."""
        with self._changed:
            position = replace(self._position, open=sorted(self._reopened | self._rows.keys()))
            first = next(iter(self._rows.values()), None)  # the rows are in order of their lines
            if first is not None:
                position.offset, position.line = first.record.offset, first.record.line
            rejections, self._rejections = self._rejections, []
            return position, rejections

    def written(self, position: Position) -> None:
        """Record that *position* has been saved to disk."""
        with self._changed:
            self._position.rejected_bytes = position.rejected_bytes

    # ── Any thread: called by the ledger ──

    def id_of(self, index: int, /) -> str | None:
        """A message ID derived from the row, so that a later run that sends the row again uses the same ID."""
        row = self._row_of.get(index)
        return None if row is None else f"{self._position.run}-{row.record.line:x}-{index - row.first}"

    def settled(self, index: int, outcome: str, response: Response | None, /) -> None:
        """Settle the call at *index*, and the calls that were merged into it."""
        with self._changed:
            self._settled[index] = outcome, response
            if len(self._settled) > _REMEMBERED * self._window:
                self._settled.popitem(last=False)
            for one in (index, *self._parts.pop(index, ())):
                self._settle(one, outcome, response)
            self._changed.notify_all()

    def joined(self, index: int, target: int, /) -> None:
        """Record that the call at *index* was merged into the one at *target*, which may be settled already."""
        with self._changed:
            if target in self._settled:
                self._settle(index, *self._settled[target])
                self._changed.notify_all()
            else:
                self._parts.setdefault(target, []).append(index)

    def _settle(self, index: int, outcome: str, response: Response | None) -> None:
        row = self._row_of.pop(index)
        for words, why in _STOPS.items():
            if outcome.startswith(words):
                self.stop = why  # the row stays open, for the next run
                return
        row.unchanged &= outcome == "unchanged"
        if outcome not in ("delivered", "unchanged"):
            row.refusal = _refusal(outcome, response)
        elif response is not None:
            row.rejected.update({name: what for name, what in response.rejected.items() if name in row.names})
        row.left -= 1
        self.settled_at = monotonic()
        if row.left:
            return
        del self._rows[row.record.line]
        if row.refusal is not None:
            self._reject(row.record, row.refusal)
            return
        if row.unchanged:
            self._position.unchanged += 1
        else:
            self._position.delivered += 1
        if row.rejected:
            self._position.in_part += 1
            reason = "delivered, but journy.io did not take these properties"
            self._rejections.append(_line(row.record, {"reason": reason, "fields": row.rejected}))

    def _reject(self, record: Record, refusal: Mapping[str, Any]) -> None:
        self._position.rejected += 1
        self._rejections.append(_line(record, refusal))


def _names(calls: list[ApiCall]) -> frozenset[str]:
    return frozenset(
        name for call in calls if isinstance(call, (UpsertUser, UpsertAccount)) for name in call.properties
    )


def _refusal(outcome: str, response: Response | None) -> dict[str, Any]:
    if response is None:
        return {"reason": outcome}
    about = {"reason": outcome, "status": response.status, "request_id": response.request_id}
    return {**about, "fields": dict(response.fields)} if response.fields else about


def _line(record: Record, refusal: Mapping[str, Any]) -> dict[str, Any]:
    about = {"line": record.line, **refusal, "row": record.cells}
    return about if record.raw is None else {**about, "raw": record.raw}
