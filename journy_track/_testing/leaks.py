"""Finding what a test left set in its context, and where that was set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from journy_track._capture import context
from journy_track._capture.attributes import UNSET, Attributes
from journy_track._capture.context import Frame, live_frame
from journy_track._model.places import caller
from journy_track._testing.matching import shown


def watch() -> Frame:
    """From now on, note where blocks are entered. Returns the frame to compare with later."""
    context.note_places(caller)
    return live_frame()


def leaks_since(before: Frame) -> list[str]:
    """What was entered or set since *before* and still applies, and where. Restores the context."""
    now = live_frame()
    if now is before:
        return []
    known = {id(frame.entry) for frame in _chain(before) if frame.entry is not None}
    known |= {id(frame.change.cell) for frame in _chain(before) if frame.change.cell is not None}
    found = [_described(frame) for frame in _chain(now) if _mark(frame) is not None and id(_mark(frame)) not in known]
    context.set_frame(before)
    return found


def _mark(frame: Frame) -> Any:
    return frame.change.cell if frame.entry is None else frame.entry


def _chain(frame: Frame | None) -> Iterator[Frame]:
    while frame is not None:
        yield frame
        frame = frame.parent


def _described(frame: Frame) -> str:
    change = frame.change
    if frame.entry is not None:
        where = frame.entry.place or "an unknown place"
        if change.cell is not None:
            return f"the scope() entered at {where} was not left"
        return f"{_shown(change.attributes)} of the block entered at {where} was not left"
    assert change.cell is not None, "a frame has an entry or a cell"
    where = change.cell.place or "an unknown place"
    return f"{_shown(change.cell.current())} was set outside any scope(), first at {where}"


def _shown(attributes: Attributes) -> str:
    values = {"user": attributes.user, "account": attributes.account, "metadata": dict(attributes.metadata)}
    set_here = [f"{name} {shown(value)}" for name, value in values.items() if value is not UNSET and value != {}]
    return ", ".join(set_here) or "a block"
