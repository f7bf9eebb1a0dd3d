"""What all commands have in common: their help, the style of errors, and shell completion."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.main import get_command

from journy_track.cli.app import app

from .commands import environment, run

COMMANDS = (
    *("demo", "inspect", "check", "track", "import", "catalog", "guide", "migrate", "doctor", "relay"),
    *("spool", "spool status", "spool retry", "spool export", "spool purge"),
)


def test_the_list_of_commands_is_complete():
    commands = get_command(app).commands  # type: ignore[attr-defined]
    spool = commands["spool"].commands
    assert {*commands, *(f"spool {name}" for name in spool)} == set(COMMANDS)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_no_flag_has_a_type_behind_it_in_the_help(command: str) -> None:
    ended = run(*command.split(), "--help", COLUMNS="80")
    assert ended.exit_code == 0
    assert re.search(r"--help +Show this message", ended.stdout), ended.stdout
    assert not re.search("bool(ean)?>|BOOLEAN", ended.stdout), ended.stdout
    assert "int range" not in ended.stdout.lower()


def test_the_help_of_all_commands_fits_a_screen_and_each_is_one_line():
    lines = run("--help", COLUMNS="80").stdout.strip().splitlines()
    assert len(lines) <= 24
    listed = [line for line in lines if re.match("│ [a-z]", line)]
    assert len(listed) == len([name for name in COMMANDS if " " not in name])


def test_a_paragraph_of_the_help_fills_its_lines():
    helped = run("check", "--help", COLUMNS="80").stdout
    assert re.search(r"there is no such *\n *call:", helped), helped


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--nope"], "No such option: --nope"),
        (["trak"], "No such command 'trak'"),
        (["track"], "Missing argument 'NAME'"),
        (["spool", "foo"], "No such command 'foo'"),
        (["inspect", "--port", "99999"], "Invalid value for '--port': "),
        (["check", "--json=3"], "json"),
        (["check", "--api-key-file", "/no/such/file"], "Cannot read the key file /no/such/file: "),
        (["track", "signed_in"], "An event needs a user or an account: "),
        (["catalog", "/no/such/folder"], "Cannot read /no/such/folder: "),
        (["import", "/no/such/file"], "Cannot read /no/such/file: "),
        (["relay"], "Pass the broker's URL: "),
        (["spool", "status"], "No folder was given: pass "),
        (["doctor", "--base-url"], "Option '--base-url' requires an argument"),
    ],
)
def test_wrong_usage_is_one_line_on_stderr_and_the_exit_code_is_2(arguments: list[str], what: str) -> None:
    ended = run(*arguments)
    assert ended.exit_code == 2
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("Error: ")
    assert what in line


def test_wrong_usage_names_the_help_of_its_command():
    assert run("spool", "status", "--nope").stderr.strip().endswith("See journy-track spool status --help")


def test_what_is_wrong_with_the_command_line_is_printed_without_what_a_terminal_acts_on():
    assert "\x1b" not in run("check", "--\x1b[31mred").stderr


def test_a_failure_has_the_same_style_and_exit_code_1(api):
    ended = run("check", JOURNY_BASE_URL=api.url, JOURNY_API_KEY="invalid")
    assert ended.exit_code == 1
    assert re.fullmatch(r"Error: journy\.io does not know this key .*\n", ended.stderr)


# ── Completion ──


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "-F _journy_track_completion journy-track"),
        ("zsh", "#compdef journy-track"),
        ("fish", "complete --command journy-track"),
    ],
)
def test_the_script_of_a_shell_is_printed(shell: str, line: str) -> None:
    printed = subprocess.run(
        [_script()],
        env=environment(_JOURNY_TRACK_COMPLETE=f"source_{shell}"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert line in printed.stdout, printed.stderr


@pytest.mark.slow
def test_bash_completes_commands_options_and_values(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    pty = pytest.importorskip("pty", reason="needs a pseudo terminal, as on Unix")
    if bash is None:
        pytest.skip("there is no bash")
    settings = environment(HOME=str(tmp_path), PS1="$ ", TERM="dumb", PATH=f"{_script().parent}:{os.environ['PATH']}")
    installed = subprocess.run(
        [bash, "-c", "journy-track --install-completion; true"],  # the shell is detected from the parent process
        env=settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "bash completion installed in" in installed.stdout, installed.stderr
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        [bash, "--noprofile", "-i"],
        env=settings,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        cwd=tmp_path,
    )
    os.close(theirs)
    try:
        for typed, completed in (
            ("journy-track insp\t", "journy-track inspect "),
            ("\x15journy-track catalog --against\t", "journy-track catalog --against-api "),
            ("\x15journy-track import --kind acc\t", "journy-track import --kind accounts "),
        ):
            os.write(ours, typed.encode())
            _read_until(ours, completed)
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


def _script() -> Path:
    script = Path(sys.executable).with_name("journy-track")
    if not script.exists():
        pytest.skip("the command is not installed beside this Python")
    return script


def _read_until(terminal: int, text: str) -> None:
    import select

    seen, deadline = "", time.monotonic() + 60
    while text not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"{text!r} is not in {seen!r}"
        seen += os.read(terminal, 65536).decode()
