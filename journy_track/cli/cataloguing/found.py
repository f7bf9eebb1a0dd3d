"""What the catalog holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Place:
    """One place in the code that tracks an event.

    *name* is `None` where it is known only when the code runs; *written* is then how the code says it. *keys* are
    the metadata's, `…` where there are more that only a run would tell. *summary* is the first line of the
    function's docstring, *problem* what is wrong with the place.
    """

    name: str | None
    written: str
    how: str
    file: str
    line: int
    function: str
    keys: tuple[str, ...] = ()
    summary: str = ""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One event: all places that track it, in the order of files and lines."""

    name: str
    places: tuple[Place, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all places."""
        return tuple(sorted({key for place in self.places for key in place.keys}, key=lambda key: (key == "…", key)))


@dataclass(slots=True)
class Catalog:
    """All that was found. *unread* maps files that could not be read to the reason."""

    places: list[Place] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)

    def entries(self) -> list[Entry]:
        """The events by name; places with a dynamic name are in `dynamic()`."""
        by_name: dict[str, list[Place]] = defaultdict(list)
        for place in _sorted(self.places):
            if place.name is not None:
                by_name[place.name].append(place)
        return [Entry(name, tuple(by_name[name])) for name in sorted(by_name)]

    def dynamic(self) -> list[Place]:
        """Places whose event's name is known only when the code runs."""
        return [place for place in _sorted(self.places) if place.name is None]

    def problems(self) -> list[Place]:
        """Places with something wrong."""
        return [place for place in _sorted(self.places) if place.problem is not None]


def _sorted(places: Iterable[Place]) -> list[Place]:
    return sorted(places, key=lambda place: (place.file, place.line, place.written))
