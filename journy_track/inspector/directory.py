"""Users or accounts and their properties, found by ID, or otherwise by email or domain."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from journy_track.inspector.room import weight_of
from journy_track.inspector.rules import a_kind, kind

MAX_ENTRY = 4 * 1024 * 1024  # bytes of one user or account; beyond that, the older half of the data is dropped
#: Approximate bytes of an empty entry, and of one user in one account.
EMPTY, MEMBERSHIP = 600, 300


@dataclass(eq=False, slots=True)  # compared by identity, so that it can be a dict key
class Profile:
    """One user or one account. It changes with every upsert."""

    id: str | None = None
    alias: str | None = None  # a user's email, an account's domain
    properties: dict[str, Any] = field(default_factory=dict)
    devices: dict[str, None] = field(default_factory=dict)  # users only
    members: dict[Profile, bool] = field(default_factory=dict)  # accounts only: False for a user that was removed
    weight: int = 0  # in bytes, as last counted by the directory
    events: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    last_number: int = 0  # of the last request that named it

    def seen(self, number: int, moment: datetime) -> None:
        """Record that a request named it."""
        self.first_seen = self.first_seen or moment
        self.last_seen, self.last_number = moment, number

    def store(self, properties: dict[str, Any]) -> dict[str, str]:
        """Merge *properties*: a later value wins, null deletes. Returns the rejected ones, with the reasons."""
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

    def link(self, device_id: str) -> None:
        self.devices[device_id] = None

    def weighed(self) -> int:
        """Drop what exceeds the limit, and return the memory use in bytes."""
        size = EMPTY + weight_of(self.id) + weight_of(self.alias) + MEMBERSHIP * len(self.members)
        for holder in (self.properties, self.devices):
            while (weight := weight_of(holder)) > MAX_ENTRY // 2:
                newer = list(holder.items())[(len(holder) + 1) // 2 :]
                holder.clear()  # a dict does not shrink when keys are deleted one by one
                holder.update(newer)
            size += weight
        return size

    def snapshot(self) -> dict[str, Any]:
        """A copy of the properties that the caller may keep and change."""
        return {name: list(value) if isinstance(value, list) else value for name, value in self.properties.items()}


class Directory:
    """The newest `keep` users or accounts. It changes as requests arrive; the inspector's state guards it."""

    def __init__(self, keep: int, id_field: str, alias_field: str, on_forgotten: Callable[[Profile], object]) -> None:
        self._keep, self._id_field, self._alias_field = keep, id_field, alias_field
        self._on_forgotten = on_forgotten
        self._entries: OrderedDict[Profile, None] = OrderedDict()
        self._by_id: dict[str, Profile] = {}
        self._by_alias: dict[str, Profile] = {}
        self.weight: int = 0

    def __iter__(self) -> Iterator[Profile]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, identification: dict[str, str]) -> Profile | None:
        """The entry with this ID; if there is none, or no ID is given, the entry with this email or domain."""
        id_, alias = identification.get(self._id_field), identification.get(self._alias_field)
        entry = self._by_id.get(id_) if id_ else None
        if entry is None and alias:
            entry = self._by_alias.get(alias)
            if entry and id_ and entry.id not in (None, id_):
                return None  # the same email but another ID: a different user
        return entry

    def remember(self, identification: dict[str, str]) -> Profile:
        """The entry for this identification, created if it is new, and updated with the ID and alias given."""
        entry = self.find(identification) or Profile()
        self._entries[entry] = None
        if id_ := identification.get(self._id_field):
            entry.id = id_
            self._by_id[id_] = entry
        if alias := identification.get(self._alias_field):
            self._release_alias(entry)
            entry.alias = alias
            self._by_alias[alias] = entry
        return entry

    def weigh(self, entry: Profile) -> None:
        """Update the memory use of *entry*. If there are more than `keep` entries, drop the oldest."""
        if entry in self._entries:
            weight = entry.weighed()
            self.weight += weight - entry.weight
            entry.weight = weight
        if len(self._entries) > self._keep:
            self.drop_oldest()

    def drop_oldest(self) -> None:
        """Drop the oldest entry."""
        self._remove(next(iter(self._entries)))

    def forget(self, identification: dict[str, str]) -> None:
        """Delete the entry for this identification, if there is one."""
        entry = self.find(identification)
        if entry is not None:
            self._remove(entry)

    def identification(self, entry: Profile) -> dict[str, str]:
        """The entry's identification, as in a request."""
        fields = ((self._id_field, entry.id), (self._alias_field, entry.alias))
        return {name: value for name, value in fields if value is not None}

    def _remove(self, entry: Profile) -> None:
        del self._entries[entry]
        self.weight -= entry.weight
        if entry.id is not None and self._by_id.get(entry.id) is entry:
            del self._by_id[entry.id]
        self._release_alias(entry)
        self._on_forgotten(entry)

    def _release_alias(self, entry: Profile) -> None:
        # The alias may belong to another entry by now, which keeps it.
        if entry.alias is not None and self._by_alias.get(entry.alias) is entry:
            del self._by_alias[entry.alias]
