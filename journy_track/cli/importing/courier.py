"""Sends the rows: reads and captures them while there is room, follows them until settled, and saves the progress."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from journy_track._model.call import ApiCall
from journy_track._model.items import AddUsersToAccount, Event, UpsertAccount, UpsertUser
from journy_track._tracker import Tracker
from journy_track.cli.console import counted
from journy_track.cli.importing.columns import Columns, RowFault
from journy_track.cli.importing.following import BATCH_WINDOW, WINDOW, Following, Numbers
from journy_track.cli.importing.journal import Journal, Position
from journy_track.cli.importing.source import InputFile

#: Seconds between two checks for other work, and between two writes of the state.
_TICK, _SAVE = 0.1, 1.0
_REFUSED = ("queue_full", "closed", "own_code", "capture_failed")


class Courier:
    """Sends the rows of a file to journy.io.

    *interrupted* is called often, and returns the reason to stop, if there is one. *patience* is the number of
    seconds to wait without any call being settled. *show* is called often, with the current counts.
    """

    def __init__(
        self,
        tracker: Tracker,
        journal: Journal,
        position: Position,
        *,
        interrupted: Callable[[], str | None],
        patience: float,
        show: Callable[[Numbers], object],
    ) -> None:
        self._tracker = tracker
        self._journal = journal
        self._following = Following(position, WINDOW if tracker.config.write_key is None else BATCH_WINDOW)
        self._interrupted = interrupted
        self._patience = patience
        self._show = show
        self._start = position
        self._looked_at = self._saved_at = monotonic()
        tracker._follow(self._following)

    def bring(self, source: InputFile, columns: Columns) -> str | None:
        """Send all rows that are not settled. Returns the reason if it stopped early; `None` if all are settled.

        Raises OSError if the journal cannot be written, and `Unreadable` if the file cannot be read.
        """
        following = self._following
        for record in source.records(self._start.offset, self._start.line):
            if why := self._look():
                return why
            if following.is_settled(record):
                continue
            try:
                calls = _calls(record.fault, columns, record.cells)
            except RowFault as fault:
                following.refuse(record, str(fault))
                continue
            while not following.has_room(_TICK):
                if why := self._look():
                    return why
            following.begin(record, calls)
            for call in calls:
                _capture(self._tracker, call)
        while not following.is_empty(_TICK):
            if why := self._look():
                return why
        self._show(following.numbers())
        return None

    def save(self, *, done: bool = False) -> Position:
        """Save the progress in the journal. Raises OSError."""
        dropped = self._tracker.stats().dropped
        if any(dropped.get(reason) for reason in _REFUSED):
            raise RuntimeError(f"rows were not captured ({dict(dropped)}), so their places are not known")
        position, rejections = self._following.snapshot()
        position.done = done
        self._journal.save(position, rejections)
        self._following.written(position)
        self._saved_at = monotonic()
        return position

    def _look(self) -> str | None:
        """Every tick, show the progress, save it when due, and return the reason to stop, if any."""
        if (now := monotonic()) - self._looked_at < _TICK:
            return None
        self._looked_at = now
        numbers = self._following.numbers()
        self._show(numbers)
        if now - self._saved_at >= _SAVE:
            self.save()
        if why := self._following.stop or self._interrupted():
            return why
        if self._tracker.health().circuit == "open":
            key = "the API key" if self._tracker.config.write_key is None else "a key"
            return f"journy.io refuses {key}."
        if numbers.waiting and now - self._following.settled_at > self._patience:
            waiting = counted(numbers.waiting, "row")
            return f"No row was delivered or rejected for {self._patience:g} s, with {waiting} waiting."
        return None


def _calls(fault: str | None, columns: Columns, cells: dict[str, object]) -> list[ApiCall]:
    if fault is not None:
        raise RowFault(fault)
    return columns.calls(cells)


def _capture(tracker: Tracker, call: ApiCall) -> None:
    match call:
        case Event():
            tracker.track(
                call.name, call.metadata, user=call.user, account=call.account, happened_at=call.triggered_at
            )
        case UpsertUser():
            tracker.upsert_user(call.properties, user=call.user)
        case UpsertAccount():
            tracker.upsert_account(call.properties, account=call.account)
        case AddUsersToAccount():
            tracker.add_users_to_account(call.account, call.users)
