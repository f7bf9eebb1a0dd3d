"""PostHog: `posthog`, versions 3 to 7. A call's first argument is the user up to version 5, the event from 6 on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import libcst as cst
from libcst import matchers as m

from journy_track.cli.migrating.calls import Given, Written
from journy_track.cli.migrating.source import Source
from journy_track.cli.migrating.vendor import CONFIGURE, Proposal, Vendor

_CAPTURE = ("properties", "context", "timestamp", "uuid", "groups", "send_feature_flags", "disable_geoip")
_OLD_CAPTURE = ("distinct_id", "event", *_CAPTURE)
_NEW_CAPTURE = ("event",)
_SET = ("distinct_id", "properties", "context", "timestamp", "uuid", "disable_geoip")
_GROUP = ("group_type", "group_key", "properties", "timestamp", "uuid", "disable_geoip", "distinct_id", "context")
#: The types of groups that certainly are accounts.
_ACCOUNTS = frozenset({"account", "company", "customer", "organisation", "organization", "workspace"})
_REASONS = {
    "context": "context= has no counterpart",
    "timestamp": "timestamp= has no counterpart here: users and accounts have no time",
    "uuid": "uuid= has no counterpart: each item has an ID of its own",
    "groups": "groups= is account= here, where it is one group of a type that is an account",
    "send_feature_flags": "feature flags have no counterpart",
    "flags": "feature flags have no counterpart",
    "disable_geoip": "disable_geoip= has no counterpart: no address is sent",
    "distinct_id": "distinct_id= has no counterpart here: add_users_to_account() makes a user a member",
}
_FLAGS = ("feature flags have no counterpart", "keep PostHog for them, or another library")
_CONTEXT = "contexts are this library's own, and hold users, accounts and metadata"
_EXCEPTIONS = (
    "exceptions have no counterpart",
    '@journy_track.track_event("…", on="error"), if it should be an event',
)
_WITHOUT = {
    "set_once": (
        "properties that are set once have no counterpart: an upsert overwrites",
        "journy_track.upsert_user(user=…, …), where it is known that the user is new",
    ),
    "alias": (
        "two IDs of a user cannot be merged",
        'journy_track.link(request.cookies.get("__journey"), user=…), where a visitor becomes a user',
    ),
    "page": ("page views come from journy.io's web snippet", 'journy_track.track("viewed_…", …)'),
    "screen": ("screens have no counterpart", 'journy_track.track("viewed_…", …)'),
    "new_context": (_CONTEXT, "with journy_track.scope(inherit=True): …"),
    "scoped": (_CONTEXT, "with journy_track.scope(inherit=True): … in the function"),
    "identify_context": (_CONTEXT, "journy_track.set_user(…)"),
    "tag": (_CONTEXT, "journy_track.add_metadata(…=…)"),
    "get_tags": (_CONTEXT, "journy_track.current_context().metadata"),
    "set_context_session": (_CONTEXT, "journy_track.add_metadata(session_id=…)"),
    "set_context_device_id": (_CONTEXT, "journy_track.link(device_id), for a device of journy.io's snippet"),
    "capture_exception": _EXCEPTIONS,
    "capture_ai": ("AI events have no counterpart", "journy_track.track(…)"),
    **dict.fromkeys(
        (
            "feature_enabled",
            "get_feature_flag",
            "get_feature_flag_payload",
            "get_feature_flag_result",
            "get_all_flags",
            "get_all_flags_and_payloads",
            "get_remote_config_payload",
            "evaluate_flags",
            "load_feature_flags",
            "feature_flag_definitions",
        ),
        _FLAGS,
    ),
}
_LIFECYCLE = {
    "flush": "journy_track.flush()",
    "join": "journy_track.shutdown()",
    "shutdown": "journy_track.shutdown()",
}


class PostHog(Vendor):
    """See `Vendor`."""

    modules: ClassVar[tuple[str, ...]] = ("posthog",)
    clients: ClassVar[frozenset[str]] = frozenset({"Posthog", "Client", "client.Client"})
    distinctive: ClassVar[frozenset[str]] = frozenset(
        {"capture", "group_identify", "set_once", "capture_exception", *_WITHOUT} - {"tag", "page"}
    )
    key: ClassVar[frozenset[str]] = frozenset({"api_key", "project_api_key"})
    settings: ClassVar[Mapping[str, str]] = {
        "host": "nothing: journy.io's address is the default",
        "debug": "journy_track.configure(debug=…)",
        "disabled": "journy_track.configure(enabled=…), which is the opposite",
        "send": "journy_track.configure(enabled=…)",
        "on_error": "journy_track.configure(on_error=…), which gets an Undelivered",
        "before_send": "journy_track.configure(before_send=…), which gets an Event or an upsert",
        "max_queue_size": "journy_track.configure(queue_size=…)",
        "timeout": "journy_track.configure(timeout=…)",
        "super_properties": "journy_track.configure(metadata=…)",
        "sync_mode": "nothing: calls are queued, and flush() waits",
        "personal_api_key": "nothing: feature flags have no counterpart",
        "disable_geoip": "nothing: no address is sent",
        "gzip": "nothing",
    }

    def call(self, source: Source, call: cst.Call, verb: str) -> Proposal | None:
        if verb in _WITHOUT:
            return Proposal.none(*_WITHOUT[verb])
        if verb in _LIFECYCLE:
            return Proposal.of(Given(source, call, ()), _LIFECYCLE[verb])
        if verb == "capture":
            return _capture(Given(source, call, _order(call)))
        if verb in ("identify", "set"):
            return _set(Given(source, call, _SET))
        if verb == "group_identify":
            return _group(Given(source, call, _GROUP))
        return None

    def creation(self, source: Source, call: cst.Call) -> Proposal:
        given = Given(source, call, ("project_api_key", "host"))
        known = ("project_api_key", "api_key", "host")
        given.doubts = [
            f"{name}=: {self.settings.get(name, 'has no counterpart')}"
            for name in given.arguments
            if name not in known
        ] + [doubt for doubt in given.doubts if "not an argument that is known" not in doubt]
        return Proposal.of(given, CONFIGURE)

    def others(self, source: Source) -> None:
        """Add nothing: there are no other statements."""


def _order(call: cst.Call) -> tuple[str, ...]:
    """The parameters by position. The user comes first if an event follows, by position or by name."""
    names = {argument.keyword.value for argument in call.args if argument.keyword is not None}
    positional = sum(argument.keyword is None and not argument.star for argument in call.args)
    if positional == 1 and "event" not in names:
        return (*_NEW_CAPTURE, "distinct_id", *_CAPTURE, "flags")
    return (*_OLD_CAPTURE, "flags")


def _capture(given: Given) -> Proposal:
    event = given.take("event")
    if event is None:
        given.doubt("there is no event")
        return Proposal(None, given.doubts, "journy_track.track(…)")
    if isinstance(event, cst.SimpleString) and _text_of(event).startswith("$"):
        given.doubt(f"{_text_of(event)} means something to PostHog alone")
    if _may_be_swapped(given, event):
        given.doubt("a user came first up to version 5, and the event later: here the first looks like an event")
    user = _user(given)
    account = _account(given)
    when = given.moment("timestamp")
    mapping, keywords = given.values("properties", "track")
    given.refuse_the_rest(_REASONS)
    name = [given.written(None, "event")]
    return Proposal.of(given, given.render("journy_track.track", name, mapping, user, account, keywords, when))


def _text_of(string: cst.SimpleString) -> str:
    value = string.evaluated_value
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _may_be_swapped(given: Given, event: cst.BaseExpression) -> bool:
    """Whether the user and the event, both passed by position, look as if they were in the opposite order."""
    user = given.arguments.get("distinct_id")
    if user is None or user.keyword is not None or given.arguments["event"].keyword is not None:
        return False
    return isinstance(user.value, cst.SimpleString) and not isinstance(event, cst.SimpleString)


def _set(given: Given) -> Proposal:
    user = _user(given)
    mapping, keywords = given.values("properties", "upsert_user")
    given.refuse_the_rest(_REASONS)
    return Proposal.of(given, given.render("journy_track.upsert_user", mapping, user, keywords))


def _group(given: Given) -> Proposal:
    kind = given.take("group_type")
    if not (isinstance(kind, cst.SimpleString) and kind.evaluated_value in _ACCOUNTS):
        given.doubt("the type of the group may be something other than an account: journy.io has only accounts")
    given.identity("group_key")
    account = [given.written("account", "group_key")] if "group_key" in given.arguments else []
    if not account:
        given.doubt("there is no group_key=")
    mapping, keywords = given.values("properties", "upsert_account")
    given.refuse_the_rest(_REASONS)
    return Proposal.of(given, given.render("journy_track.upsert_account", mapping, account, keywords))


def _user(given: Given) -> list[Written]:
    given.identity("distinct_id")
    if given.take("distinct_id") is None:
        given.doubt("there is no distinct_id=: it comes from the context, which set_user() sets here")
        return []
    return [given.written("user", "distinct_id")]


def _account(given: Given) -> list[Written]:
    """`account=` from `groups={"company": …}`, if that contains nothing else."""
    argument = given.arguments.get("groups")
    if argument is None or not isinstance(argument.value, cst.Dict) or len(argument.value.elements) != 1:
        return []
    element = argument.value.elements[0]
    if not m.matches(element, m.DictElement(key=m.SimpleString())):
        return []
    if element.key.evaluated_value not in _ACCOUNTS:  # type: ignore[attr-defined]
        return []
    given.take("groups")
    return [Written("account", given.source.text(element.value), argument, (element.value,))]
