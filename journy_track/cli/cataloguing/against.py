"""Compares the catalog with what journy.io knows: `GET /events` and `GET /properties/…`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from journy_track.cli.cataloguing.found import Catalog, PropertyUse

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class AtJourny:
    """The events and properties that journy.io knows, as rows of its responses."""

    events: Rows
    user_properties: Rows
    account_properties: Rows


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between the code and journy.io. *file* and *line* are its place in the code, if it has one."""

    kind: str
    name: str
    problem: str
    file: str | None = None
    line: int | None = None


def differences(catalog: Catalog, known: AtJourny, elsewhere: Sequence[str]) -> list[Difference]:
    """Names that only the code has, names that only journy.io has, and properties whose types differ.

    *elsewhere* lists names of events and properties that other code sends; they may contain `*`.
    """
    found = list(_events(catalog, known.events))
    for of, rows in (("user", known.user_properties), ("account", known.account_properties)):
        found += _properties(of, [use for use in catalog.properties if use.of == of], rows)
    return [one for one in found if one.file or not any(fnmatchcase(one.name, pattern) for pattern in elsewhere)]


def _events(catalog: Catalog, rows: Rows) -> Iterator[Difference]:
    there = {name: row for row in rows for name in _names(row)}
    former = {_plain(name) for declared in catalog.declared for name in declared.former}
    here = set()
    for entry in catalog.entries():
        here.add(_plain(entry.name))
        if _plain(entry.name) in there:
            continue
        before = [name for one in entry.declared for name in one.former if _plain(name) in there]
        problem = f"is unknown to journy.io{f', which knows it as {before[0]}' if before else ''}"
        yield Difference("event", entry.name, problem, entry.places[0].file, entry.places[0].line)
    for row in rows:
        if not _names(row) & (here | former):
            yield Difference("event", str(row.get("name")), "is known to journy.io, and nothing here tracks it")


def _properties(of: str, uses: Iterable[PropertyUse], rows: Rows) -> Iterator[Difference]:
    there = {str(row.get("name")): row for row in rows}
    kind = f"{of} property"
    here: dict[str, PropertyUse] = {}
    for use in uses:
        first = here.setdefault(use.name, use)
        row = there.get(use.name)
        problem = None
        if row is None:
            problem = "is unknown to journy.io" if first is use else None
        elif row.get("isComputed") is True:
            problem = "is computed by journy.io, and must not be set"
        elif _differ(use.type, row.get("type")):
            problem = f"is a {use.type} here, and a {row.get('type')} for journy.io"
        if problem is not None:
            yield Difference(kind, use.name, problem, use.file, use.line)
    for name, row in there.items():
        if name not in here and row.get("isComputed") is not True:
            yield Difference(kind, name, "is known to journy.io, and nothing here sets it")


def _names(row: Mapping[str, Any]) -> set[str]:
    """The possible tracked names: at journy.io, an event has an ID and a name, and either may be the tracked one."""
    return {_plain(row[key]) for key in ("id", "name") if isinstance(row.get(key), str)}


def _plain(name: str) -> str:
    """Normalise *name*, so that `Signed up` and `signed_up` are the same."""
    return re.sub(r"\W+", "_", name.strip()).lower()


#: Synonyms of types. Version 1.0.0 of the API's description has no types; they are compared if a response has them.
_TYPES = {
    **dict.fromkeys(("string", "text", "str"), "string"),
    **dict.fromkeys(("number", "integer", "float", "decimal"), "number"),
    **dict.fromkeys(("boolean", "bool"), "boolean"),
    **dict.fromkeys(("datetime", "date-time", "date", "timestamp"), "datetime"),
    **dict.fromkeys(("list", "array"), "list"),
}


def _differ(here: str | None, there: object) -> bool:
    ours, theirs = _TYPES.get(here or ""), _TYPES.get(str(there).lower())
    return ours is not None and theirs is not None and ours != theirs
