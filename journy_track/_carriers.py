"""Pass the current user and account to another process: `inject()` and `extract()`, using `carrier_secret`."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from typing import Any

from journy_track._capture import carrier as carrying
from journy_track._capture.attributes import NO_ATTRIBUTES, Attributes
from journy_track._capture.blocks import Block
from journy_track._capture.context import request_cell
from journy_track._model.once import warn_once
from journy_track._model.secret import Secret
from journy_track._runtime import get_tracker


def inject(carrier: MutableMapping[str, Any], *, email: bool = False) -> None:
    """Write the current user, account and metadata into *carrier*, for the process that continues the work.

    *carrier* is a mapping of headers with text values: the headers of a message, a job, or a request to one of your
    own services. One header is added, `journy-track`, of at most 4096 ASCII characters; if it would be longer,
    metadata is left out and a warning is logged. It holds IDs (and a domain), and the user's e-mail address only with
    *email*. With `carrier_secret` it is signed, but not encrypted. If it is written in a `suppressed()` block or in a
    skipped request, the receiving end tracks nothing either. Without a user, account or metadata, nothing is written.
    Never raises.
    """
    carrying.inject(carrier, email=email, secret=_carrier_secret())


def extract(carrier: Mapping[str, Any]) -> Block:
    """A `scope()` with the user and account in *carrier*, as a `with` block or a decorator: reverses `inject()`.

    Header names are matched case-insensitively. If there is no such header, or it cannot be read, no user is set.
    With `carrier_secret`, a header that is unsigned or altered is refused, counted (`stats().carriers_refused`) and
    logged once. Never raises.

    Without `carrier_secret`, anyone who can write the header decides who the user is: read it from your own queues,
    never from external requests.
    """
    return carrying.extract(carrier, secret=_carrier_secret(), on_refused=_carrier_refused)


def fill_scope(carrier: Mapping[str, Any]) -> None:
    """Set the contents of *carrier* in the enclosing `scope()`, for a job that is read after the scope was opened."""
    found = carrying.attributes_in(carrier, secret=_carrier_secret(), on_refused=_carrier_refused)
    cell = request_cell()
    cell.set(found.user, found.account, dict(found.metadata))
    if found.suppressed:
        cell.set_actor(found)


def received(carrier: Mapping[str, Any], *, signed: bool) -> Attributes:
    """The attributes in a request's *carrier*. *signed*: only if it is signed and `carrier_secret` is set."""
    secret = _carrier_secret()
    if signed and secret is None:
        warn_once(
            "trust signed",
            'trust="signed" without carrier_secret (JOURNY_CARRIER_SECRET): no carrier in a request is trusted. Set '
            "the secret that the sender signs with.",
        )
        return NO_ATTRIBUTES
    if carrier.get(carrying.HEADER) is None:
        return NO_ATTRIBUTES
    return carrying.attributes_in(carrier, secret=secret, on_refused=_carrier_refused)


def _carrier_secret() -> Secret | None:
    tracker = get_tracker()
    if tracker is not None:
        return tracker.config.carrier_secret
    # Before configure(), a secret in the environment already applies.
    text = Secret(os.environ.get("JOURNY_CARRIER_SECRET", "").rstrip("\r\n"))
    return text if text.reveal() else None


def _carrier_refused() -> None:
    tracker = get_tracker()
    if tracker is not None:
        tracker.count_refused_carrier()
