"""A machine that looks like Windows to this library: see `machine/sitecustomize.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

MACHINE = Path(__file__).with_name("machine")


@pytest.fixture
def windows(tmp_path: Path) -> dict[str, str]:
    """Return the environment variables of a program on that machine."""
    if sys.platform != "linux":
        pytest.skip("the machine is made of what Linux has: see /proc")
    processes = tmp_path / "processes"
    processes.mkdir()
    return {
        "PYTHONPATH": str(MACHINE),
        "PYTHONIOENCODING": "cp1252",  # for streams that are not a console
        "PYTHONWARNDEFAULTENCODING": "1",
        "WINDOWS_PROCESSES": str(processes),
    }
