"""Values that are never shown.

Error reports, such as Sentry's, contain the variables of each function that an exception passed through: their reprs,
and the items of mappings and lists. So a secret is wrapped as soon as it is passed in, and revealed only in
expressions that do not assign it to a variable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Any, NamedTuple, NoReturn, Self


class KeyName(NamedTuple):
    """The name of a key in log lines, and the environment variable that holds it."""

    name: str
    variable: str


class Hidden:
    """Keeps a value out of reprs, logs, pickles and debuggers' views of locals."""

    __slots__ = ("_reveal",)

    def __init__(self, value: Any) -> None:
        # Tools that print attributes would show a slot's value; a closure's value is shown in its function's frame.
        self._reveal: Callable[[], Any] = repeat(value).__next__

    def reveal(self) -> Any:
        """The value itself. Do not assign it to a variable."""
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
    """A `Hidden` API key, or URL with a password."""

    __slots__ = ()

    def __init__(self, value: str) -> None:
        super().__init__(value)

    def reveal(self) -> str:
        """The text itself. Only for the line that uses it."""
        return self._reveal()  # type: ignore[no-any-return] # a variable would show it


def hidden(value: Any) -> Any:
    """*value*, hidden if it is text or bytes, since it may be a key."""
    if isinstance(value, str):
        return Secret(value)
    return Hidden(value) if isinstance(value, (bytes, bytearray)) else value


def hidden_values(values: Mapping[str, Any]) -> Any:
    """*values* with their texts hidden, since a key may be passed under a wrong name."""
    return {name: hidden(values[name]) for name in values}


def revealed(value: Any) -> Any:
    """The value that `hidden` was called with. Do not assign it to a variable."""
    return value.reveal() if isinstance(value, Hidden) else value


def drop_frames(error: BaseException) -> None:
    """Remove the frames from *error* and its causes, since they hold the revealed values in plain text."""
    at: BaseException | None = error
    while at is not None and at.__traceback__ is not None:
        at.__traceback__ = None
        at = at.__cause__ or at.__context__
