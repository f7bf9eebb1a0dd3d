"""Django Tasks in one process: Django 6's own and the package's, with the backends that both include."""

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
        # For the dummy backend, a task that a task enqueues is just another result that is never run.
        *(['{"args": ["nested"]} u1 1'] if kind == "immediate" else []),
        '{"args": [3]} u1 1',
        '{"args": [4]} u1 1',
        # A user known only by e-mail is never sent in a message; the immediate backend sends none, so it keeps the
        # user.
        f'{{"args": [5]}} {"jane@acme.com" if kind == "immediate" else None} None',
        '{"args": [6]} None None',
    ]
