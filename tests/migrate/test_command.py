"""`journy-track migrate`: its report, what it writes, and its messages when it cannot migrate a call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli.commands import environment, run, words

SOURCE = """\
import posthog

posthog.capture("signed_in", distinct_id=user)
posthog.capture(
    "paid",
    distinct_id=user,
    uuid=key,
)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "app.py").write_text(SOURCE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_report_has_a_diff_and_what_is_left_with_place_reason_and_remedy(folder: Path):
    done = run("migrate", "--from", "posthog")
    assert done.exit_code == 0
    assert (
        '-posthog.capture("signed_in", distinct_id=user)\n+journy_track.track("signed_in", user=user)' in done.stdout
    )
    assert done.stdout.splitlines()[-7:] == [
        "Left to you: 1 place",
        "app.py:4 posthog.capture( …",
        "    uuid= has no counterpart: each item has an ID of its own",
        "    write: journy_track.track(",
        '               "paid",',
        "               user=user,",
        "           )",
    ]
    assert words(done.stderr) == "1 statement in 1 file would be changed. Pass --write to apply."
    assert (folder / "app.py").read_text(encoding="utf-8") == SOURCE


def test_write_changes_what_is_sure_and_lists_the_rest(folder: Path):
    (folder / "app.py").chmod(0o640)
    done = run("migrate", "--from=posthog", "--write", "app.py")
    assert done.exit_code == 0
    assert "app.py:4" in done.stdout
    assert "+journy_track" not in done.stdout
    assert words(done.stderr).startswith("Changed 1 statement in 1 file. The key is read from JOURNY_API_KEY")
    assert 'journy_track.track("signed_in", user=user)\nposthog.capture(\n' in (folder / "app.py").read_text()
    assert (folder / "app.py").stat().st_mode & 0o777 == 0o640


def test_the_report_can_be_read_by_programs(folder: Path):
    document = json.loads(run("migrate", "--from", "posthog", "--json").stdout)
    assert document["changed"] == [
        {"file": "app.py", "line": 3, "written": 'posthog.capture("signed_in", distinct_id=user)'}
    ]
    (left,) = document["left"]
    assert (left["file"], left["line"], left["reasons"]) == (
        "app.py",
        4,
        ["uuid= has no counterpart: each item has an ID of its own"],
    )


def test_a_file_that_is_not_python_is_named_and_the_others_are_moved(folder: Path):
    (folder / "old.py").write_text("import posthog\nprint 'a'\n")
    done = run("migrate", "--from", "posthog", "--write")
    assert done.exit_code == 1
    assert "old.py is not Python that can be read, line 2." in words(done.stderr)
    assert "import journy_track" in (folder / "app.py").read_text()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("# coding: nonsense\nimport posthog\n", "is not Python that can be read"),
        (f"import posthog\nx = {' + '.join(['1'] * 450)}\n", "is nested too deeply"),
    ],
    ids=["encoding", "depth"],
)
def test_a_file_that_cannot_be_read_does_not_stop_the_others(folder: Path, source: str, reason: str):
    (folder / "a.py").write_text(source)
    done = run("migrate", "--from", "posthog", "--write")
    assert done.exit_code == 1
    assert words(done.stderr).startswith(f"a.py {reason}. Changed 1 statement in 1 file.")
    assert "import journy_track" in (folder / "app.py").read_text()


def test_a_file_that_cannot_be_written_does_not_stop_the_others(folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "a.py").write_text(SOURCE)
    write = Path.write_bytes

    def refuse_one(path: Path, content: bytes) -> int:
        if path.name == "a.py":
            raise PermissionError(13, "Permission denied")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", refuse_one)
    done = run("migrate", "--from", "posthog", "--write")
    assert done.exit_code == 1
    assert words(done.stderr).startswith("Error: Cannot write a.py: Permission denied. Changed 1 statement in 1 file")
    assert "a.py:4" in done.stdout
    assert (folder / "a.py").read_text() == SOURCE
    assert "import journy_track" in (folder / "app.py").read_text()


def test_a_link_that_leads_outside_is_listed_and_stays(folder: Path):
    (folder / "project").mkdir()
    try:
        (folder / "project" / "linked.py").symlink_to(folder / "app.py")
    except OSError:
        pytest.skip("links need a privilege here")
    done = run("migrate", "--from", "posthog", "--write", "project")
    assert (folder / "app.py").read_text() == SOURCE
    assert "project/linked.py:3" in done.stdout
    assert "which is outside the given paths" in done.stdout


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_with_the_name_of_a_module_is_not_read(folder: Path):
    os.mkfifo(folder / "pipe.py")
    command = [sys.executable, "-m", "journy_track", "migrate", "--from", "posthog"]
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, "1 statement in 1 file would be changed" in words(done.stderr)) == (0, True)


def test_where_there_is_nothing_it_says_so(folder: Path):
    done = run("migrate", "--from", "segment")
    assert (done.exit_code, words(done.stderr)) == (0, "There is nothing to migrate here.")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "--from takes one of segment, posthog, journyio."),
        (("--from", "mixpanel"), "--from takes one of segment, posthog, journyio."),
        (("--from", "segment", "nowhere"), "Cannot read nowhere: No such file or directory."),
    ],
)
def test_wrong_usage_ends_with_2(folder: Path, arguments: tuple[str, ...], reason: str):
    done = run("migrate", *arguments)
    assert (done.exit_code, words(done.stderr)) == (2, f"Error: {reason}")


@pytest.mark.slow
def test_without_libcst_it_names_the_extra(folder: Path):
    source = "import sys; sys.modules['libcst'] = None; from journy_track.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", source, "migrate", "--from", "posthog"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: migrate needs libcst: pip install 'journy-track[migrate]'\n"
