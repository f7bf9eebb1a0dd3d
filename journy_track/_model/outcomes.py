"""What became of a request: delivered, published, rejected, deferred, unauthorized or unsendable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from journy_track._model.frozendict import FrozenDict

#: The most seconds that are taken from a `Retry-After`, whatever the server sends: the limit's window is one minute.
MAX_RETRY_AFTER = 300.0


@dataclass(frozen=True, slots=True)
class Response:
    """What a server returned to one request. Anything may be missing: it may be a proxy's response."""

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
    """The API took it. *response.rejected* may still name properties that it did not take."""

    response: Response


@dataclass(frozen=True, slots=True)
class Published:
    """A broker took it, and a relay will deliver it."""

    response: None = None


@dataclass(frozen=True, slots=True)
class Unsendable:
    """It cannot be sent as it is: dropped, and counted as *reason*. *why* is a sentence.

    No request was made, unless there is a *response*: then a part of it was sent.
    """

    reason: str
    why: str
    response: Response | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """It will never be taken as it is: trying again cannot help. Without a *response* no request was made."""

    response: Response | None
    reason: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not taken now; it may be later. *ambiguous*: it may have been processed anyway."""

    reason: str
    ambiguous: bool
    response: Response | None = None
    retry_after: float | None = None
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """One of a request's jobs may be invalid: they go again at once, at most *together* of them in one request.

    0: it was a single membership, and one of its users may be invalid: they go one by one.
    """

    response: Response
    reason: str
    together: int


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """The key was refused (401, 403), for this call or for all."""

    response: Response


#: What a transport for one call returns.
Outcome: TypeAlias = Delivered | Rejected | Unauthorized | Deferred
#: What a transport for jobs returns for each.
JobOutcome: TypeAlias = Outcome | Published | Unsendable | Split


@dataclass(frozen=True, slots=True)
class Undelivered:
    """An item that was given up, as `on_error` gets it.

    *item* is an `Event`, `UpsertUser`, …; *reason* is a short word or phrase; *fields* maps the body's fields to what
    was wrong with them. *status* is the HTTP status and *request_id* what journy.io's support asks for, `None`
    without a response. *attempts* counts the requests that were made for it.
    """

    item: Any
    reason: str
    status: int | None = None
    request_id: str | None = None
    fields: Mapping[str, str] = field(default_factory=FrozenDict)
    attempts: int = 0
