"""The data of the catalog: events, places, declarations and properties."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """One place in the code that tracks an event.

    *name* is `None` if it is known only at run time; *written* is then the expression for it. *keys* are the metadata
    keys, with `…` for others that are known only at run time. *summary* is the first line of the function's
    docstring, and *problem* is what is wrong with the place. *mistake* is set if the problem is an error, not only
    something that cannot be determined.
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
    mistake: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a typed event. *type* is as in the code; *schema* is the same as JSON Schema, empty if not known.

    *alias* means that it is passed under another name, *by_position* that it can be passed by position. *problem* is
    what is wrong with its type.
    """

    name: str
    type: str
    schema: dict[str, Any]
    required: bool
    alias: bool = False
    by_position: bool = True
    description: str = ""
    unit: str | None = None
    examples: tuple[object, ...] = ()
    problem: str | None = None

    @property
    def expected(self) -> str:
        """The values that it accepts, for use in a sentence: `int`, `one of 'free', 'pro'`."""
        options = self.schema.get("enum")
        return f"one of {', '.join(map(repr, options))}" if options else self.type


@dataclass(frozen=True, slots=True)
class Declared:
    """A class that declares an event. *former* are its earlier names. *is_open*: it may have other fields."""

    name: str
    cls: str
    file: str
    line: int
    fields: tuple[Field, ...]
    former: tuple[str, ...] = ()
    summary: str = ""
    is_open: bool = False

    def by_position(self) -> list[str]:
        """The names of the fields that can be passed by position, in order."""
        return [field.name for field in self.fields if field.by_position]


@dataclass(frozen=True, slots=True)
class PropertyUse:
    """A property that an upsert sets. *of* is `user` or `account`; *type* is that of the value, `None` if unknown."""

    of: str
    name: str
    type: str | None
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One event, with all places that track it, ordered by file and line, and the classes that declare it."""

    name: str
    places: tuple[Place, ...]
    declared: tuple[Declared, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The metadata keys of all places."""
        return tuple(sorted({key for place in self.places for key in place.keys}, key=lambda key: (key == "…", key)))


@dataclass(slots=True)
class Catalog:
    """Everything that was found. *unread* maps files that could not be read to the reason."""

    places: list[Place] = field(default_factory=list)
    declared: list[Declared] = field(default_factory=list)
    properties: list[PropertyUse] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)

    def entries(self) -> list[CatalogEntry]:
        """The events, sorted by name. Places with a dynamic name are in `dynamic()`."""
        by_name: dict[str, list[Place]] = defaultdict(list)
        for place in _sorted(self.places):
            if place.name is not None:
                by_name[place.name].append(place)
        declared: dict[str, list[Declared]] = defaultdict(list)
        for one in sorted(self.declared, key=lambda one: (one.file, one.line)):
            declared[one.name].append(one)
        return [CatalogEntry(name, tuple(by_name[name]), tuple(declared[name])) for name in sorted(by_name)]

    def dynamic(self) -> list[Place]:
        """Places at which the event's name is known only at run time."""
        return [place for place in _sorted(self.places) if place.name is None]

    def problems(self) -> list[Place]:
        """Places with a problem."""
        return [place for place in _sorted(self.places) if place.problem is not None]

    def mistakes(self) -> list[Place]:
        """The problems that are errors, such as a key that the event does not have, or an invalid value."""
        return [place for place in self.problems() if place.mistake]


def _sorted(places: Iterable[Place]) -> list[Place]:
    return sorted(places, key=lambda place: (place.file, place.line, place.written))
