"""External text is displayed without any effect on the terminal or its reader."""

from __future__ import annotations

import json
import re

import pytest

from journy_track._stores.sqlite.file import SUFFIX
from journy_track.cli.outside import harmless, json_text, styled

from .commands import run
from .test_terminal import on_a_terminal

#: Clears the screen, renames the window, reverses text, contains markup for red, and starts a new line.
EVIL = "a\x1b[2J\x1b]0;owned\x07\u202eb\x9b31m[bold red]c[/bold red][/]\r\nNothing is wrong.\x08\u200b"
SHOWN = r"a\x1b[2J\x1b]0;owned\x07\u202eb\x9b31m[bold red]c[/bold red][/]\r\nNothing is wrong.\x08\u200b"


def assert_harmless(text: str) -> None:
    ours = re.sub(r"\x1b\[[0-9;]*m", "", text)  # without our own styles
    assert all(char.isprintable() or char == "\n" for char in ours), repr(ours)
    assert not any(line.startswith("Nothing is wrong.") for line in ours.splitlines()[:-1])


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", re.sub(r"\x1b\[[0-9;]*m", "", text))


def test_text_becomes_one_harmless_line():
    assert harmless(EVIL) == SHOWN
    assert harmless("Zoë 🙂 plain") == "Zoë 🙂 plain"
    assert styled(EVIL, (EVIL, "red")).plain == SHOWN * 2


def test_json_keeps_its_data():
    document = {EVIL: [EVIL, "Zoë", "\ud800", "\U000e0041"]}
    assert json.loads(json_text(document)) == document
    assert all(char.isprintable() or char == "\n" for char in json_text(document))
    assert "Zoë" in json_text(document)


def answer(**more: object) -> dict[str, object]:
    return {"message": EVIL, "meta": {"requestId": EVIL}, **more}


def test_check_shows_the_message_of_a_server(api):
    data = {"permissions": ["[bold]TrackData[/bold]", EVIL]}
    for _ in range(2):
        api.answer_next(200, {"data": data, "meta": {"requestId": EVIL}})
    ended = run("check", JOURNY_BASE_URL=api.url, COLUMNS="400")
    assert ended.exit_code == 0
    assert "[bold]TrackData[/bold]" in ended.stdout
    assert squeezed(SHOWN) in squeezed(ended.stdout)
    assert_harmless(ended.stdout)
    told = run("check", "--json", JOURNY_BASE_URL=api.url)
    assert_harmless(told.stdout)
    assert json.loads(told.stdout)["permissions"] == data["permissions"]


@pytest.mark.parametrize("command", [["check"], ["doctor"], ["track", "x", "--user", "u"]])
def test_errors_of_a_server_are_harmless(api, command):
    api.answer_next(400, answer(errors={"fields": {EVIL: EVIL}}))
    ended = run(*command, JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 1
    assert "[bold red]c[/bold red]" in squeezed(ended.stdout + ended.stderr).replace("boldred", "bold red")
    assert_harmless(ended.stdout)
    assert_harmless(ended.stderr)


def test_doctor_shows_the_environment(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", EVIL)
    ended = run("doctor", "--offline", JOURNY_BASE_URL=f"https://{EVIL}", JOURNY_TIMEOUT=EVIL)
    assert "[bold" in ended.stdout or "[/bold" in ended.stdout  # one of the two may be wrapped
    assert_harmless(ended.stdout)
    told = run("doctor", "--offline", "--json")
    assert EVIL in [finding["value"] for finding in json.loads(told.stdout)["findings"]]
    assert_harmless(told.stdout)


NAME = EVIL.replace("/", "")


@pytest.mark.slow
def test_import_shows_names_of_files_headers_and_cells(api, tmp_path):
    path = tmp_path / f"users{NAME}.csv"
    path.write_bytes(f'id,email,"{EVIL}"\nu1,"{EVIL}@x",c\nu2,,d,e\n'.encode())
    for ended in (
        run("import", path, "--dry-run"),
        run("import", path, "--type", "nope:int", "--dry-run"),
        run("import", path, "--skip-invalid", JOURNY_BASE_URL=api.url),
        run("import", tmp_path / NAME),
        run("import", path, EVIL),
        run("import", path, "--kind", EVIL),
        run("import", path, "--encoding", EVIL),
    ):
        assert ended.exit_code != 0
        assert_harmless(ended.stdout + "\n" + ended.stderr)
    path.write_bytes(f'id,"{EVIL}"\nu1,d\n'.encode())
    assert run("import", path, "--restart", JOURNY_BASE_URL=api.url).exit_code == 0
    again = run("import", path, JOURNY_BASE_URL=api.url)
    assert "was imported already" in again.stderr
    assert_harmless(again.stderr)
    assert set(api.users[-1].properties) == {EVIL.replace("\r\n", "\n")} or EVIL in api.users[-1].properties


def test_spool_status_shows_names_of_folders_and_files(tmp_path):
    folder = tmp_path / f"spool{NAME}"
    folder.mkdir()
    (folder / f"{NAME}{SUFFIX}").write_bytes(b"not a database")
    for path in (folder, tmp_path / NAME):
        ended = run("spool", "status", path)
        assert ended.exit_code != 0
        assert_harmless(ended.stdout + "\n" + ended.stderr)
        assert "[bold red]c" in ended.stdout + ended.stderr
    assert_harmless(run("spool", "purge", folder).stderr)


def test_catalog_shows_names_of_events_files_and_docstrings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = f"import journy_track\n\ndef f():\n    {EVIL!r}\n    journy_track.track({EVIL!r}, **{{{EVIL!r}: 1}})\n"
    (tmp_path / f"{NAME}.py").write_text(code + f"\ndef g(x):\n    journy_track.track(x + {EVIL!r})\n")
    for options in ([], ["--format", "markdown"], ["--json"]):
        ended = run("catalog", *options, COLUMNS="600")
        assert_harmless(ended.stdout + "\n" + ended.stderr)
        assert "u200b" in ended.stdout
    assert json.loads(run("catalog", "--json").stdout)["events"][0]["name"] == EVIL


def test_track_shows_what_was_typed(api):
    ended = run("track", EVIL, f"key={EVIL}", "--user", EVIL, JOURNY_BASE_URL=api.url, COLUMNS="600")
    assert_harmless(ended.stdout + "\n" + ended.stderr)
    for arguments in ([EVIL], ["x", EVIL, "--user", "u"], ["x", "--user", "u", f"a:{EVIL}=1"], ["x", f"--{EVIL}"]):
        ended = run("track", *arguments, JOURNY_BASE_URL=api.url)
        assert ended.exit_code == 2
        assert_harmless(ended.stderr)


def test_inspect_names_a_command_that_cannot_be_run():
    ended = run("inspect", "--port", "0", "--", f"/nowhere/{EVIL}")
    assert ended.exit_code == 2
    assert_harmless(ended.stderr)


@pytest.mark.slow
def test_a_terminal_gets_no_escape_sequences_but_ours(api, tmp_path):
    path = tmp_path / f"users{NAME.replace(chr(0), '')}.csv"
    path.write_bytes(f'id,"{EVIL}"\nu1,d\n'.encode())
    status, seen = on_a_terminal("import", str(path), JOURNY_BASE_URL=api.url, COLUMNS="80")
    assert status == 0
    for sequence in ("\x1b[2J", "\x1b]0;", "\u202e", "\x9b", "\x07"):
        assert sequence not in seen
