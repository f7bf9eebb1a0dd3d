"""The committed catalogue of a project's events, with which incoming events are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The names of the events that the code tracks. *is_whole* is False if some names are known only at run time."""

    file: str
    names: tuple[str, ...]
    is_whole: bool = True


#: Reads the catalogue. Called on every access, because the file may have changed. Raises ValueError with the reason.
ReadCatalogue = Callable[[], Catalogue]
