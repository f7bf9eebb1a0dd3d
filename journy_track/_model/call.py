"""A call of the API, whatever it is for: what `items` changes at journy.io and `reads` asks of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A call of the API: what to send where."""

    method: ClassVar[str] = "POST"
    path: ClassVar[str]
    operation: ClassVar[str]
    #: Whether the call can be made twice without harm. An event cannot: it would be counted twice.
    repeatable: ClassVar[bool] = True
    #: Whether two calls for the same subject can become one.
    mergeable: ClassVar[bool] = False
    #: Whether it takes data away: such a call goes out also where nothing may be tracked.
    erases: ClassVar[bool] = False

    def body(self) -> dict[str, Any] | None:
        """The JSON body, ready to be written; `None` for a call without one."""
        return None

    def query(self) -> dict[str, str]:
        """The query parameters."""
        return {}

    def converted(self) -> tuple[Self, list[tuple[str, str]]]:
        """The same call with values that JSON takes, and the (key, reason) pairs of what had to be left out."""
        return self, []

    def label(self) -> str:
        """How log lines name it."""
        return self.operation
