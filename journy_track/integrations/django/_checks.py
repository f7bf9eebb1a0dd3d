"""Django system checks of the `JOURNY` setting and of the key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - as Django calls it
from django.core.exceptions import ImproperlyConfigured

from journy_track._runtime import get_tracker
from journy_track.integrations.django._settings import (
    FUNCTIONS,
    OPTIONS,
    SYNCED,
    function_of,
    keys_of,
    rows_of,
    sync_of,
)


def check_settings(app_configs: Any = None, **_: Any) -> list[CheckMessage]:
    """Report unknown keys in `JOURNY`, and paths that cannot be imported."""
    journy = getattr(settings, "JOURNY", {})
    found: list[CheckMessage] = []

    def tried(function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except ImproperlyConfigured as error:
            found.append(Error(str(error), id="journy_track.E001"))
            return None

    tried(keys_of, "JOURNY", journy, OPTIONS)
    if isinstance(journy, Mapping):
        for option in FUNCTIONS:
            if journy.get(option) is not None and (option, journy[option]) != ("trust", "signed"):
                tried(function_of, f"JOURNY[{option!r}]", journy[option])
        sync = tried(sync_of, journy) or {}
        for what in SYNCED:
            if what in sync:
                tried(rows_of, sync, what)
    return found


def check_key(app_configs: Any = None, **_: Any) -> list[CheckMessage]:
    """Warn if a production site would deliver nothing. Runs with `manage.py check --deploy`."""
    tracker = get_tracker()
    if tracker is None:
        return [
            Warning(
                "journy_track is not configured: nothing is tracked.",
                hint="Call journy_track.configure() in the settings.",
                id="journy_track.W001",
            )
        ]
    if tracker.config.enabled and not tracker.enabled:
        return [
            Warning(
                "journy_track has no key: nothing is tracked.",
                hint="Set JOURNY_API_KEY or JOURNY_WRITE_KEY, or JOURNY_ENABLED=0 if that is intended.",
                id="journy_track.W002",
            )
        ]
    return []
