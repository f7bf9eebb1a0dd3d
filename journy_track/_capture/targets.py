"""Checks of the user or account that an item is about, and what is usable of a call with wrong values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from journy_track._capture.attributes import UNSET
from journy_track._capture.context import current_context, live_frame
from journy_track._capture.inputs import account_of, check_mapping, user_of
from journy_track._capture.own_code import uncaptured
from journy_track._model.arguments import check_flag, member, membership_users, moment, text
from journy_track._model.call import ApiCall
from journy_track._model.errors import InvalidArgument, described
from journy_track._model.identity import AccountIdentified, UserIdentified, exact_text, with_domain, with_email
from journy_track._model.items import DeleteAccount, DeleteUser, Event, Link, UpsertAccount, UpsertUser

T = TypeVar("T")
#: Subject, user and account of an item. An identity is `UNSET` if it comes from the context.
Target = tuple[Any, Any, Any]
#: Called as ``attempt(argument, otherwise, check, *values)``: checks the values of an argument, and returns
#: *otherwise* if they are unusable.
Attempt = Callable[..., Any]


def at_once(argument: str, otherwise: Any, check: Callable[..., Any], *values: Any) -> Any:
    """An `Attempt` that lets the check raise."""
    return check(*values)


def target_of(
    kind: type[ApiCall], subject: Any, user: Any, account: Any, named: Any, attempt: Attempt = at_once
) -> Target | None:
    """The checked target of an item; `None` if there is nothing to do. Raises `InvalidArgument`.

    *subject* is an event's name, a device ID, the users of a membership, or the e-mail or domain of an upsert;
    *named* is the ID passed to an upsert. If the user or account of an upsert comes from the context, the address
    stays its subject.
    """
    if kind is UpsertUser:
        if user is UNSET and named is UNSET and subject is None:  # as most are
            return "", UNSET, None
        whose, email = attempt("user", (None, ""), _named_user, user, named, subject)
        return email, whose, None
    if kind is Event:
        name = attempt("name", "", text, subject, "name")
        return name, _context_or(user, "user", user_of, attempt), _context_or(account, "account", account_of, attempt)
    if kind is UpsertAccount:
        where, domain = attempt("account", (None, ""), _named_account, account, named, subject)
        return domain, None, where
    if kind is Link:
        if attempt("device_id", False, _is_nothing, subject):
            return None
        device = attempt("device_id", "", text, subject, "device_id")
        return device, _context_or(user, "user", user_of, attempt), None
    if kind is DeleteUser:
        return "", attempt("user", None, _needed, user_of, user, "user"), None
    where = attempt("account", None, _needed, account_of, account, "account")
    if kind is DeleteAccount:
        return "", None, where
    if not subject:
        return None
    if attempt is at_once:
        return uncaptured(membership_users, subject), None, where  # an ID type creates its own text
    members = (attempt("a user", None, member, user) for user in subject)
    return tuple(one for one in members if one is not None), None, where


def _context_or(value: Any, argument: str, of: Callable[[Any], Any], attempt: Attempt) -> Any:
    return UNSET if value is UNSET else attempt(argument, None, of, value)


def _needed(of: Callable[[Any], T | None], value: Any, argument: str) -> T:
    found = of(value)
    if found is None:
        raise InvalidArgument(f"{argument} is required and must not be None: this call ignores the context")
    return found


def _is_nothing(device: Any) -> bool:
    if device is None or type(device) is str:
        return not device
    return uncaptured(lambda: bool(device == ""))


def _named_user(user: Any, user_id: Any, email: Any) -> tuple[Any, str]:
    address = _address(email, "email")
    if user_id is not UNSET:
        if user is not UNSET:
            raise InvalidArgument("user= and user_id= name the same thing: pass one of them")
        return (user_of(user_id, address) if user_id is not None or address else None), ""
    return (UNSET, address) if user is UNSET else (with_email(user_of(user), address), "")


def _named_account(account: Any, account_id: Any, domain: Any) -> tuple[Any, str]:
    address = _address(domain, "domain")
    if account_id is not UNSET:
        if account is not UNSET:
            raise InvalidArgument("account= and account_id= name the same thing: pass one of them")
        return (account_of(account_id, address) if account_id is not None or address else None), ""
    return (UNSET, address) if account is UNSET else (with_domain(account_of(account), address), "")


def _address(value: Any, argument: str) -> str:
    if value is None:
        return ""
    if type(value) is not str and not issubclass(type(value), str):
        raise InvalidArgument(f"{argument} must be a str, got {described(value)}")
    return exact_text(value)


# ── What is left of a call that got wrong values ─────────────────────────────────────────────────────────

#: The arguments without which an item of each kind is meaningless.
_NEEDED = {
    Event: {"name"},
    UpsertUser: {"user"},
    UpsertAccount: {"account"},
    Link: {"device_id", "user"},
    DeleteUser: {"user"},
    DeleteAccount: {"account"},
}
_MEMBERSHIP = {"account"}


@dataclass(frozen=True, slots=True)
class Left:
    """The usable part of a call. Without a *target*, nothing is worth sending."""

    target: Target | None
    mapping: Any
    after_commit: bool
    at: datetime | None
    #: The arguments that cannot be used.
    unusable: tuple[str, ...]

    @property
    def without(self) -> str:
        return " and ".join(dict.fromkeys(self.unusable))


def salvaged(
    kind: type[ApiCall],
    subject: Any,
    mapping: Any,
    user: Any,
    account: Any,
    named: Any,
    after_commit: Any,
    happened_at: Any,
) -> Left:
    """The usable part of these arguments. Never raises because of their values.

    A user or account that was passed is never replaced by that of the context, which may be a different one.
    """
    unusable: list[str] = []

    def attempt(argument: str, otherwise: Any, check: Callable[..., Any], *values: Any) -> Any:
        try:
            return check(*values)
        except Exception:  # noqa: BLE001 - contained: the first one is logged by the caller
            unusable.append(argument)
            return otherwise

    found = target_of(kind, subject, user, account, named, attempt)
    if kind in (UpsertUser, UpsertAccount) and unusable:  # perhaps only the address is unusable
        of, word, address = (
            (_named_user, "user", "email") if kind is UpsertUser else (_named_account, "account", "domain")
        )
        unusable.clear()
        who, _ = attempt(word, (None, ""), of, user if kind is UpsertUser else account, named, None)
        found = ("", who, None) if kind is UpsertUser else ("", None, who)
        unusable.append(address)
    at = None if happened_at is None else attempt("happened_at", None, moment, happened_at, "happened_at")
    waits = attempt("after_commit", _is_true(after_commit), check_flag, after_commit, "after_commit")
    if mapping is not None and attempt("the mapping", True, check_mapping, mapping):
        if _may_be_an_id(mapping) and (account if kind is UpsertAccount else user) is UNSET and named is UNSET:
            found = None  # it was probably meant as the user or account, which may not be that of the context
        mapping = None
    needed = _NEEDED.get(kind, _MEMBERSHIP)
    if found is not None and (needed & set(unusable) or found[0] == ()):
        found = None
    if kind is Event and found is not None and {"user", "account"} & set(unusable) and not _anybody(*found[1:]):
        found = None
    return Left(found, mapping, waits, at, tuple(unusable))


def _is_true(value: Any) -> bool:
    """The meaning of a value that is not a flag. In doubt it is true: the item waits for a commit, if one comes."""
    try:
        return bool(value)
    except Exception:  # noqa: BLE001 - the app's own code
        return True


def _may_be_an_id(value: Any) -> bool:
    return type(value) in (str, int, UUID, UserIdentified, AccountIdentified)


def _anybody(user: Any, account: Any) -> bool:
    """Whether an event with these has a user or account, as far as is known now."""
    if isinstance(user, UserIdentified) or isinstance(account, AccountIdentified):
        return True
    cell = live_frame().cell
    if cell is not None and cell.pending is not None and cell.pending.finds_actor:
        return True  # looked up later
    here = current_context()
    return (user is UNSET and here.user is not None) or (account is UNSET and here.account is not None)
