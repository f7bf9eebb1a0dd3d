"""What an error report would show of an exception: the local variables of each function on the traceback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from traceback import walk_tb
from typing import Any


def shown_by(error: BaseException) -> str:
    """Return all that a report of *error* and its causes shows, limited to frames of this library and below."""
    return "\n".join(_of(error, set()))


def _of(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield f"{error!r} {error}"
    below_us = False
    for frame, _ in walk_tb(error.__traceback__):
        below_us = below_us or "/journy_track/" in frame.f_code.co_filename
        if below_us:  # the caller's own locals are not the library's concern
            for name, value in frame.f_locals.items():
                for text in _texts(value, 4):
                    yield f"{frame.f_code.co_filename}:{frame.f_lineno} {name} = {text}"
    yield from _of(error.__cause__, seen)
    yield from _of(error.__context__, seen)


def _texts(value: Any, depth: int) -> Iterator[str]:
    """Render values as Sentry does: the items of mappings and sequences, and the repr of everything else."""
    try:
        yield repr(value)
    except Exception:
        return
    if depth and isinstance(value, Mapping):
        for key, item in list(value.items()):
            yield from _texts(key, depth - 1)
            yield from _texts(item, depth - 1)
    elif depth and isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes, bytearray, memoryview)):
        for item in value:
            yield from _texts(item, depth - 1)
    elif isinstance(value, (str, bytes)):
        yield value if isinstance(value, str) else value.decode("latin-1")
