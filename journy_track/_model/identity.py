"""Identities of users and accounts."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import date, time, timedelta
from enum import Enum
from operator import index
from typing import Any, Self, TypeAlias
from uuid import UUID

from journy_track._model.errors import InvalidArgument, described
from journy_track._model.once import warn_once
from journy_track._model.secret import Secret, hidden

#: What is accepted as an ID: strings, integers, UUIDs, and ID types with their own text form.
Identifier: TypeAlias = str | int | UUID | Any

# A type with one of these attributes is a record, not an ID: its text (a name, an e-mail) would become the ID.
_RECORD_MARKS = (
    "pk",
    "id",
    "__table__",
    "__mapper__",
    "model_fields",
    "__fields__",
    "__dataclass_fields__",
    "_fields",
)
_NUMBERS_AND_TIMES = (bool, float, complex, date, time, timedelta)
_NO_IDS = (*_NUMBERS_AND_TIMES, bytes, bytearray, memoryview, list, tuple, set, frozenset, dict, type)


@dataclass(frozen=True, slots=True, init=False)
class UserIdentified:
    """A user, identified by *user_id* (a static database ID), *email*, or both.

    If there is an ID, an empty or malformed e-mail is left out. Raises `InvalidArgument` if neither is usable.
    """

    user_id: str | None
    email: str | None

    def __init__(self, user_id: Identifier | None = None, email: str | None = None) -> None:
        key = None if user_id is None else identifier(user_id, "user_id")
        address = _beside(email, "email", has_id=key is not None, accepts=is_email)
        if key is None and address is None:
            raise InvalidArgument("a user needs a user_id, an email, or both: neither was given")
        object.__setattr__(self, "user_id", key)
        object.__setattr__(self, "email", address)

    @classmethod
    def by_user_id(cls, user_id: Identifier) -> Self:
        """The user with this database ID. Raises `InvalidArgument` if it is empty."""
        return cls(user_id=_required(user_id, "user_id"))

    @classmethod
    def by_email(cls, email: str) -> Self:
        """The user with this e-mail address. Raises `InvalidArgument` if it is empty or malformed."""
        return cls(email=_required(email, "email"))

    def wire(self) -> dict[str, str]:
        """The form that the API uses: ``{"userId": …, "email": …}``, without unknown parts."""
        if self.email is None:
            return {"userId": self.user_id or ""}
        return {"email": self.email} if self.user_id is None else {"userId": self.user_id, "email": self.email}

    def same_as(self, other: UserIdentified) -> bool:
        """Whether both are the same user: equal IDs or, if one has no ID, equal e-mails as given."""
        if self.user_id is not None and other.user_id is not None:
            return self.user_id == other.user_id
        return self.email is not None and self.email == other.email


@dataclass(frozen=True, slots=True, init=False)
class AccountIdentified:
    """An account, identified by *account_id* (a static database ID), *domain*, or both.

    If there is an ID, an empty or malformed domain is left out. Raises `InvalidArgument` if neither is usable.
    """

    account_id: str | None
    domain: str | None

    def __init__(self, account_id: Identifier | None = None, domain: str | None = None) -> None:
        key = None if account_id is None else identifier(account_id, "account_id")
        host = _beside(domain, "domain", has_id=key is not None, accepts=is_domain)
        if key is None and host is None:
            raise InvalidArgument("an account needs an account_id, a domain, or both: neither was given")
        object.__setattr__(self, "account_id", key)
        object.__setattr__(self, "domain", host)

    @classmethod
    def by_account_id(cls, account_id: Identifier) -> Self:
        """The account with this database ID. Raises `InvalidArgument` if it is empty."""
        return cls(account_id=_required(account_id, "account_id"))

    @classmethod
    def by_domain(cls, domain: str) -> Self:
        """The account with this domain. Raises `InvalidArgument` if it is empty or malformed."""
        return cls(domain=_required(domain, "domain"))

    def wire(self) -> dict[str, str]:
        """The form that the API uses: ``{"accountId": …, "domain": …}``, without unknown parts."""
        if self.domain is None:
            return {"accountId": self.account_id or ""}
        known = {"domain": self.domain}
        return known if self.account_id is None else {"accountId": self.account_id, **known}

    def same_as(self, other: AccountIdentified) -> bool:
        """Whether both are the same account: equal IDs or, if one has no ID, equal domains as given."""
        if self.account_id is not None and other.account_id is not None:
            return self.account_id == other.account_id
        return self.domain is not None and self.domain == other.domain


def verification_hash(identifier: Identifier, secret: str) -> str:
    """The hash for identity verification in the web snippet: hex HMAC-SHA256 of the user or account ID.

    *secret* is the website's secret in journy.io, not the API key. Raises `InvalidArgument` for an empty secret, and
    for a value that cannot be an ID. The algorithm is that of the official SDKs.
    """
    secret = hidden(secret)  # first: no error report must show it
    if not isinstance(secret, Secret) or not secret.reveal():
        raise InvalidArgument("secret must be the website's secret, a str that is not empty")
    text = _identifier_text(identifier, "identifier")
    import hashlib  # imported here, since it loads OpenSSL
    import hmac

    return hmac.new(secret.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()


def identifier(value: Identifier, argument: str) -> str:
    """*value* as the text of an ID. Raises `InvalidArgument` naming *argument*."""
    text = _identifier_text(value, argument)
    if "@" in text and is_email(text):
        warn_once(
            "email as ID",
            "%s looks like an e-mail address: IDs should be static database IDs; pass an address as email= instead.",
            argument,
        )
    return text


def _identifier_text(value: Identifier, argument: str) -> str:
    try:
        text = _own_text(value)
    except Exception:  # noqa: BLE001 - the app's own code ran; handed on as what it means: there is no ID
        text = None
    if text is None:
        raise _not_an_id(value, argument)
    text = well_formed(text)
    if not text or text.isspace():
        raise InvalidArgument(f"{argument} is empty: pass a database ID, or None")
    return text


def _own_text(value: Any) -> str | None:
    """The text of an ID; `None` if *value* is not an ID."""
    kind: Any = type(value)
    if kind is str or kind is int:
        return str(value)
    if is_mock(kind):  # its __index__ is 1, so every mock would be user 1
        return None
    if isinstance(value, Enum):
        return _own_text(value.value)
    if isinstance(value, str):
        return exact_text(value)
    if isinstance(value, UUID):
        return str(value)
    # Check both types: Django's request.user and Flask's current_user have the model only as their __class__.
    if isinstance(value, _NO_IDS) or any(hasattr(k, m) for k in (kind, value.__class__) for m in _RECORD_MARKS):
        return None
    if hasattr(kind, "__index__"):
        return str(index(value))
    if hasattr(kind, "__float__") or kind.__str__ in (object.__str__, BaseException.__str__):
        return None
    return str(value)


def _not_an_id(value: object, argument: str) -> InvalidArgument:
    return InvalidArgument(
        f"{argument} must be an ID (str, int, UUID or an ID type with a text form), "
        f"got {described(value)}: pass the database ID itself, as in user.id"
    )


def _required(value: Any, argument: str) -> Any:
    if value is None or (isinstance(value, str) and not value):
        raise InvalidArgument(f"{argument} is required and must not be empty")
    return value


def _beside(value: str | None, argument: str, *, has_id: bool, accepts: Any) -> str | None:
    """A checked e-mail or domain; `None` if it is unusable and there is an ID (Django's default e-mail is "")."""
    if value is None:
        return None
    if isinstance(value, str):
        text = well_formed(exact_text(value))
        if accepts(text):
            return text
    elif not has_id or isinstance(value, (bool, int, float, bytes, list, dict)):
        raise InvalidArgument(f"{argument} must be a str, got {described(value)}")
    if has_id:
        return None
    if not value:
        raise InvalidArgument(f"{argument} is empty, and no ID was given")
    raise InvalidArgument(f"{argument} is malformed ({described(value)}), and no ID was given")


def with_email(user: UserIdentified | None, email: str) -> UserIdentified | None:
    """*user* with this address, unless it is empty, or malformed and there is an ID. Raises `InvalidArgument`."""
    if not email or user is None or user.user_id is None:
        if email and user is not None and user.email != email:
            raise InvalidArgument("email differs from the user's own: identify the user by user_id=")
        return UserIdentified(email=email) if email else user
    named = UserIdentified(user.user_id, email)
    return user if named.email is None else named


def with_domain(account: AccountIdentified | None, domain: str) -> AccountIdentified | None:
    """*account* with this domain, unless it is empty, or malformed and there is an ID. Raises `InvalidArgument`."""
    if not domain or account is None or account.account_id is None:
        if domain and account is not None and account.domain != domain:
            raise InvalidArgument("domain differs from the account's own: identify the account by account_id=")
        return AccountIdentified(domain=domain) if domain else account
    named = AccountIdentified(account.account_id, domain)
    return account if named.domain is None else named


def is_mock(kind: type) -> bool:
    """Whether objects of that type are mocks, which are accepted neither as IDs nor as values."""
    for name in ("unittest.mock", "mock"):
        base = getattr(sys.modules.get(name), "NonCallableMock", None)
        if isinstance(base, type) and issubclass(kind, base):
            return True
    return False


def is_email(text: str) -> bool:
    """Whether *text* looks like an e-mail address: a local part, one @, a domain, and no white space."""
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain or len(text) > 320 or text.isspace():
        return False
    if any(c.isspace() or not c.isprintable() for c in text):
        return False
    return "@" not in local and not domain.startswith(".") and not domain.endswith(".") and ".." not in domain


def is_domain(text: str) -> bool:
    """Whether *text* looks like a domain: labels, without white space, scheme or path."""
    if not text or len(text) > 253 or text.startswith(".") or ".." in text:
        return False
    return not any(c.isspace() or not c.isprintable() or c in "/@:?#\\" for c in text)


def exact_text(text: object) -> str:
    """*text* as an exact `str` with its characters, whatever its __str__ returns. Accepts lazy text, too."""
    return str.__str__(text if issubclass(type(text), str) else str(text))


def well_formed(text: str) -> str:
    """*text* as valid Unicode: surrogate pairs are joined, and lone surrogates become U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
