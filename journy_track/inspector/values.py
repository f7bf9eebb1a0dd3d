"""The frozen values that the inspector returns to callers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from journy_track.inspector import rules

MESSAGE_TYPES = ("track", "identify", "group", "page", "screen", "alias")
#: The outcome of a message. No part of it is used unless it is accepted.
MessageOutcome = Literal["accepted", "duplicate", "ignored", "refused"]


def masked(key: str) -> str:
    """The end of a key, enough to tell it apart from another. A short key is masked completely."""
    return "…" + key[-4:] if len(key) >= 8 else "…"


@dataclass(frozen=True, slots=True)
class MessageResult:
    """The result of one message of the batch API. The response does not include it."""

    outcome: MessageOutcome
    problems: Mapping[str, str] = field(default_factory=dict)  # fields that were left out, with the reasons


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One message of a request to the batch API.

    *outcome* is `accepted`, `duplicate` (its messageId was known already), `ignored` (the message itself is invalid,
    which the response does not report), or `refused` (along with its whole request).
    """

    number: int  # of its request
    position: int  # within its request, from 0
    type: str | None  # as sent: track, identify, group, page, screen or alias; None if it is not a string
    message_id: str | None
    json: dict[str, Any]  # as sent
    outcome: MessageOutcome
    problems: Mapping[str, str]  # fields that were left out, or the reasons why it was ignored


@dataclass(frozen=True, slots=True)
class Received:
    """One request that arrived, and its response."""

    number: int
    received_at: datetime  # aware, UTC
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case, secrets masked
    body: bytes
    operation: str | None  # its operationId in the API's description; None for an unknown call
    status: int  # 0 when the connection was dropped without a response
    answer_body: bytes
    request_id: str
    duration_ms: float
    key: str | None  # "…" and its last four characters; None if there was no key
    attempt: int = 1  # above 1 for a retry of a failed request
    first: int = 0  # number of the first request with the same content
    #: For a request that shares messages with a failed batch but is not the same batch: the number of that batch's
    #: first attempt. 0 for any other request.
    part_of: int = 0
    packed: int | None = None  # compressed bytes of a body sent with gzip; `body` is decompressed
    #: Batch API: the results of messages by position. A message without one was accepted as it is. None if the whole
    #: request was refused, or is not a batch API request.
    results: Mapping[int, MessageResult] | None = None

    @property
    def size(self) -> int:
        """The size of the body in bytes, as received."""
        return len(self.body) if self.packed is None else self.packed

    # Parsed on access, because the parsed values take up to twenty times the memory of the body.
    @property
    def json(self) -> Any:
        """The parsed body; None if it is empty or not JSON."""
        return rules.parsed_or_none(self.body)

    @property
    def answer(self) -> Any:
        """The parsed response; None if it is empty or not JSON."""
        return rules.parsed_or_none(self.answer_body)

    @property
    def is_batch(self) -> bool:
        """Whether this is a batch API request."""
        return self.operation == "batch" or self.operation in MESSAGE_TYPES

    @property
    def messages(self) -> list[ReceivedMessage]:
        """The messages of a batch API request, in order; empty for any other request."""
        sent = sent_messages(self.operation, self.json)
        results = {} if self.results is None else self.results
        otherwise = MessageResult("refused" if self.results is None else "accepted")
        made = []
        for position, message in enumerate(sent):
            result = results.get(position, otherwise)
            kind, id_ = message.get("type"), message.get("messageId")
            made.append(
                ReceivedMessage(
                    self.number,
                    position,
                    kind if isinstance(kind, str) else None,
                    id_ if isinstance(id_, str) else None,
                    message,
                    result.outcome,
                    result.problems,
                )
            )
        return made


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """One accepted event, with its user and account as in the request."""

    name: str
    user: dict[str, str] | None
    account: dict[str, str] | None
    metadata: dict[str, Any]
    triggered_at: str | None  # as sent; None means the time on the server
    message_id: str | None = None  # of a message of the batch API


@dataclass(frozen=True, slots=True)
class KnownUser:
    """A user, as currently known to the inspector."""

    user_id: str | None
    email: str | None
    properties: dict[str, Any]
    devices: tuple[str, ...]  # the device IDs that were linked to it
    events: int = 0  # accepted events that named it
    first_seen: datetime | None = None  # aware, UTC: when a request first named it
    last_seen: datetime | None = None
    last_number: int = 0  # of the last request that named it


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """An account, as currently known to the inspector."""

    account_id: str | None
    domain: str | None
    properties: dict[str, Any]
    members: tuple[dict[str, str], ...]  # identifications of its users
    removed: tuple[dict[str, str], ...]  # of users that were removed from it but still exist
    events: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    last_number: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """Exact counts since the start or the last reset, which include requests that are no longer kept."""

    requests: int
    accepted: int  # events
    refused: int  # with 429
    by_status: dict[int, int]
    by_operation: dict[str, int]  # all requests, whatever their response
    #: Batch API, in requests that were not refused. `messages` counts new messages, `by_type` the same by type
    #: ("other" for an unknown type), `duplicates` messages with a messageId among the last 100 000, and `ignored` new
    #: messages that are invalid themselves, which the response does not report.
    messages: int = 0
    by_type: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    ignored: int = 0


@dataclass(frozen=True, slots=True)
class IncomingRequest:
    """One request as received, before it is processed."""

    received_at: datetime
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    key: str | None  # in clear text, because this object is never stored
    body: bytes
    packed: int | None = None  # compressed bytes of the body; None if it was not compressed


@dataclass(frozen=True, slots=True)
class PreparedResponse:
    """The response to send to the caller. Status 0 means that the connection is dropped."""

    status: int
    request_id: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    taken: bool = False  # whether the request counts against the key's rate limit
    results: Mapping[int, MessageResult] | None = None  # as in `Received`


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A response to send in place of the real one. Status None keeps the real response."""

    status: int | None
    body: str | Mapping[str, Any] | None
    headers: Mapping[str, str]
    delay: float  # seconds
    drop: bool
    containing: str = ""  # applies only to a request with this text in its body


def sent_messages(operation: str | None, body: Any) -> list[dict[str, Any]]:
    """The messages in the body of a batch API request. Those that are not objects are left out."""
    if not isinstance(body, dict):
        return []
    if operation == "batch":
        sent = body.get("batch")
        return [message for message in sent if isinstance(message, dict)] if isinstance(sent, list) else []
    return [body | {"type": operation}] if operation in MESSAGE_TYPES else []
