"""The first pass: every row is converted to the calls that would be sent, and nothing is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from journy_track.cli.importing.columns import Columns, RowFault
from journy_track.cli.importing.source import InputFile

#: The number of invalid rows that are kept for display. All are counted.
MAX_SHOWN = 1000


@dataclass(slots=True)
class Checked:
    """The result of checking a file. *faults* holds the first invalid lines, each with the reason."""

    rows: int = 0
    at_fault: int = 0
    faults: list[tuple[int, str]] = field(default_factory=list)


def checked(source: InputFile, columns: Columns, on_row: Callable[[], object]) -> Checked:
    """Check all rows, and call *on_row* for each. Raises `Unreadable`."""
    found = Checked()
    for record in source.records():
        found.rows += 1
        on_row()
        fault = record.fault
        if fault is None:
            try:
                columns.calls(record.cells)
            except RowFault as error:
                fault = str(error)
        if fault is not None:
            found.at_fault += 1
            if len(found.faults) < MAX_SHOWN:
                found.faults.append((record.line, fault))
    return found
