"""What the inspector hands to its readers: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Received:
    """One request that arrived, and how it was answered."""

    number: int
    received_at: datetime  # aware, UTC
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case, secrets masked
    body: bytes
    json: Any  # the parsed body; None when it is empty or not JSON
    operation: str | None  # the operationId of the API's description; None when there is no such call
    status: int  # 0 when the connection was dropped without an answer
    answer: Any  # the parsed answer; None when it is empty or not JSON
    request_id: str
    duration_ms: float
    key: str | None  # "…" and its last four characters; None when there was no key
    attempt: int = 1  # more for the repetition of a request that failed


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """One event that was accepted, with its user and account as they stood in the request."""

    name: str
    user: dict[str, str] | None
    account: dict[str, str] | None
    metadata: dict[str, Any]
    triggered_at: str | None  # as it was sent; None: the server's now


@dataclass(frozen=True, slots=True)
class KnownUser:
    """A user as the inspector knows it at this moment."""

    user_id: str | None
    email: str | None
    properties: dict[str, Any]
    devices: tuple[str, ...]  # the device IDs that were linked to it
    events: int = 0  # accepted ones that named it
    first_seen: datetime | None = None  # aware, UTC: when a request first named it
    last_seen: datetime | None = None
    last_number: int = 0  # of the last request that named it


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """An account as the inspector knows it at this moment."""

    account_id: str | None
    domain: str | None
    properties: dict[str, Any]
    members: tuple[dict[str, str], ...]  # identifications of its users
    removed: tuple[dict[str, str], ...]  # of the users that were removed from it, and still exist
    events: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    last_number: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """Exact since the start or the last reset, however many requests are still kept."""

    requests: int
    accepted: int  # events
    refused: int  # answered 429
    by_status: dict[int, int]
    by_operation: dict[str, int]  # every request to it, whatever its answer


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came in, before anything is decided about it."""

    received_at: datetime
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    key: str | None  # in clear: a call is never kept
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the caller. Status 0: the connection is dropped."""

    status: int
    request_id: str
    body: bytes = b""
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    taken: bool = False  # whether the request took one of what the key may make


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer that was ordered instead of the real one. Status None: the real one."""

    status: int | None
    body: str | Mapping[str, Any] | None
    headers: Mapping[str, str]
    delay: float  # seconds
    drop: bool
