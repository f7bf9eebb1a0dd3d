"""after_commit in Django's transactions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("django", reason="runs Django's transactions")

SUITE = Path(__file__).with_name("django_transactions.py")


@pytest.mark.slow
def test_what_is_rolled_back_emits_nothing_in_any_kind_of_transaction():
    done = subprocess.run(
        [sys.executable, "-W", "error", str(SUITE)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "ran 21" in done.stdout
