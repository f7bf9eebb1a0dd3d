"""The catalogue of a project's events, as it was committed: what arrives is compared with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The names of all events that the code tracks. *is_whole*: there are none that only the running code knows."""

    file: str
    names: tuple[str, ...]
    is_whole: bool = True


#: Reads it, each time that somebody looks: it may have been written anew. Raises ValueError with a sentence.
ReadCatalogue = Callable[[], Catalogue]
