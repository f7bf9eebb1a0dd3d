"""The outcomes of a request: delivered, published, rejected, deferred, split, unauthorized or unsendable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from journy_track._model.frozendict import FrozenDict

#: The most seconds that are taken from a `Retry-After`, whatever the server sends: the limit's window is one minute.
MAX_RETRY_AFTER = 300.0


@dataclass(frozen=True, slots=True)
class Response:
    """A server's response to one request. Any part may be missing, since a proxy may have sent it."""

    status: int
    request_id: str | None = None
    calls_remaining: int | None = None
    calls_limit: int | None = None
    #: Seconds to wait, from `Retry-After`; at most `MAX_RETRY_AFTER`.
    retry_after: float | None = None
    message: str | None = None
    data: Any = None
    fields: Mapping[str, str] = field(default_factory=FrozenDict)
    rejected: Mapping[str, str] = field(default_factory=FrozenDict)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The API accepted it. *response.rejected* may still name properties that it did not accept."""

    response: Response


@dataclass(frozen=True, slots=True)
class Published:
    """A broker stored it, and a relay will deliver it."""

    response: None = None


@dataclass(frozen=True, slots=True)
class Unsendable:
    """It cannot be sent as it is, so it is dropped and counted as *reason*. *why* is a sentence.

    If there is a *response*, part of it was sent; otherwise no request was made.
    """

    reason: str
    why: str
    response: Response | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """It will never be accepted as it is, so it is not retried. Without a *response*, no request was made."""

    response: Response | None
    reason: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """It was not accepted now, but may be later. *ambiguous*: it may have been processed anyway."""

    reason: str
    ambiguous: bool
    response: Response | None = None
    retry_after: float | None = None
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """One of a request's jobs may be invalid: resend them at once, at most *together* of them per request.

    *together* is 0 for a single membership, one of whose users may be invalid: resend its users one by one.
    """

    response: Response
    reason: str
    together: int


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """The key was refused (401, 403), for this call or for all calls."""

    response: Response


#: What a transport returns for one call.
Outcome: TypeAlias = Delivered | Rejected | Unauthorized | Deferred
#: What a transport returns for each job.
JobOutcome: TypeAlias = Outcome | Published | Unsendable | Split


@dataclass(frozen=True, slots=True)
class Undelivered:
    """An item that was given up, as passed to `on_error`.

    *item* is an `Event`, `UpsertUser`, …; *reason* is a short word or phrase; *fields* maps the body's fields to what
    was wrong with them. *status* is the HTTP status, and *request_id* is the ID that journy.io's support asks for;
    both are `None` without a response. *attempts* counts the requests that were made for it.
    """

    item: Any
    reason: str
    status: int | None = None
    request_id: str | None = None
    fields: Mapping[str, str] = field(default_factory=FrozenDict)
    attempts: int = 0
