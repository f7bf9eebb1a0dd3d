"""`JOURNY["events"]`: events tracked on the signals of Django's authentication and of allauth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from django.apps import apps
from django.conf import settings
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.exceptions import ImproperlyConfigured
from django.db.models.signals import post_save
from django.dispatch import Signal

from journy_track._runtime import track
from journy_track.integrations.django._settings import keys_of
from journy_track.integrations.django._user import identified

#: Signals that are sent while the request's user is the user they concern.
_OF_THE_REQUEST = {"user_logged_in": user_logged_in, "user_logged_out": user_logged_out}
_REASONS = {
    "user_login_failed": "it has no user: anyone can type anyone's name",
    "user_signed_up": "it is a signal of allauth: without 'allauth.account' in INSTALLED_APPS, use 'user_created'",
}


class Wanted(NamedTuple):
    """An event to track on a signal. *by_request*: its user is the one that `JOURNY["user"]` returns."""

    name: str
    signal: Signal
    event: str
    by_request: bool


def signals_of(journy: Any) -> list[Wanted]:
    """Return what `JOURNY["events"]` asks for. Raises `ImproperlyConfigured` for an invalid signal or event."""
    known = {"user_created": post_save, **_signals_of_allauth(), **_OF_THE_REQUEST}
    given = journy.get("events") or {}
    for name, reason in _REASONS.items():
        if isinstance(given, Mapping) and name in given and name not in known:
            raise ImproperlyConfigured(f"JOURNY['events'] has no key {name!r}: {reason}")
    wanted = []
    for name, event in keys_of("JOURNY['events']", given, known).items():
        if not isinstance(event, str) or not event.strip():
            raise ImproperlyConfigured(f"JOURNY['events'][{name!r}] must be the name of an event; got {event!r}")
        by_request = journy.get("user") is not None
        if by_request and name not in _OF_THE_REQUEST:
            raise ImproperlyConfigured(
                f"JOURNY['events'][{name!r}] cannot be combined with JOURNY['user']: the request's user is not the "
                "one it concerns. Call journy_track.track() in your own receiver"
            )
        wanted.append(Wanted(name, known[name], event, by_request))
    return wanted


def _signals_of_allauth() -> dict[str, Signal]:
    if not apps.is_installed("allauth.account"):
        return {}
    found = vars(import_module("allauth.account.signals"))
    return {name: signal for name, signal in found.items() if isinstance(signal, Signal)}


def connect(journy: Any) -> None:
    """Connect the signals in `JOURNY["events"]`, so that each of them tracks its event."""
    for wanted in signals_of(journy):
        options: dict[str, Any] = {"dispatch_uid": f"journy_track.{wanted.name}", "weak": False}
        if wanted.signal is post_save:
            options["sender"] = settings.AUTH_USER_MODEL
        wanted.signal.connect(_receiver(wanted), **options)


def _receiver(wanted: Wanted) -> Callable[..., None]:
    def receive(sender: Any, **given: Any) -> None:
        if given.get("raw") or given.get("created") is False:  # a fixture, or an update of an existing user
            return
        user = _user_in(given)
        if user is None:  # nobody was signed in
            return
        # If the transaction is rolled back, the sign-in or sign-up did not happen.
        if wanted.by_request:
            track(wanted.event, after_commit=True)
        else:
            track(wanted.event, user=identified(user), after_commit=True)

    return receive


def _user_in(given: dict[str, Any]) -> Any:
    for name in ("user", "instance"):
        if given.get(name) is not None:
            return given[name]
    return getattr(given.get("email_address"), "user", None)
