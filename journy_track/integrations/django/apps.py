"""What `INSTALLED_APPS` takes: the command `journy_sync`, the system check, and events by signals."""

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
    """The app of this library.

        INSTALLED_APPS += ["journy_track.integrations.django"]
        JOURNY = {"sync": {"accounts": "shop.tracking.accounts", "state": BASE_DIR / "journy.state"}}
        JOURNY |= {"events": {"user_logged_in": "signed_in", "user_created": "signed_up"}}

    It brings ``manage.py journy_sync [accounts|users] [--dry-run] [--all]``, which exits with 1 when not everything
    was delivered. *sync* has the paths of functions that yield the rows of `sync_accounts()` (*accounts*) and
    `sync_users()` (*users*), and may have their arguments *state*, *share*, *max_age* and *patience*. A queryset's
    ``.iterator(chunk_size=2000)`` keeps the memory flat.

    *events*, off by default, has the names of signals and of the events that they send, after the commit:
    `user_logged_in` and `user_logged_out` of Django, `user_created` when the user model is saved for the first time
    (but for fixtures), and the signals of ``allauth.account.signals`` where that app is installed, such as
    `user_signed_up`. Their user is the primary key and e-mail, or at a log-in and log-out what `JOURNY["user"]`
    returns. An unknown signal raises Django's `ImproperlyConfigured` at start-up.

    ``manage.py check`` names what is wrong with `JOURNY`: unknown keys, with the nearest known one, and paths that
    cannot be imported. With ``--deploy`` it warns where there is no key, and so nothing is tracked.
    """

    name = "journy_track.integrations.django"
    label = "journy_track"
    verbose_name = "journy.io"

    def ready(self) -> None:
        """Register the check, and connect what `JOURNY["events"]` names: by default nothing."""
        register(check_settings, "journy")
        register(check_key, "journy", deploy=True)
        journy = getattr(settings, "JOURNY", {})
        if isinstance(journy, Mapping):
            connect(journy)
