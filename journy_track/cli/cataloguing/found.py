"""What the catalog holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """One place in the code that tracks an event.

    *name* is `None` where it is known only when the code runs; *written* is then the code in its place. *keys* are
    the metadata's, `…` where there are more that are known only at run time. *summary* is the first line of the
    function's docstring, *problem* what is wrong with the place; with *mistake* it is an error, and not only
    something that cannot be known.
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
    """A field of a typed event. *type* is as it is written, *schema* the same as JSON Schema; empty: not known.

    *alias*: it is passed under another name. *by_position*: it can be passed by position. *problem*: what is wrong
    with its type.
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
        """What it takes, for a sentence: `int`, `one of 'free', 'pro'`."""
        options = self.schema.get("enum")
        return f"one of {', '.join(map(repr, options))}" if options else self.type


@dataclass(frozen=True, slots=True)
class Declared:
    """A class that declares an event. *former*: names that it had before. *is_open*: it may have more fields."""

    name: str
    cls: str
    file: str
    line: int
    fields: tuple[Field, ...]
    former: tuple[str, ...] = ()
    summary: str = ""
    is_open: bool = False

    def by_position(self) -> list[str]:
        """The names of what can be passed by position, in order."""
        return [field.name for field in self.fields if field.by_position]


@dataclass(frozen=True, slots=True)
class PropertyUse:
    """A property that an upsert sets. *of* is `user` or `account`; *type* is the value's, `None` where not known."""

    of: str
    name: str
    type: str | None
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One event: all places that track it, in the order of files and lines, and the classes that declare it."""

    name: str
    places: tuple[Place, ...]
    declared: tuple[Declared, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all places."""
        return tuple(sorted({key for place in self.places for key in place.keys}, key=lambda key: (key == "…", key)))


@dataclass(slots=True)
class Catalog:
    """All that was found. *unread* maps files that could not be read to the reason."""

    places: list[Place] = field(default_factory=list)
    declared: list[Declared] = field(default_factory=list)
    properties: list[PropertyUse] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)

    def entries(self) -> list[CatalogEntry]:
        """The events by name; places with a dynamic name are in `dynamic()`."""
        by_name: dict[str, list[Place]] = defaultdict(list)
        for place in _sorted(self.places):
            if place.name is not None:
                by_name[place.name].append(place)
        declared: dict[str, list[Declared]] = defaultdict(list)
        for one in sorted(self.declared, key=lambda one: (one.file, one.line)):
            declared[one.name].append(one)
        return [CatalogEntry(name, tuple(by_name[name]), tuple(declared[name])) for name in sorted(by_name)]

    def dynamic(self) -> list[Place]:
        """Places whose event's name is known only when the code runs."""
        return [place for place in _sorted(self.places) if place.name is None]

    def problems(self) -> list[Place]:
        """Places with something wrong."""
        return [place for place in _sorted(self.places) if place.problem is not None]

    def mistakes(self) -> list[Place]:
        """Those of them that are errors: a key that the event does not have, a value that it does not take."""
        return [place for place in self.problems() if place.mistake]


def _sorted(places: Iterable[Place]) -> list[Place]:
    return sorted(places, key=lambda place: (place.file, place.line, place.written))
