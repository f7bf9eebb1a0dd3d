"""The messages of the batch API: what each means in terms of the REST API, and what is wrong with it.

As in Segment's protocol, a request with invalid messages is accepted, and its response does not report them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from journy_track.inspector import rules
from journy_track.inspector.values import MESSAGE_TYPES

Step = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a message requests: REST API calls by operationId, with their bodies."""

    steps: tuple[Step, ...] = ()
    problems: rules.Errors = field(default_factory=dict)  # invalid fields, with the reasons
    ignored: bool = False  # whether no part of the message can be used


def meaning(message: Mapping[str, Any]) -> Meaning:
    """Read one message. Invalid values are left out; if a required field is invalid, the message is ignored."""
    kind = message.get("type")
    if kind not in MESSAGE_TYPES:
        found = "" if kind is None else f" but found {kind!r}" if isinstance(kind, str) else f" but found {_a(kind)}"
        return Meaning(problems={"type": f"Expected one of {', '.join(MESSAGE_TYPES)}{found}."}, ignored=True)
    reader = _Reader(message)
    steps = tuple(_READERS[kind](reader))
    if reader.fatal:
        return Meaning(problems=reader.fatal | reader.problems, ignored=True)
    return Meaning(steps, reader.problems)


class _Reader:
    """Reads the usable parts of one message, and records problems with the rest."""

    def __init__(self, message: Mapping[str, Any]) -> None:
        self._message = message
        self._context = message["context"] if isinstance(message.get("context"), dict) else {}
        self.problems: rules.Errors = {}
        self.fatal: rules.Errors = {}  # problems that cause the message to be ignored

    def someone(self) -> str | None:
        """The user's ID; None for an anonymous visitor, who needs an `anonymousId`."""
        user_id = self._id(self._message, "userId", "userId")
        if user_id is None and self._id(self._message, "anonymousId", "anonymousId") is None:
            self.fatal.setdefault("userId", "Expected a userId or an anonymousId.")
        return user_id

    def member(self) -> str | None:
        """The user's ID, for a message in which it is optional."""
        return self._id(self._message, "userId", "userId")

    def required(self, name: str) -> str:
        text = self._id(self._message, name, name)
        if text is None:
            self.fatal.setdefault(name, "This field is required.")
        return text or ""

    def group(self) -> str | None:
        """The account in which it happened."""
        return self._id(self._context, "groupId", "context.groupId")

    def email(self, traits: Mapping[str, Any], path: str) -> str | None:
        return self._text(traits, "email", f"{path}.email", rules.is_email, "an email address")

    def domain(self, traits: Mapping[str, Any]) -> str | None:
        return self._text(traits, "domain", "traits.domain", bool, "a string that isn't empty")

    def email_in_context(self) -> str | None:
        traits = self._context.get("traits")
        return self.email(traits, "context.traits") if isinstance(traits, dict) else None

    def moment(self) -> str | None:
        """When it happened; None means the time of arrival."""
        if self._message.get("timestamp") is None:
            return None
        wrong = rules.moment("timestamp", self._message["timestamp"])
        self.problems |= wrong
        return None if wrong else self._message["timestamp"]

    def properties(self) -> dict[str, Any]:
        return self._values("properties", rules.metadata_value)

    def traits(self, but: str) -> dict[str, Any]:
        """All valid traits except *but*, which identifies the user or account."""
        return {name: value for name, value in self._values("traits", rules.property_value).items() if name != but}

    def raw_traits(self) -> dict[str, Any]:
        traits = self._message.get("traits")
        return traits if isinstance(traits, dict) else {}

    def _id(self, holder: Mapping[str, Any], name: str, path: str) -> str | None:
        value = holder.get(name)
        if value is None or (isinstance(value, str) and value):
            return value
        what = "but it is empty" if value == "" else f"but found {_a(value)}"
        # An invalid ID is not the same as no ID: the message must not be attributed to someone else.
        self.fatal[path] = f"Expected a string, {what}."
        return None

    def _text(self, holder: Mapping[str, Any], name: str, path: str, is_right: Any, expected: str) -> str | None:
        value = holder.get(name)
        if value is None:
            return None
        if isinstance(value, str) and is_right(value):
            return value
        self.problems[path] = f"Expected {expected}."
        return None

    def _values(self, name: str, rule: Any) -> dict[str, Any]:
        values = self._message.get(name)
        if values is None:
            return {}
        if not isinstance(values, dict):
            self.problems[name] = f"Expected an object but found {_a(values)}."
            return {}
        right = {}
        for key, value in values.items():
            if reason := rule(value):
                self.problems[f"{name}.{key}"] = reason
            else:
                right[key] = value
        return right


def _track(reader: _Reader) -> Iterator[Step]:
    user_id, group_id = reader.someone(), reader.group()
    body: dict[str, Any] = {"identification": {}, "name": reader.required("event")}
    if user_id is not None:
        body["identification"]["user"] = _named(userId=user_id, email=reader.email_in_context())
    if group_id is not None:
        body["identification"]["account"] = {"accountId": group_id}
    if metadata := reader.properties():
        body["metadata"] = metadata
    if moment := reader.moment():
        body["triggeredAt"] = moment
    yield "trackEvent", body


def _identify(reader: _Reader) -> Iterator[Step]:
    user_id, email = reader.someone(), reader.email(reader.raw_traits(), "traits")
    traits = reader.traits(but="email")
    reader.moment()
    if user_id is not None:
        yield "upsertUser", {"identification": _named(userId=user_id, email=email), "properties": traits}


def _group(reader: _Reader) -> Iterator[Step]:
    account = _named(accountId=reader.required("groupId"), domain=reader.domain(reader.raw_traits()))
    user_id, traits = reader.member(), reader.traits(but="domain")
    reader.moment()
    if traits or user_id is None:
        yield "upsertAccount", {"identification": account, "properties": traits}
    if user_id is not None:
        yield "addUserToAccount", {"account": account, "users": [{"identification": {"userId": user_id}}]}


def _page(reader: _Reader) -> Iterator[Step]:
    user_id = reader.someone()
    reader.moment()
    if user_id is not None:
        yield "upsertUser", {"identification": {"userId": user_id}, "properties": {}}


def _alias(reader: _Reader) -> Iterator[Step]:
    reader.someone()
    reader.required("previousId")
    return iter(())


_READERS = {
    "track": _track,
    "identify": _identify,
    "group": _group,
    "page": _page,
    "screen": _page,
    "alias": _alias,
}


def _named(**fields: str | None) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value is not None}


def _a(value: Any) -> str:
    return rules.a_kind(value)
