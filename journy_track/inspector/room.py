"""How much the inspector keeps: so and so many of each kind, and 64 MiB in all."""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

#: Bytes of requests, events, users, accounts and names. The rest of 64 MiB is for planned faults, keys and windows.
MAX_KEPT = 52 * 1024 * 1024


T = TypeVar("T")


class KeptKind(Protocol):
    """Things of one kind, in the order in which they came. *weight* is what they take, in bytes."""

    @property
    def weight(self) -> int: ...

    def drop_oldest(self) -> None:
        """Forget the one that came first. There is one while the weight is above 0."""


def make_room(kinds: Iterable[KeptKind]) -> None:
    """Forget the oldest of whatever takes most, until all of it has room."""
    kinds = list(kinds)
    while sum(kind.weight for kind in kinds) > MAX_KEPT:
        max(kinds, key=lambda kind: kind.weight).drop_oldest()


def weight_of(value: Any) -> int:
    """What a value of JSON takes, in bytes, with all that is in it."""
    size = _own_weight_of(value)
    if isinstance(value, str):  # most are
        return size
    if isinstance(value, dict):
        return size + sum(map(_own_weight_of, value)) + sum(map(weight_of, value.values()))
    if isinstance(value, list):
        return size + sum(map(weight_of, value))
    return size


def _own_weight_of(value: Any) -> int:
    try:
        return sys.getsizeof(value)
    except TypeError:  # PyPy does not know
        return 64 + 8 * (len(value) if isinstance(value, (str, dict, list)) else 0)


class Newest(Generic[T]):
    """The newest `keep` things."""

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
    """The newest `keep` names, each once, in the order in which they first came."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        # Not a dict: its first key is searched for among all that were deleted.
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
