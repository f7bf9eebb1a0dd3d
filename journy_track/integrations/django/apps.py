"""The Django app for `INSTALLED_APPS`: the `journy_sync` command, the system checks, and events on signals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.checks import register

from journy_track.integrations.django._checks import check_key, check_settings
from journy_track.integrations.django._events import connect

if TYPE_CHECKING:  # Django has no types: this class would have none either
    AppConfig = object
else:
    from django.apps import AppConfig


class JournyConfig(AppConfig):
    """The Django app of this library.

        INSTALLED_APPS += ["journy_track.integrations.django"]
        JOURNY = {"sync": {"accounts": "shop.tracking.accounts", "state": BASE_DIR / "journy.state"}}
        JOURNY |= {"events": {"user_logged_in": "signed_in", "user_created": "signed_up"}}

    It provides ``manage.py journy_sync [accounts|users] [--dry-run] [--all]``, which exits with 1 if not everything
    was delivered. *sync* contains the paths of functions that yield the rows for `sync_accounts()` (*accounts*) and
    `sync_users()` (*users*), and optionally their arguments *state*, *share*, *max_age* and *patience*. A queryset's
    ``.iterator(chunk_size=2000)`` keeps memory use flat.

    *events*, empty by default, maps signals to the events that are tracked for them after the commit. The signals are
    Django's `user_logged_in` and `user_logged_out`, `user_created` for the first save of the user model (except from
    fixtures), and those of ``allauth.account.signals`` if that app is installed, such as `user_signed_up`. The user
    of these events is the primary key and e-mail or, at login and logout, what `JOURNY["user"]` returns. An unknown
    signal raises Django's `ImproperlyConfigured` at startup.

    ``manage.py check`` reports errors in `JOURNY`: unknown keys, with the nearest known one, and paths that cannot be
    imported. With ``--deploy`` it also warns if there is no key, and so nothing is tracked.
    """

    name = "journy_track.integrations.django"
    label = "journy_track"
    verbose_name = "journy.io"

    def ready(self) -> None:
        """Register the checks and connect the signals in `JOURNY["events"]`, by default none."""
        register(check_settings, "journy")
        register(check_key, "journy", deploy=True)
        journy = getattr(settings, "JOURNY", {})
        if isinstance(journy, Mapping):
            connect(journy)
