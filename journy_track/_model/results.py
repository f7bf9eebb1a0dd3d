"""The results of `Client` calls: a `Success` or a `Failure`; a failed call never raises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, Literal, TypeAlias, TypeVar

from journy_track._model.frozendict import FrozenDict

T = TypeVar("T")


class APIError(StrEnum):
    """Why a call failed, in the official SDKs' names (journyio-sdk 2.3.1), by HTTP status.

    400 `BadArgumentsError`, 401 `UnauthorizedError`, 403 `ForbiddenError`, 404 `NotFoundError`,
    422 `UnprocessableError`, 429 `TooManyRequests`, 500 and above `ServerError`, any other `UnknownError`.
    Without a response: `Timeout` (none in time: the call may have been processed) and `ConnectionFailed` (refused,
    unresolved, untrusted or broken connection).
    """

    BadArgumentsError = "BadArgumentsError"
    UnauthorizedError = "UnauthorizedError"
    ForbiddenError = "ForbiddenError"
    NotFoundError = "NotFoundError"
    UnprocessableError = "UnprocessableError"
    TooManyRequests = "TooManyRequests"
    ServerError = "ServerError"
    UnknownError = "UnknownError"
    Timeout = "Timeout"
    ConnectionFailed = "ConnectionFailed"

    @classmethod
    def of_status(cls, status: int) -> APIError:
        """The error that the official SDKs name for an HTTP status."""
        if status in _BY_STATUS:
            return _BY_STATUS[status]
        return cls.ServerError if status >= 500 else cls.UnknownError


_BY_STATUS = {
    400: APIError.BadArgumentsError,
    401: APIError.UnauthorizedError,
    403: APIError.ForbiddenError,
    404: APIError.NotFoundError,
    422: APIError.UnprocessableError,
    429: APIError.TooManyRequests,
}


@dataclass(frozen=True, slots=True)
class Success(Generic[T]):
    """The API accepted the call.

    *request_id* is the ID that journy.io's support asks for. *calls_limit* is how many calls the key has per minute,
    and *calls_remaining* how many are left in this one (`None`: not in the response). *rejected* maps the properties
    of an upsert that were not accepted to the reasons.
    """

    data: T
    request_id: str | None = None
    calls_remaining: int | None = None
    rejected: Mapping[str, str] = field(default_factory=FrozenDict)
    calls_limit: int | None = None
    success: Literal[True] = True


@dataclass(frozen=True, slots=True)
class Failure:
    """The call failed. *status* is the HTTP status, `None` without a response; *fields* names what was wrong.

    *message* is the API's message, or a sentence that says what went wrong. *request_id* is the ID that journy.io's
    support asks for. *calls_limit* is how many calls the key has per minute, and *calls_remaining* how many are left
    in this one (`None`: not in the response).
    """

    error: APIError
    message: str
    status: int | None = None
    request_id: str | None = None
    calls_remaining: int | None = None
    fields: Mapping[str, str] = field(default_factory=FrozenDict)
    calls_limit: int | None = None
    success: Literal[False] = False


APIResult: TypeAlias = Success[T] | Failure


@dataclass(frozen=True, slots=True)
class ApiKeyDetails:
    """What the key may do, such as `TrackData`."""

    permissions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrackingSnippet:
    """The HTML snippet of a website."""

    domain: str
    snippet: str


@dataclass(frozen=True, slots=True)
class DefinitionGroup:
    """The group to which an event, a segment or a property is assigned in journy.io."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class NamedDefinition:
    """An event or a segment that the business has defined."""

    id: str
    name: str
    group: DefinitionGroup | None = None


@dataclass(frozen=True, slots=True)
class PropertyDefinition:
    """A property of users or accounts. *is_computed*: journy.io computes its value."""

    name: str
    label: str
    is_computed: bool
    group: DefinitionGroup | None = None


# The names of these classes in earlier versions. They stay importable.
Group = DefinitionGroup
Named = NamedDefinition
Result: TypeAlias = APIResult[T]
