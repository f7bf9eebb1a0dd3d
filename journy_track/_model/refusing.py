"""What is refused while a test suite runs: its data would be taken for real."""

from __future__ import annotations

import sys

from journy_track._model.config import is_this_machine
from journy_track._model.errors import NotSent


class Forbidden(NotSent):
    """It may not be sent there, so that it is of no use to try again."""


def refused_in_tests(host: str) -> str | None:
    """Why nothing is sent to *host* now; `None` where it may be."""
    plugin = sys.modules.get("pytest_journy_track")
    if plugin is None or plugin.live or is_this_machine(host):
        return None
    return (
        f"sending to {host} is refused while pytest runs: use the fixture journy_events, point base_url at a local "
        "inspector or broker at this machine, or set journy_live = true in the settings of pytest"
    )
