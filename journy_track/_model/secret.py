"""Values that never show.

Error reports, as Sentry's, hold the variables of each function that an exception passed: their reprs, and the items
of mappings and lists. So a secret is wrapped as soon as it is given, and revealed where no variable takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Any, NamedTuple, NoReturn, Self


class KeyName(NamedTuple):
    """What log lines call a key, and the variable that it comes from."""

    name: str
    variable: str


class Hidden:
    """Holds a value out of reprs, logs, pickles and debuggers' views of locals."""

    __slots__ = ("_reveal",)

    def __init__(self, value: Any) -> None:
        # A slot's value would be shown by tools that print attributes, a closure's in the frame of its function.
        self._reveal: Callable[[], Any] = repeat(value).__next__

    def reveal(self) -> Any:
        """The value itself. Not for a variable."""
        return self._reveal()

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hidden) and bool(self.reveal() == other.reveal())

    def __hash__(self) -> int:
        return hash(self.reveal())

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # `dataclasses.asdict` makes deep copies

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key is not pickled")


class Secret(Hidden):
    """Holds an API key, or a URL with a password, as `Hidden` does."""

    __slots__ = ()

    def __init__(self, value: str) -> None:
        super().__init__(value)

    def reveal(self) -> str:
        """The text itself. For the line that sends it, and nobody else."""
        return self._reveal()  # type: ignore[no-any-return] # a variable would show it


def hidden(value: Any) -> Any:
    """*value*, hidden if it is text: it may be a key."""
    if isinstance(value, str):
        return Secret(value)
    return Hidden(value) if isinstance(value, (bytes, bytearray)) else value


def hidden_values(values: Mapping[str, Any]) -> Any:
    """*values* with their texts hidden: a key may be given under a wrong name."""
    return {name: hidden(values[name]) for name in values}


def revealed(value: Any) -> Any:
    """What `hidden` was given. Not for a variable."""
    return value.reveal() if isinstance(value, Hidden) else value


def drop_frames(error: BaseException) -> None:
    """Take the frames out of *error*, and of what led to it: they hold in clear what was revealed to them."""
    at: BaseException | None = error
    while at is not None and at.__traceback__ is not None:
        at.__traceback__ = None
        at = at.__cause__ or at.__context__
