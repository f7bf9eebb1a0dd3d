"""Limits on what the inspector stores: a number of items of each kind, and 64 MiB in total."""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

#: Bytes for requests, events, users, accounts and names. The rest of 64 MiB is for planned faults, keys and windows.
MAX_KEPT = 52 * 1024 * 1024


T = TypeVar("T")


class KeptKind(Protocol):
    """Stored items of one kind, in order of arrival. *weight* is their memory use in bytes."""

    @property
    def weight(self) -> int: ...

    def drop_oldest(self) -> None:
        """Drop the oldest item. There is at least one while *weight* is above 0."""


def make_room(kinds: Iterable[KeptKind]) -> None:
    """Drop the oldest items of the kind that uses the most memory, until the total fits."""
    kinds = list(kinds)
    while sum(kind.weight for kind in kinds) > MAX_KEPT:
        max(kinds, key=lambda kind: kind.weight).drop_oldest()


def weight_of(value: Any) -> int:
    """The memory use of a JSON value in bytes, including everything in it."""
    size = _own_weight_of(value)
    if isinstance(value, str):  # the most common case
        return size
    if isinstance(value, dict):
        return size + sum(map(_own_weight_of, value)) + sum(map(weight_of, value.values()))
    if isinstance(value, list):
        return size + sum(map(weight_of, value))
    return size


def _own_weight_of(value: Any) -> int:
    try:
        return sys.getsizeof(value)
    except TypeError:  # not supported by PyPy
        return 64 + 8 * (len(value) if isinstance(value, (str, dict, list)) else 0)


class Newest(Generic[T]):
    """The newest `keep` items."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self.things: deque[T] = deque()
        self._weights: deque[int] = deque()
        self.weight: int = 0

    def add(self, thing: T, weight: int) -> None:
        self.things.append(thing)
        self._weights.append(weight)
        self.weight += weight
        if len(self.things) > self._keep:
            self.drop_oldest()

    def drop_oldest(self) -> None:
        self.things.popleft()
        self.weight -= self._weights.popleft()


class KeptNames:
    """The newest `keep` distinct names, in the order in which they first arrived."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        # Not a dict, which would scan past all deleted entries to find its first key.
        self._names: OrderedDict[str, None] = OrderedDict()
        self.weight: int = 0

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def add(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._names:
                self._names[name] = None
                self.weight += weight_of(name)
                if len(self._names) > self._keep:
                    self.drop_oldest()

    def drop_oldest(self) -> None:
        name, _ = self._names.popitem(last=False)
        self.weight -= weight_of(name)
