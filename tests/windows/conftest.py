"""A machine that looks like one with Windows to this library: see `machine/sitecustomize.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

MACHINE = Path(__file__).with_name("machine")


@pytest.fixture
def windows(tmp_path: Path) -> dict[str, str]:
    """The variables with which a program runs there."""
    if sys.platform != "linux":
        pytest.skip("the machine is made of what Linux has: see /proc")
    processes = tmp_path / "processes"
    processes.mkdir()
    return {
        "PYTHONPATH": str(MACHINE),
        "PYTHONIOENCODING": "cp1252",  # of what is not a console
        "PYTHONWARNDEFAULTENCODING": "1",
        "WINDOWS_PROCESSES": str(processes),
    }
