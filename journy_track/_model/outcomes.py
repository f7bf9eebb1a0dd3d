"""What became of a request: delivered, rejected or deferred."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from journy_track._model.frozendict import FrozenDict


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to one request. Anything may be missing: a proxy may have answered."""

    status: int
    request_id: str | None = None
    calls_remaining: int | None = None
    calls_limit: int | None = None
    #: Seconds to wait, from `Retry-After`.
    retry_after: float | None = None
    message: str | None = None
    data: Any = None
    fields: Mapping[str, str] = field(default_factory=FrozenDict)
    rejected: Mapping[str, str] = field(default_factory=FrozenDict)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The API took it. *answer.rejected* may still name properties that it did not take."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Rejected:
    """It will never be taken as it is: trying again cannot help. Without an *answer* nobody was asked."""

    answer: Answer | None
    reason: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not taken now; it may be later. *ambiguous*: it may have been processed all the same."""

    reason: str
    ambiguous: bool
    answer: Answer | None = None
    retry_after: float | None = None
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """The key was refused (401, 403), for this call or for all."""

    answer: Answer


Outcome: TypeAlias = Delivered | Rejected | Unauthorized | Deferred


@dataclass(frozen=True, slots=True)
class Undelivered:
    """An item that was given up, as `on_error` gets it.

    *item* is an `Event`, `UpsertUser`, …; *reason* is a short word or phrase; *fields* maps the body's fields to what
    was wrong with them. *status* is the HTTP status and *request_id* what journy.io's support asks for, `None`
    without an answer. *attempts* counts the requests that were made for it.
    """

    item: Any
    reason: str
    status: int | None = None
    request_id: str | None = None
    fields: Mapping[str, str] = field(default_factory=FrozenDict)
    attempts: int = 0
