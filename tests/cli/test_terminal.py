"""Output that depends on a terminal: a progress bar, and colour unless NO_COLOR disables it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from .commands import environment

pytestmark = pytest.mark.slow

pty = pytest.importorskip("pty", reason="needs a pseudo terminal, as on Unix")


def on_a_terminal(*arguments: str, **variables: str) -> tuple[int, str]:
    """Run a command with stdout and stderr on one terminal. Returns its exit code and the terminal's output."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "journy_track", *arguments],
            env={**environment(TERM="xterm-256color"), **variables},
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        )
    finally:
        os.close(theirs)
    seen = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # how Linux reports that the other end is closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(ours)
    return process.wait(60), seen.decode()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "users.csv"
    path.write_text("id,plan\n" + "".join(f"u{number},pro\n" for number in range(50)))
    return str(path)


def test_an_import_shows_rate_remaining_time_and_errors(api, path):
    status, seen = on_a_terminal("import", path, COLUMNS="100", JOURNY_BASE_URL=api.url)
    assert status == 0
    for part in ("users.csv", "100 %", "50/50", "/s", "left", "0 rejected", "━"):
        assert part in seen
    assert "\x1b[3" in seen  # colour


def test_a_narrow_terminal_has_room_for_the_bar(api, path):
    status, seen = on_a_terminal("import", path, COLUMNS="50", JOURNY_BASE_URL=api.url)
    assert status == 0
    assert "100 %" in seen
    assert "50/50" not in seen


@pytest.mark.parametrize("columns", [50, 80])
def test_the_bar_leaves_room_for_a_ctrl_c_that_the_terminal_shows(api, path, columns):
    _, seen = on_a_terminal("import", path, COLUMNS=str(columns), JOURNY_BASE_URL=api.url)
    frames = [
        line for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)) if "rejected" in line
    ]
    assert frames
    assert max(map(len, frames)) == columns - 4  # including trailing blanks: the cursor is right behind them


def test_no_color_is_honoured(api, path):
    for command in (["import", path], ["check"], ["catalog", path], ["doctor", "--offline"]):
        _, seen = on_a_terminal(*command, NO_COLOR="1", COLUMNS="100", JOURNY_BASE_URL=api.url)
        assert seen
        assert not any(f"\x1b[{code}" in seen for code in ("3", "4", "9")), seen  # bold and cursor movement remain


def screen(seen: str) -> list[str]:
    """Return the lines of the terminal's output, without escape sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen).replace("\r", "").splitlines()


@pytest.fixture
def large_project(tmp_path):
    calls = "".join(f'journy_track.track("event_{number:02}", {{"key": 1}})\n' * 3 for number in range(60))
    unnamed = "".join(f"for name in rows:\n    journy_track.track(name_{number})\n" for number in range(30))
    (tmp_path / "app.py").write_text(f"import journy_track\n{calls}{unnamed}")
    return str(tmp_path)


def test_a_large_catalog_fits_a_screen_with_what_is_wrong_first_and_a_summary(large_project):
    _, seen = on_a_terminal("catalog", large_project, COLUMNS="80", LINES="24")
    lines = screen(seen)
    assert len(lines) < 24  # the prompt needs the last line
    assert max(map(len, lines)) <= 80
    assert "the name is known only when the code runs" in f"{lines[0]} {lines[1]}"
    assert any(re.fullmatch(r"… and \d+ more problems: --all", line) for line in lines), lines
    assert any(line.startswith("event_00 ") for line in lines)
    assert lines[-1] == "60 events, and 30 names made at run time, at 210 places in 1 file. 30 problems."
    _, seen = on_a_terminal("catalog", large_project, "--all", COLUMNS="80", LINES="24")
    assert all(f"event_{number:02}" in seen for number in range(60))


def test_a_doctor_fits_a_screen_with_what_is_wrong_first_and_a_summary():
    settings = {"JOURNY_TIMEOUT": "3", "JOURNY_SHARE": "7", "JOURNY_SPOOL": "/no/such/spool"}
    status, seen = on_a_terminal("doctor", "--offline", COLUMNS="80", LINES="24", **settings)
    lines = screen(seen)
    assert status == 1
    assert len(lines) < 24
    assert lines[0].startswith("✗ share ")
    assert "JOURNY_TIMEOUT" in seen  # it is set in the environment
    assert "queue_size" not in seen
    assert "Not shown: " in seen
    _, seen = on_a_terminal("doctor", "--offline", "--all", COLUMNS="80", LINES="24", **settings)
    assert screen(seen)[0].startswith("✗ share ")
    assert "queue_size" in seen
    assert "Not shown" not in seen


def test_the_guide_is_laid_out_unless_markdown_is_asked_for():
    laid_out, plain = (on_a_terminal("guide", *options, COLUMNS="80")[1] for options in ((), ("--markdown",)))
    assert "**1. List" in plain
    assert "1. List what there is." in re.sub(r"\x1b\[[\d;]*m", "", laid_out)
    assert "**" not in laid_out


def test_the_coverage_of_a_large_app_fits_a_terminal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    routes = "".join(f"@app.get('/{n}/{'x' * 90}')\ndef route_{n}(): ...\n" for n in range(200))
    (tmp_path / "app.py").write_text(f"from flask import Flask\napp = Flask(__name__)\n{routes}")
    status, seen = on_a_terminal("catalog", "--coverage", COLUMNS="80", LINES="24")
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in seen.splitlines()]
    assert status == 0
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert "0 of 200 routes, views, tasks and commands track something: 0 %." in lines[-1]
