"""Refusing to send while a test suite runs, since its data would be taken for real."""

from __future__ import annotations

import sys

from journy_track._model.config import is_this_machine
from journy_track._model.errors import NotSent


class Forbidden(NotSent):
    """Sending there is not allowed, so retrying is useless."""


def refused_in_tests(host: str) -> str | None:
    """Why nothing may be sent to *host* now; `None` if sending is allowed."""
    plugin = sys.modules.get("pytest_journy_track")
    if plugin is None or plugin.live or is_this_machine(host):
        return None
    return (
        f"sending to {host} is refused while pytest runs: use the fixture journy_events, point base_url at a local "
        "inspector or broker at this machine, or set journy_live = true in the settings of pytest"
    )
