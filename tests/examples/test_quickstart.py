"""The README's first example, run as a separate program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from journy_track.inspector import Inspector

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.py"


def test_the_quickstart_delivers_its_two_events_when_it_ends(api: Inspector) -> None:
    subprocess.run(
        [sys.executable, str(QUICKSTART)], check=True, timeout=30, env={**os.environ, "JOURNY_BASE_URL": api.url}
    )
    user = {"userId": "u1", "email": "jane@acme.com"}
    arrived = [(event.name, event.user, event.account) for event in api.events]
    assert arrived == [
        ("signed_in", user, {"accountId": "acme"}),
        ("updated_settings", user, {"accountId": "acme"}),
    ]
    assert api.events[1].metadata == {"theme": "dark"}
