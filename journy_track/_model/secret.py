"""A text that never shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, Self


class Secret:
    """Holds an API key out of reprs, logs, pickles and debuggers' views of locals."""

    __slots__ = ("_reveal",)

    def __init__(self, value: str) -> None:
        # In a closure: a slot's value would be shown by tools that print attributes.
        self._reveal: Callable[[], str] = lambda: value

    def reveal(self) -> str:
        """The text itself. For the line that writes the header, and nobody else."""
        return self._reveal()

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.reveal() == other.reveal()

    def __hash__(self) -> int:
        return hash(self.reveal())

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # `dataclasses.asdict` makes deep copies

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key is not pickled")
