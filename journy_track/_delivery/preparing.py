"""Turns what was captured into items to send: converts values, checks identities and calls `before_send`."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from journy_track._delivery.consent import Consent
from journy_track._delivery.throttle import AtMostEvery
from journy_track._model.captured import Captured
from journy_track._model.config import BeforeSend, Config
from journy_track._model.errors import InvalidArgument, shortened
from journy_track._model.forks import importing
from journy_track._model.frozendict import FrozenDict
from journy_track._model.identity import AccountIdentified, UserIdentified, with_domain, with_email
from journy_track._model.items import (
    ITEM_KINDS,
    MAX_BODY,
    AddUsersToAccount,
    DeleteAccount,
    DeleteUser,
    Event,
    Item,
    Link,
    RemoveUsersFromAccount,
    UpsertAccount,
    UpsertUser,
)
from journy_track._model.notices import Notices
from journy_track._model.once import warn_once
from journy_track._model.values import plain_metadata, plain_properties

#: Up to this many units, an item cannot be too large: it has less than 4 KiB of text, and JSON turns a byte into at
#: most 6 (`\\u0000`).
SURELY_SMALL = 1
_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _is_too_large(item: Item) -> bool:
    body = _write(item.body())
    return len(body) > MAX_BODY // 4 and len(body.encode()) > MAX_BODY  # a character has at most 4 bytes


class Dropped(Exception):
    """The item is not sent. It is counted as *reason*."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class Throttled(Exception):
    """A matching event was already let through within the window."""


class Preparer:
    """Makes items from captures. Only for the worker's thread, except `check`, which is pure."""

    def __init__(self, config: Config, notices: Notices) -> None:
        self._configured = config.metadata
        self._before_send: BeforeSend | None = config.before_send
        self._looked_at = False
        self._notices = notices
        self._consent = None if config.allow is None else Consent(config.allow)
        self._at_most_every = AtMostEvery()
        #: Whether the configuration may add data to items that the queue did not count.
        self._adds_much = config.before_send is not None or len(str(dict(config.metadata))) > MAX_BODY // 8

    def prepare(self, captured: Captured) -> Item:
        """Return the item to send. Raises `Dropped` or `Throttled` if there is none."""
        if captured.request is None:  # its request turned out to be skipped after the capture
            raise Dropped("suppressed", "")
        item, problems = self._made(captured)
        if problems:
            self._report(item, problems)
        if self._before_send is not None:
            item = self._asked(self._before_send, item)
        if self._consent is not None:
            item = _consented(self._consent, item)
        if (captured.extra > SURELY_SMALL or self._adds_much) and _is_too_large(item):
            raise Dropped("too_large", f"{item.label()} is larger than {MAX_BODY} bytes")
        every = captured.at_most_every
        if every and isinstance(item, Event) and not self._at_most_every.lets_through(item, every, captured.at):
            raise Throttled
        return item

    def check(self, captured: tuple[Any, ...]) -> None:
        """Raise `InvalidArgument` for anything that would be lost. In debug mode, called on the capturing thread."""
        try:
            item, problems = self._made(Captured(*captured))
        except Dropped as dropped:
            raise InvalidArgument(str(dropped)) from None
        if problems:
            reasons = "; ".join(f"{key}: {reason}" for key, reason in problems)
            raise InvalidArgument(f"{item.label()}: {reasons}")

    def _made(self, captured: Captured) -> tuple[Item, list[tuple[str, str]]]:
        try:
            if captured.kind is Event:
                return self._event(captured)
            return _other(captured)
        except InvalidArgument as error:
            name = f" {shortened(str(captured.subject))!r}" if captured.kind is Event else ""
            raise Dropped("invalid", f"{captured.kind.operation}{name}: {error}") from None

    def _event(self, captured: Captured) -> tuple[Event, list[tuple[str, str]]]:
        if captured.user is None and captured.account is None:
            raise Dropped(
                "no_identity",
                f"the event {shortened(captured.subject)!r} has neither user nor account: set one with "
                "journy_track.user(...), set_user(...) or user= (a function there that returns None sets nobody)",
            )
        metadata, problems = plain_metadata(self._merged(captured))
        at = captured.happened_at or datetime.fromtimestamp(captured.at, UTC)
        event = Event(captured.subject, captured.user, captured.account, at, FrozenDict(metadata))
        return event, problems

    def _merged(self, captured: Captured) -> Mapping[Any, Any]:
        """Merge the metadata: configured, the request's, the blocks', then the event's. Automatic keys never win."""
        merged: dict[Any, Any] = {}
        if captured.trace_id is not None and captured.span_id is not None:
            from journy_track._model.tracing import trace_ids

            merged.update(trace_ids(captured.trace_id, captured.span_id))
        if captured.automatic:
            merged.update(captured.automatic)
        for given in (self._configured, captured.request, captured.context, captured.values):
            if given:
                merged.update(given)
        return merged

    def _asked(self, before_send: BeforeSend, item: Item) -> Item:
        try:
            response = before_send(item)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a scrubber fails closed, whatever it raises
            raise Dropped("before_send_failed", f"before_send raised {type(error).__name__}") from None
        if response is None:
            if not self._looked_at and never_returns_a_value(before_send):
                warn_once("before_send", "before_send never returns an item: everything captured is dropped.")
            self._looked_at = True
            raise Dropped("before_send", "")
        if not isinstance(response, ITEM_KINDS):
            raise Dropped("before_send_failed", f"before_send returned a {type(response).__name__}, not an item")
        try:
            checked, problems = response.converted()
        except InvalidArgument as error:
            raise Dropped("before_send_failed", f"before_send returned an invalid item: {error}") from None
        self._report(checked, problems)
        return checked

    def _report(self, item: Item, problems: list[tuple[str, str]]) -> None:
        for key, reason in problems:
            self._notices.log(
                ("left out", item.label(), key),
                "%s: the value of %r was left out: %s",
                item.label(),
                key,
                reason,
                level=logging.WARNING,
            )


