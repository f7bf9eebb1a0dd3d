"""Finding the open entry that a block leaves, even if one block is shared by a whole program.

A `with` statement enters and leaves from the same call of the same function. So its entry is found by the Python
frame of that call, whatever context it is left in: a generator may be collected in a different context, and the end
of a FastAPI dependency may run in a different thread than its start.
"""

from __future__ import annotations

from types import CodeType, FrameType
from typing import TypeAlias
from weakref import ref

from journy_track._capture.context import BlockEntry, Frame, current_frame

#: An open entry, the code that entered it, the previous entry that the same frame still has open, and the total
#: number of entries in that chain. The entry is held weakly: once its context is gone, it need not be left any more.
Opened: TypeAlias = "tuple[ref[BlockEntry], CodeType, Opened | None, int]"
#: The open entries of one block, by the identity of the frame that entered them. Changed in atomic steps without a
#: lock, since a signal handler may run at any line.
Entries: TypeAlias = dict[int, Opened]
#: From this many entries of one block, entries whose context is gone are discarded from time to time ...
_CROWDED = 1024
#: ... except for this many: while some remain, the code knows that it cannot be sure which entry is being left.
_REMEMBERED = 16


def opened_before(entries: Entries, caller: int) -> Opened | None:
    """The latest entry that the frame with that identity has open; `None` if it has none."""
    before = entries.get(caller)
    count = len(entries) if before is None else before[3]
    if count >= _CROWDED and count & (count - 1) == 0:
        _forget_vanished(entries)
        before = entries.get(caller)
    return before


def entry_to_leave(block: object, entries: Entries, caller: FrameType, latest: Opened | None) -> BlockEntry | None:
    """The entry that *caller* leaves; *latest* is its latest entry, already removed from *entries*.

    Returns `None` if the entry's context is gone. If another frame entered the block, as with an `ExitStack`, returns
    the innermost entry that is open in this context. If there is none, the block was entered in another context: its
    entry is returned if it is the only one, and otherwise `None`. Raises `LookupError` if no entry was open.
    """
    if latest is not None:
        made, code, before, _ = latest
        if code is caller.f_code:
            if before is not None:
                entries[id(caller)] = before
            return made()
        entries[id(caller)] = latest  # from a frame that is gone and had the same address
    frame: Frame | None = current_frame()
    while frame is not None:
        if frame.entry is not None and frame.entry.block is block:
            _forget(entries, ref(frame.entry))
            return frame.entry
        frame = frame.parent
    everything = [opened for latest in list(entries.values()) for opened in _all(latest)]
    if not everything:
        raise LookupError
    vanished = [made for made, *_ in everything if made() is None]
    if vanished or len(everything) == 1:
        _forget(entries, (vanished or everything[0])[0])
    return everything[0][0]() if len(everything) == 1 else None


def _forget_vanished(entries: Entries) -> None:
    spared = _REMEMBERED
    for caller, latest in list(entries.items()):
        kept: Opened | None = None
        for opened in reversed(_all(latest)):
            if opened[0]() is None:
                if spared == 0:
                    continue
                spared -= 1
            kept = _on_top_of(kept, opened)
        _put(entries, caller, kept)


def _forget(entries: Entries, gone: ref[BlockEntry]) -> None:
    for caller, latest in list(entries.items()):
        opened = _all(latest)
        if any(made is gone for made, *_ in opened):
            kept: Opened | None = None
            for each in reversed(opened):
                if each[0] is not gone:
                    kept = _on_top_of(kept, each)
            _put(entries, caller, kept)
            return


def _on_top_of(before: Opened | None, opened: Opened) -> Opened:
    return opened[0], opened[1], before, 1 if before is None else before[3] + 1


def _put(entries: Entries, caller: int, latest: Opened | None) -> None:
    if latest is None:
        entries.pop(caller, None)
    else:
        entries[caller] = latest


def _all(latest: Opened | None) -> list[Opened]:
    """*latest* and the entries opened before it."""
    opened: list[Opened] = []
    while latest is not None:
        opened.append(latest)
        latest = latest[2]
    return opened
