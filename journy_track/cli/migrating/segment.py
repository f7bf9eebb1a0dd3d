"""Segment: `segment-analytics-python`, and its predecessor `analytics-python`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import libcst as cst
from libcst import matchers as m

from journy_track.cli.migrating.calls import Given, Written
from journy_track.cli.migrating.source import Source
from journy_track.cli.migrating.vendor import CONFIGURE, Proposal, Vendor

_PARAMETERS = {
    "track": ("user_id", "event", "properties", "context", "timestamp", "anonymous_id", "integrations", "message_id"),
    "identify": ("user_id", "traits", "context", "timestamp", "anonymous_id", "integrations", "message_id"),
    "group": ("user_id", "group_id", "traits", "context", "timestamp", "anonymous_id", "integrations", "message_id"),
}
_REASONS = {
    "context": "context= has no counterpart, except for groupId, which is account=",
    "timestamp": "timestamp= has no counterpart here: users and accounts have no time",
    "anonymous_id": "anonymous_id= is Segment's: a device of journy.io's snippet is joined to its user by link()",
    "integrations": "integrations= has no counterpart: journy.io does not pass on by call",
    "message_id": "message_id= has no counterpart: each item has an ID of its own",
}
_WITHOUT = {
    "page": (
        "page views come from journy.io's web snippet",
        'journy_track.track("viewed_…", …), if it should be an event',
    ),
    "screen": ("screens have no counterpart", 'journy_track.track("viewed_…", …), if it should be an event'),
    "alias": (
        "two IDs of a user cannot be merged",
        'journy_track.link(request.cookies.get("__journey"), user=…), where a visitor becomes a user',
    ),
}
_LIFECYCLE = {
    "flush": "journy_track.flush()",
    "join": "journy_track.shutdown()",
    "shutdown": "journy_track.shutdown()",
}


class Segment(Vendor):
    """See `Vendor`."""

    modules: ClassVar[tuple[str, ...]] = ("segment.analytics", "analytics")
    clients: ClassVar[frozenset[str]] = frozenset({"Client", "client.Client"})
    distinctive: ClassVar[frozenset[str]] = frozenset({"track", "identify", "page", "screen"})
    key: ClassVar[frozenset[str]] = frozenset({"write_key"})
    settings: ClassVar[Mapping[str, str]] = {
        "host": "nothing: journy.io's address is the default",
        "debug": "journy_track.configure(debug=…)",
        "send": "journy_track.configure(enabled=…)",
        "on_error": "journy_track.configure(on_error=…), which gets an Undelivered",
        "max_queue_size": "journy_track.configure(queue_size=…)",
        "timeout": "journy_track.configure(timeout=…)",
        "sync_mode": "nothing: calls are queued, and flush() waits",
        "gzip": "nothing",
        "max_retries": "nothing: what fails is tried again for max_age",
    }

    def call(self, source: Source, call: cst.Call, verb: str) -> Proposal | None:
        if verb in _WITHOUT:
            return Proposal.none(*_WITHOUT[verb])
        if verb in _LIFECYCLE:
            given = Given(source, call, ())
            return Proposal.of(given, _LIFECYCLE[verb])
        if verb not in _PARAMETERS:
            return None
        given = Given(source, call, _PARAMETERS[verb])
        return {"track": _track, "identify": _identify, "group": _group}[verb](given)

    def creation(self, source: Source, call: cst.Call) -> Proposal:
        given = Given(source, call, ("write_key", "host"))
        given.take("write_key")
        given.take("host")
        given.doubts = [
            f"{name}=: {self.settings.get(name, 'has no counterpart')}"
            for name in given.arguments
            if name not in ("write_key", "host")
        ] + [doubt for doubt in given.doubts if "not an argument that is known" not in doubt]
        return Proposal.of(given, CONFIGURE)

    def others(self, source: Source) -> None:
        """Add nothing: there are no other statements."""


def _track(given: Given) -> Proposal:
    account = _account(given)
    user = _user(given, account)
    if given.take("event") is None:
        given.doubt("there is no event=")
        return Proposal(None, given.doubts, "journy_track.track(…)")
    when = given.moment("timestamp")
    mapping, keywords = given.values("properties", "track")
    given.refuse_the_rest(_REASONS)
    return Proposal.of(
        given,
        given.render("journy_track.track", [given.written(None, "event")], mapping, user, account, keywords, when),
    )


def _identify(given: Given) -> Proposal:
    user = _user(given, [])
    mapping, keywords = given.values("traits", "upsert_user")
    given.refuse_the_rest(_REASONS)
    return Proposal.of(given, given.render("journy_track.upsert_user", mapping, user, keywords))


def _group(given: Given) -> Proposal:
    """Add a member, set an account's properties, or both."""
    if "group_id" not in given.arguments:
        given.doubt("there is no group_id=")
        return Proposal(None, given.doubts, "journy_track.add_users_to_account(account, [user])")
    account = [given.written("account", "group_id")]
    user = _user(given, account)
    mapping, keywords = given.values("traits", "upsert_account")
    has_traits = bool(mapping or keywords)
    is_member = bool(user) and user[0].text != "None"
    given.identity("group_id", several=has_traits and is_member)
    given.refuse_the_rest(_REASONS)
    lines = []
    if has_traits or not is_member:
        lines.append(given.render("journy_track.upsert_account", mapping, account, keywords))
    if is_member:
        given.keep_order(*mapping, *account, *keywords, *user)
        lines.append(f"journy_track.add_users_to_account({account[0].text}, [{user[0].text}])")
    if is_member and not has_traits and given.source.has_comment(given.call):
        given.doubt("a comment in it would be lost")
    return Proposal.of(given, *lines)


def _user(given: Given, account: list[Written]) -> list[Written]:
    """`user=`, with None if the account's own ID is the anonymous ID, because Segment requires an ID in each call."""
    given.identity("user_id")
    if given.take("user_id") is not None:
        return [given.written("user", "user_id")]
    anonymous = given.arguments.get("anonymous_id")
    if anonymous is not None and account and given.text("anonymous_id") == account[0].text:
        given.take("anonymous_id")
        return [Written("user", "None", anonymous)]
    if anonymous is None:
        given.doubt("there is no user_id=")
    return []


def _account(given: Given) -> list[Written]:
    """`account=` from `context={"groupId": …}`, if that contains nothing else."""
    argument = given.arguments.get("context")
    if argument is None or not isinstance(argument.value, cst.Dict) or len(argument.value.elements) != 1:
        return []
    element = argument.value.elements[0]
    if not m.matches(element, m.DictElement(key=m.SimpleString())) or element.key.evaluated_value != "groupId":  # type: ignore[attr-defined]
        return []
    given.take("context")
    return [Written("account", given.source.text(element.value), argument, (element.value,))]