def _consented(consent: Consent, item: Item) -> Item:
    try:
        allowed = consent.applied(item)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - without an answer nobody is tracked, whatever it raises
        raise Dropped("allow_failed", f"allow raised {type(error).__name__}") from None
    if allowed is None:
        raise Dropped("suppressed", "")
    return allowed


def _other(captured: Captured) -> tuple[Item, list[tuple[str, str]]]:
    """Make any item that is not an event."""
    kind = captured.kind
    if kind is UpsertUser:
        properties, problems = plain_properties(captured.values or {})
        user = with_email(captured.user, captured.subject) or _user(captured)
        return UpsertUser(user, FrozenDict(properties)), problems
    if kind is UpsertAccount:
        properties, problems = plain_properties(captured.values or {})
        account = with_domain(captured.account, captured.subject) or _account(captured)
        return UpsertAccount(account, FrozenDict(properties)), problems
    if kind is Link:
        return Link(captured.subject, _user(captured)), []
    if kind is DeleteUser:
        return DeleteUser(_user(captured)), []
    if kind is DeleteAccount:
        return DeleteAccount(_account(captured)), []
    if kind is AddUsersToAccount:
        return AddUsersToAccount(_account(captured), captured.subject), []
    return RemoveUsersFromAccount(_account(captured), captured.subject), []


def _user(captured: Captured) -> UserIdentified:
    if captured.user is None:
        raise Dropped(
            "no_identity",
            f"{captured.kind.operation} has no user: set one with journy_track.user(...), set_user(...) or user=",
        )
    return captured.user


def _account(captured: Captured) -> AccountIdentified:
    if captured.account is None:
        raise Dropped(
            "no_identity",
            f"{captured.kind.operation} has no account: set one with journy_track.account(...), "
            "set_account(...) or account=",
        )
    return captured.account


def never_returns_a_value(function: Any) -> bool:
    """Return whether *function* only returns `None`, as if a `return` was forgotten. False if that is not known."""
    if not inspect.isroutine(function):
        function = getattr(function, "__call__", None)  # noqa: B004
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if code is None:
        return False
    with importing:
        import dis
    steps = list(dis.get_instructions(code))
    return all(map(_returns_none, [None, *steps], steps))


def _returns_none(before: Any, step: Any) -> bool:
    """Whether the instruction *step* returns no value, or is not a return."""
    if step.opname == "RETURN_CONST":
        return step.argval is None
    if step.opname == "RETURN_VALUE":
        # A return that is a jump target may return a value from before the jump.
        only = before is not None and not step.is_jump_target
        return only and before.opname == "LOAD_CONST" and before.argval is None
    return True
