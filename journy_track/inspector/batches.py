"""The batch API: how a request is decompressed and authenticated, its limits, and what its messages do."""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from journy_track.inspector import rules
from journy_track.inspector.known import Known
from journy_track.inspector.messages import Meaning, meaning
from journy_track.inspector.values import MESSAGE_TYPES, IncomingRequest, MessageResult, masked, sent_messages

#: The limit for one decompressed request. Segment documents 500 KB; this is the smaller of its two readings.
MAX_BATCH = 500_000  # bytes
MAX_MESSAGE = 32 * 1024  # bytes
MAX_MESSAGES = 2500  # in one request

#: The paths of journy.io and of Segment. Each accepts a batch, or a single message of one type.
PATHS: Mapping[str, str] = {
    "/backend/v1/batch": "batch",
    "/v1/batch": "batch",
    **{f"/v1/{kind}": kind for kind in MESSAGE_TYPES},
}

_WRITE_KEY = re.compile(rb'("writeKey"\s*:\s*)("(?:[^"\\]|\\.)*"?)')


def opened(call: IncomingRequest) -> IncomingRequest:
    """A batch API request with its body decompressed, its write key read, and the key masked in the body."""
    body = _unpacked(call.body) if call.headers.get("content-encoding", "").lower() == "gzip" else None
    packed, body = (None, call.body) if body is None else (len(call.body), body)
    key = _basic_user(call.headers.get("authorization", "")) or _key_within(body)
    return replace(call, key=key, body=_WRITE_KEY.sub(_masked_match, body), packed=packed)


def rule(kind: str) -> rules.Rule:
    """The rule for the body of a request of this kind. A single message is checked like one in a batch."""

    def batch(body: Any) -> rules.Errors:
        if errors := rules.an_object("body", body):
            return errors
        messages = body.get("batch")
        if not isinstance(messages, list):
            return {"batch": f"Expected a list but found {rules.a_kind(messages)}."}
        if len(messages) > MAX_MESSAGES:
            return {"batch": f"Expected at most {MAX_MESSAGES} messages but found {len(messages)}."}
        errors = {}
        for position, message in enumerate(messages):
            errors |= _message(f"batch.{position}", message)
        return errors

    return batch if kind == "batch" else lambda body: _message("body", body)


def doer(kind: str) -> Callable[[Known, Any], dict[int, MessageResult]]:
    """The function that processes a request of this kind: it uses each message that is new and valid."""

    def do(known: Known, body: Any) -> dict[int, MessageResult]:
        results = {}
        for position, message in enumerate(sent_messages(kind, body)):
            result = _taken(known, message)
            if result is not None:
                results[position] = result
        return results

    return do


def _taken(known: Known, message: dict[str, Any]) -> MessageResult | None:
    """Process one message and return its result; None if it was accepted as it is."""
    message_id = message.get("messageId")
    message_id = message_id if isinstance(message_id, str) else None
    kind = message.get("type")
    if not known.add_message(kind if kind in MESSAGE_TYPES else "other", message_id):
        return MessageResult("duplicate")
    read = meaning(message)
    if read.ignored:
        known.ignored_messages += 1
        return MessageResult("ignored", read.problems)
    problems = read.problems | _performed(known, read, message_id)
    return MessageResult("accepted", problems) if problems else None


def _performed(known: Known, read: Meaning, message_id: str | None) -> rules.Errors:
    rejected: dict[str, str] = {}
    for operation, body in read.steps:
        match operation:
            case "trackEvent":
                known.add_event(body, message_id)
            case "upsertUser":
                rejected |= known.upsert_user(body["identification"], body["properties"])
            case "upsertAccount":
                rejected |= known.upsert_account(body["identification"], body["properties"])
            case "addUserToAccount":
                known.set_members(body["account"], [item["identification"] for item in body["users"]], present=True)
    return {f"traits.{name}": reason for name, reason in rejected.items()}


def _message(path: str, message: Any) -> rules.Errors:
    if errors := rules.an_object(path, message):
        return errors
    size = len(json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return {path: f"Expected at most {MAX_MESSAGE} bytes but found {size}."} if size > MAX_MESSAGE else {}


def _unpacked(body: bytes) -> bytes | None:
    """Decompress a gzip body, up to just over the size limit; None if it is not complete, valid gzip."""
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacking.decompress(body, MAX_BATCH + 1)
    except zlib.error:
        return None
    return unpacked if unpacking.eof or len(unpacked) > MAX_BATCH else None


def _basic_user(header: str) -> str | None:
    scheme, _, coded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(coded, validate=True).decode("utf-8").partition(":")[0] or None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _key_within(body: bytes) -> str | None:
    parsed = rules.parsed_or_none(body)
    key = parsed.get("writeKey") if isinstance(parsed, dict) else None
    return key if isinstance(key, str) and key else None


def _masked_match(found: re.Match[bytes]) -> bytes:
    try:
        key = json.loads(found[2])
    except ValueError:
        key = ""
    return found[1] + json.dumps(masked(key)).encode("ascii")
