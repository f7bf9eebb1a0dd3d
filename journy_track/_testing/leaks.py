"""Finding what a test left set in its context, and where it was set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from journy_track._capture import context
from journy_track._capture.context import Frame, live_frame
from journy_track._testing.matching import shown
from journy_track._testing.places import caller


def watch() -> Frame:
    """Note from now on where blocks are entered. Answers the frame to compare with."""
    context.note_places(caller)
    return live_frame()


def leaks_since(before: Frame) -> list[str]:
    """What was entered or set since *before* and still holds, and where; the context is put back."""
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
        what = _identities(change.user, change.account, change.metadata)
        return f"{what} of the block entered at {where} was not left"
    assert change.cell is not None, "a frame has an entry or a cell"
    layer = change.cell.current()
    what = _identities(layer.user, layer.account, layer.metadata)
    return f"{what} was set outside any scope(), first at {change.cell.place or 'an unknown place'}"


def _identities(user: Any, account: Any, metadata: Any) -> str:
    said = [
        f"{name} {shown(value)}"
        for name, value in (("user", user), ("account", account), ("metadata", dict(metadata or {})))
        if value is not context.UNSET and value != {}
    ]
    return ", ".join(said) or "a block"
