"""Django Tasks in one process: Django's own, of version 6, and the package's, with the backends that both bring."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

APPS = Path(__file__).parent / "jobs"


@pytest.mark.parametrize("kind", ["immediate", "dummy"])
@pytest.mark.parametrize("package", ["django.tasks", "django_tasks"])
def test_a_task_acts_for_whoever_enqueued_it(package, kind):
    pytest.importorskip("django")
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}: Django 6, or the package")
    command = [sys.executable, "django_tasks_here.py", package, kind]
    ran = subprocess.run(command, cwd=APPS, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    *events, refused = ran.stdout.splitlines()
    assert "a Django task" in refused
    assert events == [
        '{"args": [1], "two": 2} u1 1',
        # What a task enqueues is for the dummy one more result, which nobody runs.
        *(['{"args": ["nested"]} u1 1'] if kind == "immediate" else []),
        '{"args": [3]} u1 1',
        '{"args": [4]} u1 1',
        # A user who is known by e-mail alone is in no message; the immediate backend sends none.
        f'{{"args": [5]}} {"jane@acme.com" if kind == "immediate" else None} None',
        '{"args": [6]} None None',
    ]
