"""Who is who: users or accounts, found by ID or else by email or domain, and their properties."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from journy_track.inspector.rules import a_kind, kind


@dataclass(eq=False, slots=True)  # an entry is itself, whatever it holds: so it can be a key of a dict
class Entry:
    """One user or one account. It changes with every upsert."""

    id: str | None = None
    alias: str | None = None  # a user's email, an account's domain
    properties: dict[str, Any] = field(default_factory=dict)
    events: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    last_number: int = 0  # of the last request that named it

    def seen(self, number: int, moment: datetime) -> None:
        """A request has named it."""
        self.first_seen = self.first_seen or moment
        self.last_seen, self.last_number = moment, number

    def store(self, properties: dict[str, Any]) -> dict[str, str]:
        """Merge: a later value wins, null deletes. Answers the rejected ones with reasons."""
        rejected = {}
        for name, value in properties.items():
            stored = self.properties.get(name)
            if value is None:
                self.properties.pop(name, None)
            elif stored is not None and kind(stored) != kind(value):
                rejected[name] = f"Expected {a_kind(stored)} but found {a_kind(value)}."
            else:
                self.properties[name] = value
        return rejected

    def snapshot(self) -> dict[str, Any]:
        """The properties, in a copy that the reader may keep and change."""
        return {name: list(value) if isinstance(value, list) else value for name, value in self.properties.items()}


class Directory:
    """The users, or the accounts. It changes with what arrives; the inspector's state guards it."""

    def __init__(self, id_field: str, alias_field: str) -> None:
        self._id_field, self._alias_field = id_field, alias_field
        self._entries: dict[Entry, None] = {}
        self._by_id: dict[str, Entry] = {}
        self._by_alias: dict[str, Entry] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, identification: dict[str, str]) -> Entry | None:
        """The entry of that ID; without one, or while nobody has it, the entry of that email or domain."""
        id_, alias = identification.get(self._id_field), identification.get(self._alias_field)
        entry = self._by_id.get(id_) if id_ else None
        if entry is None and alias:
            entry = self._by_alias.get(alias)
            if entry and id_ and entry.id not in (None, id_):
                return None  # the same email, but another ID: somebody else
        return entry

    def remember(self, identification: dict[str, str]) -> Entry:
        """The entry of this identification, made when it is new, with what the identification adds to it."""
        entry = self.find(identification) or Entry()
        self._entries[entry] = None
        if id_ := identification.get(self._id_field):
            entry.id = id_
            self._by_id[id_] = entry
        if alias := identification.get(self._alias_field):
            self._release_alias(entry)
            entry.alias = alias
            self._by_alias[alias] = entry
        return entry

    def forget(self, identification: dict[str, str]) -> Entry | None:
        """Delete the entry, and answer it. None when there was none."""
        entry = self.find(identification)
        if entry is not None:
            self._remove(entry)
        return entry

    def oldest_beyond(self, keep: int) -> Entry | None:
        """Forget the entry that came first, and answer it, while there are more than `keep`. None: there aren't."""
        if len(self._entries) <= keep:
            return None
        entry = next(iter(self._entries))
        self._remove(entry)
        return entry

    def identification(self, entry: Entry) -> dict[str, str]:
        """The entry's identification as a request would carry it."""
        fields = ((self._id_field, entry.id), (self._alias_field, entry.alias))
        return {name: value for name, value in fields if value is not None}

    def _remove(self, entry: Entry) -> None:
        del self._entries[entry]
        if entry.id is not None and self._by_id.get(entry.id) is entry:
            del self._by_id[entry.id]
        self._release_alias(entry)

    def _release_alias(self, entry: Entry) -> None:
        # The alias may have moved on to another entry, which keeps it.
        if entry.alias is not None and self._by_alias.get(entry.alias) is entry:
            del self._by_alias[entry.alias]
