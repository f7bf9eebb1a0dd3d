"""One item on the worker's side, from the moment it is taken until it is settled."""

from __future__ import annotations

from typing import Any

from journy_track._delivery.lanes import Ticket
from journy_track._model.captured import Captured


class Taken(Ticket):
    """One item on the worker's side, its own ticket in the lanes. *number* is its place in the order they came in.

    Ten thousand of them may wait: what few of them need takes nothing in the others.
    """

    __slots__ = (
        "at",
        "attempts",
        "captured",
        "deferrals",
        "extra",
        "index",
        "item",
        "leaving",
        "number",
        "renewed_at",
        "rows",
        "taken_at",
    )

    def __init__(self, number: int, taken_at: float, captured: Captured | None = None) -> None:
        super().__init__()
        self.number = number
        #: Its place in the order of capture; `None`: it was read from the spool.
        self.index: int | None = None
        self.captured = captured
        #: The second since the epoch of its capture.
        self.at = 0.0 if captured is None else captured.at
        #: Units that the queue has charged beyond the first of each item, those merged into it included.
        self.extra = 0 if captured is None else captured.extra
        #: What the spool holds of it, and of those that were merged into it.
        self.rows: tuple[Any, ...] = ()
        #: What of that is gone from the disk, and not counted yet.
        self.leaving: tuple[Any, ...] = ()
        #: When it was taken or, if it comes from the spool, when it was captured.
        self.taken_at = taken_at
        #: When the last of those that were merged into it was taken: by this one it is too old to be tried.
        self.renewed_at = taken_at
        self.item: Any = None
        self.attempts = 0
        self.deferrals = 0
