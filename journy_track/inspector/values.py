"""What the inspector hands to its readers: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from journy_track.inspector import rules

MESSAGE_TYPES = ("track", "identify", "group", "page", "screen", "alias")
#: What became of a message: nothing of it was used in any but the first case.
MessageOutcome = Literal["accepted", "duplicate", "ignored", "refused"]


def masked(key: str) -> str:
    """Enough of a key to tell it from another: nothing of a short one."""
    return "…" + key[-4:] if len(key) >= 8 else "…"


@dataclass(frozen=True, slots=True)
class MessageResult:
    """What became of one message of the batch API. The sender is not told."""

    outcome: MessageOutcome
    problems: Mapping[str, str] = field(default_factory=dict)  # fields that were left out, with reasons


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One message of a request to the batch API.

    *outcome*: `accepted`, `duplicate` (its messageId was known already), `ignored` (it is wrong by itself: the sender
    is not told), or `refused` (with its whole request).
    """

    number: int  # of its request
    position: int  # within its request, from 0
    type: str | None  # track, identify, group, page, screen or alias; None when it has none
    message_id: str | None
    json: dict[str, Any]  # as it was sent
    outcome: MessageOutcome
    problems: Mapping[str, str]  # fields that were left out, or why it was ignored


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
    operation: str | None  # the operationId of the API's description; None when there is no such call
    status: int  # 0 when the connection was dropped without a response
    answer_body: bytes
    request_id: str
    duration_ms: float
    key: str | None  # "…" and its last four characters; None when there was no key
    attempt: int = 1  # more for the repetition of a request that failed
    first: int = 0  # number of the request that was the first attempt with the same content
    #: Of a batch that holds messages of one that failed, but not just these: number of the first attempt of that one.
    part_of: int = 0
    packed: int | None = None  # bytes of a body that came packed by gzip; `body` is unpacked
    #: Of the batch API, what became of messages, by position: those that are missing were accepted as they are. None:
    #: the whole request was refused, or it is not one of the batch API.
    results: Mapping[int, MessageResult] | None = None

    @property
    def size(self) -> int:
        """Bytes of the body as it came."""
        return len(self.body) if self.packed is None else self.packed

    # Parsed when somebody looks: the values of a body take up to twenty times its bytes.
    @property
    def json(self) -> Any:
        """The parsed body; None when it is empty or not JSON."""
        return rules.parsed_or_none(self.body)

    @property
    def answer(self) -> Any:
        """The parsed response; None when it is empty or not JSON."""
        return rules.parsed_or_none(self.answer_body)

    @property
    def is_batch(self) -> bool:
        """Whether it is a call of the batch API."""
        return self.operation == "batch" or self.operation in MESSAGE_TYPES

    @property
    def messages(self) -> list[ReceivedMessage]:
        """The messages of a request to the batch API, in order; none for any other."""
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
    """One event that was accepted, with its user and account as the request had them."""

    name: str
    user: dict[str, str] | None
    account: dict[str, str] | None
    metadata: dict[str, Any]
    triggered_at: str | None  # as it was sent; None: the server's now
    message_id: str | None = None  # of a message of the batch API


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
    refused: int  # with 429
    by_status: dict[int, int]
    by_operation: dict[str, int]  # every request to it, whatever its response
    #: Of the batch API, in requests that were not refused: new messages, also by type ("other" for what has no known
    #: one); messages whose messageId was among the last 100 000; and those of the new ones that were wrong by
    #: themselves, of which the sender is not told.
    messages: int = 0
    by_type: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    ignored: int = 0


@dataclass(frozen=True, slots=True)
class IncomingRequest:
    """One request as it came in, before anything is decided about it."""

    received_at: datetime
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    key: str | None  # in clear: a call is never kept
    body: bytes
    packed: int | None = None  # bytes of the body as it came, when it was unpacked


@dataclass(frozen=True, slots=True)
class PreparedResponse:
    """What goes back to the caller. Status 0: the connection is dropped."""

    status: int
    request_id: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    taken: bool = False  # whether the request took one of what the key may make
    results: Mapping[int, MessageResult] | None = None  # as in `Received`


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A response that was planned in place of the real one. Status None: the real one."""

    status: int | None
    body: str | Mapping[str, Any] | None
    headers: Mapping[str, str]
    delay: float  # seconds
    drop: bool
    containing: str = ""  # only for a request with this text in its body


def sent_messages(operation: str | None, body: Any) -> list[dict[str, Any]]:
    """The messages in the body of a request to the batch API, as far as they are objects."""
    if not isinstance(body, dict):
        return []
    if operation == "batch":
        sent = body.get("batch")
        return [message for message in sent if isinstance(message, dict)] if isinstance(sent, list) else []
    return [body | {"type": operation}] if operation in MESSAGE_TYPES else []
