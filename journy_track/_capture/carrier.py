"""The current user and account as one short text, which a message or a request carries to another process.

The text is `1.PAYLOAD`, or `1.PAYLOAD.SIGNATURE` if there is a secret: a version, JSON in URL-safe base64, and the
HMAC-SHA256 of the text before it. Every broker and every HTTP header accepts these characters.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, Final

from journy_track._capture.attributes import NO_ATTRIBUTES, UNSET, Attributes, Suppressed, Unset
from journy_track._capture.blocks import Block
from journy_track._capture.context import Change, current_attributes, in_our_own_code, in_suppressed_code, live_frame
from journy_track._capture.request import Cell, within
from journy_track._model.frozendict import FrozenDict
from journy_track._model.identity import AccountIdentified, UserIdentified
from journy_track._model.once import warn_once
from journy_track._model.secret import Secret
from journy_track._model.values import frozen_mapping, plain_metadata

#: The name of the header. It has no underscore, since proxies drop HTTP headers that contain one.
HEADER: Final = "journy-track"
VERSION: Final = "1"
#: Characters of the text. Above this, metadata is left out: servers accept about 8 KiB of headers in total.
MAX_SIZE: Final = 4096
#: Characters above which a carrier is not read.
MAX_READ: Final = 16 * 1024


class Unsigned(Exception):
    """A carrier is unsigned or was altered, although `carrier_secret` is set."""


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────


def inject(carrier: MutableMapping[str, Any], *, email: bool, secret: Secret | None) -> None:
    """Write the current context into *carrier*. Writes nothing if the context is empty. Never raises."""
    try:
        text = None if in_our_own_code() else _current_text(email, secret)
        if text is not None:
            carrier[HEADER] = text
    except Exception as error:  # noqa: BLE001 - logged: what is being sent goes out without it
        warn_once(
            "inject",
            "inject() could not write to a %s (%s): the message is sent without user and account.",
            type(carrier).__name__,
            type(error).__name__,
        )


def _current_text(email: bool, secret: Secret | None) -> str | None:
    """The current context as text; `None` if there is nothing to carry."""
    attributes = current_attributes(passed_on=True)
    # First: suppression must reach the other end, whatever else is left out.
    suppressed = {"suppressed": True} if attributes.suppressed or in_suppressed_code() else {}
    identity: dict[str, Any] = {}
    if (user := _wire_of(attributes.user, email)) is not None:
        identity["user"] = user
    if isinstance(attributes.account, AccountIdentified):
        identity["account"] = attributes.account.wire()
    metadata, _ = plain_metadata(frozen_mapping(attributes.metadata))
    if metadata:
        text = _written({**suppressed, **identity, "metadata": metadata}, secret)
        if len(text) <= MAX_SIZE:
            return text
        warn_once(
            "carrier metadata",
            "metadata of more than about %d characters is not passed on; user and account are. Set less of it around "
            "the call.",
            MAX_SIZE // 2,
        )
    if identity:
        text = _written({**suppressed, **identity}, secret)
        if len(text) <= MAX_SIZE:
            return text
        warn_once(
            "carrier size",
            "user and account are not passed on: their IDs take more than %d characters. Use shorter IDs.",
            MAX_SIZE,
        )
    return _written(suppressed, secret) if suppressed else None


def _wire_of(user: UserIdentified | Unset | None, email: bool) -> dict[str, str] | None:
    if not isinstance(user, UserIdentified):
        return None
    if email:
        return user.wire()
    if user.user_id is None:
        warn_once(
            "carrier email",
            "a user who is known by e-mail alone is not passed on: pass email=True to inject(), or to "
            "instrument_…(), if e-mail addresses may appear in messages and headers; or identify users by ID.",
        )
        return None
    return {"userId": user.user_id}


def _written(fields: dict[str, Any], secret: Secret | None) -> str:
    text = unsigned(json.dumps(fields, separators=(",", ":")))
    return text if secret is None else f"{text}.{_signature(text, secret)}"


def unsigned(payload: str) -> str:
    """The text of a carrier with *payload*, which is JSON."""
    return f"{VERSION}.{_base64(payload.encode())}"


def _signature(text: str, secret: Secret) -> str:
    import hashlib  # imported here, since it loads OpenSSL
    import hmac

    # Prefixed with the header's name, so that a signature made with the same secret for another purpose is invalid.
    signed = f"{HEADER}:{text}".encode()
    return _base64(hmac.new(secret.reveal().encode(), signed, hashlib.sha256).digest())


def _is_signed(text: str, secret: Secret) -> bool:
    from hmac import compare_digest

    signed, _, signature = text.rpartition(".")
    return compare_digest(signature, _signature(signed, secret))


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────


def extract(carrier: Mapping[str, Any], *, secret: Secret | None, on_refused: Callable[[], object]) -> Block:
    """A `scope()` with the attributes in *carrier*, as `attributes_in` returns them."""
    return Block("extract", partial(_scope_of, attributes_in(carrier, secret=secret, on_refused=on_refused)))


def _scope_of(attributes: Attributes) -> Change:
    return Change(cell=within(Cell(attributes), live_frame().cell))


def attributes_in(
    carrier: Mapping[str, Any], *, secret: Secret | None, on_refused: Callable[[], object]
) -> Attributes:
    """The attributes in *carrier*; none if it holds no header, or one that cannot be read or trusted.

    Calls *on_refused* if the header is not signed with *secret*. Never raises.
    """
    try:
        found = _found_in(carrier)
        return _read(found, secret) if found else NO_ATTRIBUTES
    except Unsigned:
        on_refused()
        warn_once(
            "carrier refused",
            "a carrier of user and account was altered, or is not signed with carrier_secret "
            "(JOURNY_CARRIER_SECRET): it is refused, and no user is set. Set the same secret wherever "
            "carriers are written and read.",
        )
    except Exception as error:  # noqa: BLE001 - logged: it comes from outside, and may be anything
        warn_once(
            "carrier",
            "a carrier of user and account could not be read (%s): no user is set.",
            type(error).__name__,
        )
    return NO_ATTRIBUTES


def _found_in(carrier: Mapping[str, Any]) -> Any:
    found = carrier.get(HEADER)
    if found is None:  # HTTP header names are case-insensitive
        found = next((carrier[key] for key in carrier if isinstance(key, str) and key.lower() == HEADER), None)
    return found


def _read(found: Any, secret: Secret | None) -> Attributes:
    text = found.decode("ascii", "replace") if isinstance(found, bytes) else found
    usable = isinstance(text, str) and text.isascii() and len(text) <= MAX_READ
    if secret is not None and not (usable and _is_signed(text, secret)):
        raise Unsigned
    if not usable:
        raise ValueError("not a carrier's text")
    version, _, rest = text.partition(".")
    payload = rest.partition(".")[0]
    if version != VERSION:
        raise ValueError("another version of the carrier")
    fields = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    user, account, metadata = fields.get("user"), fields.get("account"), fields.get("metadata")
    kind = Suppressed if fields.get("suppressed") is True else Attributes
    return kind(
        UserIdentified(user.get("userId"), user.get("email")) if user else UNSET,
        AccountIdentified(account.get("accountId"), account.get("domain")) if account else UNSET,
        FrozenDict(frozen_mapping(metadata or {})),
    )
