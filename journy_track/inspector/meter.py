"""How each key used its rate budget, second by second."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

MAX_KEYS = 20
SHOWN = 600  # seconds


@dataclass(slots=True)
class Second:
    """What arrived in one second. The counts change until the second is over."""

    requests: int = 0
    refused: int = 0  # with 429
    taken: int = 0  # requests that count against the budget: not refused, and with a valid key


@dataclass(slots=True)
class Spending:
    """One key's seconds in which something arrived, oldest first. *number* counts the keys, from 1."""

    label: str
    number: int
    seconds: dict[int, Second] = field(default_factory=dict)


class Meter:
    """The last ten minutes of each key, plus the rate window before them. The inspector's state guards it."""

    def __init__(self, window: float) -> None:
        self._kept = SHOWN + int(window) + 1
        self._keys: OrderedDict[bytes, Spending] = OrderedDict()
        self._seen = 0

    def count(self, key: bytes, label: str, second: int, *, refused: bool, taken: bool) -> None:
        """Count one request that arrived in this second of the Unix clock."""
        spending = self._keys.get(key)
        if spending is None:
            self._seen += 1
            spending = self._keys[key] = Spending(label, self._seen)
        self._keys.move_to_end(key)
        if len(self._keys) > MAX_KEYS:
            self._keys.popitem(last=False)
        if second not in spending.seconds:
            spending.seconds[second] = Second()
            for old in list(spending.seconds):
                if old > second - self._kept:
                    break
                del spending.seconds[old]
        counted = spending.seconds[second]
        counted.requests += 1
        counted.refused += refused
        counted.taken += taken

    def spending(self) -> list[dict[str, Any]]:
        """The keys with their seconds, most recently used first."""
        return [
            {
                "key": spending.label,
                "number": spending.number,
                "seconds": [[at, one.requests, one.refused, one.taken] for at, one in spending.seconds.items()],
            }
            for spending in reversed(self._keys.values())
        ]
