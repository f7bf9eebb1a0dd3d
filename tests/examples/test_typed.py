"""The sample product and the examples use typed events: type checkers and the catalog find a misspelt field."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cli.commands import run, words

ROOT = Path(__file__).parents[2]
#: Files that track with a field. The script for the screenshot computes its names at run time.
FILES = sorted(
    path
    for path in [*(ROOT / "examples").rglob("*.py"), ROOT / "journy_track" / "cli" / "sample.py"]
    if re.search(r"\w\(\w+=.*\)\.track\(\)|@track_event\(\w", path.read_text(encoding="utf-8"))
)
#: An event that is created with a keyword field.
MADE = re.compile(r"(?<!class )\b([A-Z]\w+)\((\w)(\w*)=(?=.*\)(\.track\(|$))", re.MULTILINE)


def name_of(path: Path) -> str:
    return "_".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.fixture
def misspelt(tmp_path):
    """Writes each file with one misspelt field, under a separate name. Returns the folder, and the fields by file."""
    fields = {}
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        found = next(one for one in MADE.finditer(text) if f"class {one[1]}(" in everything(path))
        wrong = f"{found[2]}{found[2]}{found[3]}"
        text = f"{text[: found.start()]}{found[1]}({wrong}={text[found.end() :]}"
        (tmp_path / f"{name_of(path)}.py").write_text(text, encoding="utf-8")
        fields[f"{name_of(path)}.py"] = wrong
    for events in ("examples/django/shop/events.py", "examples/shop_jobs/tracking.py"):
        target = tmp_path / Path(events).relative_to(f"examples/{Path(events).parts[1]}")
        target.parent.mkdir(exist_ok=True)
        target.write_text((ROOT / events).read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path, fields


def everything(path: Path) -> str:
    """Return the text of an example and its neighbours, which declare its events."""
    return "".join(one.read_text(encoding="utf-8") for one in path.parent.glob("*.py"))


def found_by(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_every_example_that_tracks_with_a_field_is_here():
    texts = {path: path.read_text(encoding="utf-8") for path in (ROOT / "examples").rglob("*.py")}
    untyped = [path.name for path, text in texts.items() if re.search(r"\btrack\(\"|track_event\(\"", text)]
    assert untyped == []
    assert len(FILES) == 18


def test_mypy_finds_it(misspelt):
    folder, fields = misspelt
    said = found_by(
        ["mypy", "--ignore-missing-imports", "--no-incremental", "--cache-dir", "/dev/null", *fields], folder
    )
    for file, field in fields.items():
        assert re.search(rf'^{file}:\d+: error: Unexpected keyword argument "{field}"', said, re.MULTILINE), said


def test_pyright_finds_it(misspelt):
    folder, fields = misspelt
    said = found_by(["pyright", "--pythonpath", sys.executable, "--outputjson", *fields], folder)
    errors = json.loads(said[said.index("{") :])["generalDiagnostics"]
    found = {(Path(one["file"]).name, one["message"]) for one in errors}
    for file, field in fields.items():
        assert (file, f'No parameter named "{field}"') in found


def test_the_catalogue_finds_it(misspelt, monkeypatch):
    folder, fields = misspelt
    monkeypatch.chdir(folder)
    for file, field in fields.items():
        paths = [file, "shop", "tracking.py"]
        assert run("catalog", *paths, "--output", "events.md").exit_code == 0
        ended = run("catalog", *paths, "--check", "events.md")
        assert ended.exit_code == 1
        assert f"has no field {field!r}: did you mean {field[1:]!r}?" in words(ended.stderr), file


TEST = """
import importlib
import sys
import pytest
import journy_track

def test_it(journy_events):
    with journy_track.user("u1"), journy_track.account("acme"):
        {call}
"""


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("examples/quickstart.py", "module.main()"),
        ("examples/flask/app.py", "module.create_project('Launch')"),
        ("examples/script/nightly.py", "module.renew('pro')"),
        ("journy_track/cli/sample.py", "module.sign_up(1, 'Ada Lovelace', 'acme')"),
    ],
)
def test_a_test_finds_it(misspelt, path, call):
    folder, fields = misspelt
    name = name_of(ROOT / path)
    (folder / "test_it.py").write_text(
        TEST.format(call=call).replace("module.", f"importlib.import_module({name!r}).")
    )
    said = found_by(["pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "test_it.py"], folder)
    assert f"got an unexpected keyword argument '{fields[f'{name}.py']}'" in said
