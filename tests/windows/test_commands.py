"""Commands when stdout only accepts cp1252, processes cannot fork, and a console sends Ctrl-Break."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from time import monotonic, sleep

import pytest

from journy_track.cli import console, typed
from journy_track.cli.cataloguing import reading
from journy_track.cli.doctoring import spool

from ..redis_server import redis_server

APP = '''
import journy_track

def buy() -> None:
    """Kauft 日本 für 5 €."""
    journy_track.track("bought_日本", user="u1", café=1, naïve=2)
'''


@pytest.fixture
def journy(windows, api):
    """Return a function that starts `journy-track` there, and decodes its output as cp1252."""

    def start(*arguments, **variables):
        return subprocess.Popen(
            [sys.executable, "-m", "journy_track", *map(str, arguments)],
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("JOURNY_")},
                **windows,
                "COLUMNS": "200",
                "JOURNY_API_KEY": "test-key-0123456789",
                "JOURNY_BASE_URL": api.url,
                **variables,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="cp1252",
        )

    return start


@pytest.fixture
def run(journy):
    """Return a function that runs it to its end: the exit code, stdout and stderr."""

    def ended(*arguments, **variables):
        process = journy(*arguments, **variables)
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err
        return process.returncode, out, err

    return ended


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii"])
def test_doctor_writes_its_marks_with_what_stdout_can_print(run, tmp_path, encoding):
    # Catches: UnicodeEncodeError, as no Windows code page has a check mark.
    status, out, err = run("doctor", JOURNY_SPOOL=str(tmp_path / "spool"), PYTHONIOENCODING=encoding)
    assert (status, err.strip()) == (0, "Nothing is wrong.")
    assert "\\u2713" not in out
    assert "accepts the key" in out
    assert [line.split()[:2] for line in out.splitlines() if " threads " in line] == [["ok", "threads"]]


def test_what_is_printed_as_json_is_the_same_data(run, tmp_path):
    app = tmp_path / "app.py"
    app.write_text(APP, encoding="utf-8")
    status, out, _ = run("catalog", app, "--json")
    assert status == 0
    assert out.isascii() is False  # é is in cp1252, and is printed as it is
    (event,) = json.loads(out)["events"]
    assert event["name"] == "bought_日本"
    assert set(event["keys"]) == {"café", "naïve"}


@pytest.mark.parametrize("form", ["table", "markdown", "schema", "github"])
def test_a_catalog_is_printed_in_every_form(run, tmp_path, form):
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    status, out, _ = run("catalog", tmp_path / "app.py", "--format", form)
    assert status == 0
    assert "bought_\\u65e5\\u672c" in out or form == "github"


def test_characters_beyond_the_first_plane_stay_json_as_well(monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", newline="\n")
    monkeypatch.setattr(sys, "stdout", stdout)
    console.print_any_text()
    stdout.write(json.dumps({"name": "😀 é"}, ensure_ascii=False))
    stdout.flush()
    assert json.loads(stdout.buffer.getvalue().decode("cp1252")) == {"name": "😀 é"}


@pytest.mark.parametrize(
    "command",
    [("check",), ("demo",), ("track", "signed_in", "--user", "日本"), ("spool", "status", "."), ("--help",)],
)
def test_commands_work(run, tmp_path, command):
    status, out, err = run(*command, JOURNY_SPOOL=str(tmp_path))
    assert (status, bool(out)) == (0, True), err


def test_demo_jobs_names_the_reason_for_which_it_cannot_run(run):
    status, _, err = run("demo", "--jobs")
    assert status == 2
    assert "Windows does not" in err


def test_inspect_runs_a_command_and_counts_what_it_sent(run):
    tracked = "import journy_track as j; j.configure(); j.track('signed_in', user='u1'); print(j.flush(60))"
    status, out, err = run("inspect", "--port", "0", "--", sys.executable, "-c", tracked)
    assert status == 0, err
    assert "True" in out
    assert "Events: 1." in err


def test_ctrl_break_ends_an_import_which_the_next_one_finishes(journy, run, api, tmp_path):
    users = tmp_path / "users.csv"
    users.write_text("id\n" + "".join(f"u{number}\n" for number in range(30)))
    api.answer_next(None, delay=0.2, count=1000)
    process = journy("import", users)
    api.wait_for(lambda api: any(request.method != "GET" for request in api.requests), 60)
    process.send_signal(signal.SIGUSR1)  # simulates Ctrl-Break: see machine/sitecustomize.py
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "Stopped by a signal to terminate." in err
    api.reset()
    status, _, err = run("import", users)
    assert (status, "Resuming: " in err) == (0, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["processes", "users.csv", "users.csv.import.json"]


def test_ctrl_break_ends_a_relay_as_ctrl_c_does(journy):
    with redis_server() as url:
        relay = journy("relay", JOURNY_BROKER_URL=url)
        try:
            assert any("The relay is running." in line for line in relay.stderr)
            relay.send_signal(signal.SIGUSR1)
            relay.communicate(timeout=60)
        finally:
            relay.kill()
        assert relay.returncode == 0


def test_what_handles_ctrl_break_is_a_service(windows, run_program):
    program = """
        import signal
        from journy_track import _process
        print(_process.ends_by_itself())
        signal.signal(_process.signal.SIGBREAK, lambda *_: None)
        print(_process.ends_by_itself())
    """
    ran = run_program(program, **windows)
    assert (ran.status, ran.out) == (0, "True\nFalse\n"), ran.err


def test_two_imports_of_one_file_at_once_are_refused(journy, run, api, tmp_path):
    users = tmp_path / "users.csv"
    users.write_text("id\nu1\nu2\nu3\n")
    api.answer_next(None, delay=60, containing="u1")
    first = journy("import", users)
    try:
        api.wait_for(lambda api: any(request.method == "GET" for request in api.requests), 60)
        deadline = monotonic() + 60
        while not (tmp_path / "users.csv.import.json").exists() and monotonic() < deadline:
            sleep(0.01)
        status, _, err = run("import", users)
        assert status == 1
        assert f"Another import of {users} is running: stop it" in err
    finally:
        first.kill()
        first.communicate()
    api.reset()
    status, _, err = run("import", users)  # a killed import holds no lock
    assert status == 0, err
    assert [user.user_id for user in api.users] == ["u1", "u2", "u3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["processes", "users.csv", "users.csv.import.json"]


def test_rejected_rows_are_written_and_mended_and_removed(run, api, tmp_path):
    users = tmp_path / "users.csv"
    users.write_text("id\nu1\nu2\n")
    api.answer_next(400, count=1, containing="u1")
    status, _, _ = run("import", users)
    assert status == 1
    status, _, err = run("import", tmp_path / "users.csv.rejected.jsonl")
    assert status == 0, err
    status, _, err = run("import", users, "--restart")
    assert status == 0, err
    assert not (tmp_path / "users.csv.rejected.jsonl").exists()


# ── What doctor checks ──


def test_doctor_does_not_read_the_modes_of_windows(run, tmp_path):
    # Catches: reading the mode, which is 0o777 for every folder on Windows and does not change with chmod.
    folder = tmp_path / "spool"
    folder.mkdir(mode=0o777)
    _, out, _ = run("doctor", "--offline", "--json", JOURNY_SPOOL=str(folder))
    found = {finding["name"]: finding for finding in json.loads(out)["findings"] if finding["topic"] == "spool"}
    assert found[str(folder)]["state"] == "ok"
    assert "are not checked on Windows" in found["permissions"]["value"]
    assert "chmod" not in found["permissions"]["value"]
    assert list(folder.iterdir()) == []


def test_doctor_tries_whether_it_can_write(monkeypatch, tmp_path):
    # Catches: os.access(), which does not know Windows permissions.
    def refused(path, *arguments, **named):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "access", lambda *_: True)
    monkeypatch.setattr(Path, "touch", refused)
    (found,) = spool(tmp_path, 1 << 20)
    assert (found.state, "Permission denied" in found.value) == ("problem", True)


def test_doctor_names_a_drive_that_is_not_there(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda _: False)
    (found,) = spool(Path("Z:/spool"), 1 << 20)
    assert (found.state, found.value) == ("problem", "is on a drive that does not exist")


# ── What Python's own functions refuse there ──


class WindowsDatetime(datetime):
    """Refuses what the C library of Windows refuses."""

    @classmethod
    def fromtimestamp(cls, timestamp: float, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        if timestamp < 0:
            raise OSError(22, "Invalid argument")
        return datetime.fromtimestamp(timestamp, tz)


def test_a_cell_with_seconds_before_1970_is_read(monkeypatch):
    monkeypatch.setattr(typed, "datetime", WindowsDatetime)
    assert typed.TYPES["epoch"]("-86400.5", None) == datetime(1969, 12, 30, 23, 59, 59, 500000, tzinfo=UTC)


def test_a_catalog_of_another_drive_has_whole_paths(monkeypatch, tmp_path):
    def relative(path: object) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    monkeypatch.setattr(reading.os.path, "relpath", relative)
    (place,) = reading.read([tmp_path / "app.py"]).places
    assert place.file == (tmp_path / "app.py").as_posix()
