"""Three samples with 40 calls each: after the migration they send the same as before."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.commands import run

from journy_track.cli.migrating.reading import VENDORS
from journy_track.cli.migrating.reading import migrate as read
from journy_track.inspector import Inspector

from .sent import Sent

HERE = Path(__file__).parent
VERBS = {
    "segment": "track identify group page alias flush shutdown",
    "posthog": (
        "capture set set_once group_identify alias flush shutdown feature_enabled new_context identify_context"
    ),
    "journyio": (
        "add_event upsert_user upsert_account add_users_to_account remove_users_from_account link delete_user "
        "delete_account get_api_key_details"
    ),
}


def calls(folder: Path, vendor: str) -> set[tuple[str, int]]:
    """Return the file and line of each call of a verb."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in VERBS[vendor].split():
                    found.add((path.name, node.lineno))
    return found


@pytest.fixture(params=["segment", "posthog", "journyio"])
def vendor(request) -> str:
    return request.param


@pytest.fixture
def sample(vendor: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(HERE / "samples" / vendor, tmp_path / vendor))


@pytest.fixture
def sent(vendor: str, api: Inspector) -> Callable[[Path], Sent]:
    """Return a function that runs the code in a folder and returns all that was sent, by whichever library."""

    def run_it(folder: Path) -> Sent:
        api.reset()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("JOURNY_", "PYTHON"))}
        done = subprocess.run(
            [sys.executable, str(HERE / "recording.py"), vendor, str(folder)],
            env={
                **kept,
                "JOURNY_API_KEY": "a-key",
                "JOURNY_BASE_URL": api.url,
                "JOURNY_ROOT_URL": api.url,
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "left out" not in done.stderr
        assert all(200 <= request.status < 300 for request in api.requests)
        return getattr(Sent(), vendor)(json.loads(done.stdout)).requests(api.requests).sorted()

    return run_it


def test_each_call_is_changed_or_listed(vendor: str, sample: Path):
    found = read(VENDORS[vendor], [sample])
    changed = {(file.path.name, one.line) for file in found.files for one in file.changed}
    left = {(file.path.name, one.line) for file in found.files for one in file.left}
    there = calls(sample, vendor)
    assert len(there) >= 40
    assert there <= changed | left
    assert len(there & changed) >= 30
    assert not there & changed & left
    assert all(one.reasons and (one.instead or one.written) for one in found.left)


@pytest.mark.slow
def test_it_sends_the_same_after_the_move(vendor: str, sample: Path, sent: Callable[[Path], Sent]):
    before = sent(sample)
    assert len(before.events) >= 20
    assert before.users
    assert before.accounts
    result = run("migrate", "--from", vendor, "--write", sample)
    assert result.exit_code == 0, result.output
    calls_of_theirs = len(calls(sample, vendor))
    assert sent(sample) == before
    assert calls_of_theirs > 0  # the calls that are left work as before


def test_moving_twice_changes_nothing_more(vendor: str, sample: Path):
    assert run("migrate", "--from", vendor, "--write", sample).exit_code == 0
    once = {path: path.read_bytes() for path in sample.rglob("*.py")}
    again = run("migrate", "--from", vendor, "--write", sample)
    assert {path: path.read_bytes() for path in sample.rglob("*.py")} == once
    assert "Changed 0 statements" in again.stderr


def test_a_report_changes_nothing(vendor: str, sample: Path):
    before = {path: path.read_bytes() for path in sample.rglob("*.py")}
    result = run("migrate", "--from", vendor, sample)
    assert {path: path.read_bytes() for path in sample.rglob("*.py")} == before
    assert "+import journy_track" in result.stdout
    assert "Left to you: " in result.stdout
