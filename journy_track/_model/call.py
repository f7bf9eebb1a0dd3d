"""The base class of all API calls: those that change something (`items`) and those that only read (`reads`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self


@dataclass(frozen=True, slots=True)
class ApiCall:
    """An API call: what to send, and where."""

    method: ClassVar[str] = "POST"
    path: ClassVar[str]
    operation: ClassVar[str]
    #: Whether the call can safely be made twice. An event cannot: it would be counted twice.
    repeatable: ClassVar[bool] = True
    #: Whether two calls for the same subject can be merged into one.
    mergeable: ClassVar[bool] = False
    #: Whether it removes data. Such a call is sent even if nothing may be tracked.
    erases: ClassVar[bool] = False

    def body(self) -> dict[str, Any] | None:
        """The JSON body, ready to be serialised; `None` for a call without one."""
        return None

    def query(self) -> dict[str, str]:
        """The query parameters."""
        return {}

    def converted(self) -> tuple[Self, list[tuple[str, str]]]:
        """The same call with JSON-compatible values, and the (key, reason) pairs of what had to be left out."""
        return self, []

    def label(self) -> str:
        """Its name in log lines."""
        return self.operation
