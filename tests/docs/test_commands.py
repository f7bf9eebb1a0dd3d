"""The commands in README and on the pages: each option of a command, each extra and each address exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import typer

from journy_track.cli.app import app

from .reading import FOLLOWED, PAGES, README, ROOT, blocks
from .scenes import INSPECTOR

README_TEXT = README.read_text(encoding="utf-8")
TEXTS = [README_TEXT, *(text for path in PAGES if FOLLOWED not in (text := path.read_text(encoding="utf-8")))]
TEXT = "\n".join(TEXTS)
#: From click, or from the copy of click in newer versions of typer.
UsageError = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")


def typed() -> Iterator[str]:
    """Yield each line after a `$`, and each command in the running text."""
    for block in (block for text in TEXTS for block in blocks(text)):
        if block.language == "console":
            yield from (line.removeprefix("$ ") for line in block.source.splitlines() if line.startswith("$ "))
    prose = re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    for span in re.findall(r"`([^`]+)`", prose):
        text = " ".join(span.split())
        if text.startswith("journy-track "):
            yield text


TYPED = list(dict.fromkeys(typed()))
COMMANDS: Any = vars(typer.main.get_command(app))["commands"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the commands name."""
    (tmp_path / "users.csv").write_text("user_id,age,company\nu1,41,acme\n")
    (tmp_path / "app.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(line: str) -> list[str]:
    """Return the words of a command, without its variables, comment and redirection."""
    found = shlex.split(line, comments=True)
    found = found[: found.index(">")] if ">" in found else found
    while found and re.match(r"[A-Z_]+=", found[0]):
        del found[0]
    return found


def parse(arguments: list[str]) -> None:
    """Parse arguments as the command would. Raises the error that a user would see."""
    command: Any = typer.main.get_command(app)
    name, context = "journy-track", None
    while True:
        context = command.make_context(name, list(arguments), parent=context)
        if not hasattr(command, "resolve_command"):
            return
        first = "_protected_args" if hasattr(context, "_protected_args") else "protected_args"  # before click 8.2
        name, command, arguments = command.resolve_command(context, [*getattr(context, first), *context.args])


@pytest.mark.parametrize("line", [line for line in TYPED if "journy-track" in words(line)[0]])
def test_a_command_is_one_that_there_is(folder: Path, line: str):
    name, *arguments = words(line)[1:]
    if arguments:
        parse([name, *arguments])
    else:  # the text may mention a command without its arguments
        assert name in COMMANDS or name == "--version"


@pytest.mark.parametrize("line", ["journy-track relay --conections 3", "journy-track chek", "journy-track import"])
def test_one_that_is_misspelt_is_found(folder: Path, line: str):
    with pytest.raises(UsageError):
        parse(words(line)[1:])


def test_only_these_other_commands_are_typed():
    others = {words(line)[0] for line in TYPED} - {"journy-track"}
    assert others == {"source", "pip", "python", "pytest", "git", "curl", "printf", "export"}


def test_each_variable_is_one_that_is_read():
    known = set(re.findall(r"JOURNY_[A-Z_]+", (ROOT / "journy_track/_model/config.py").read_text()))
    assert set(re.findall(r"JOURNY_[A-Z_]+", TEXT)) <= known


def test_each_extra_that_is_installed_is_one():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    told = {name for names in re.findall(r"pip install .*?\[([\w,]+)\]", TEXT) for name in names.split(",")}
    assert told
    assert told <= set(extras)


def test_the_inspector_fails_as_the_page_orders_it_to(api):
    (line,) = (line for line in TYPED if line.startswith("curl -X POST"))
    _, method, address, header, data = (word for word in words(line) if not re.fullmatch(r"-[XHd]", word))
    name, _, value = header.partition(": ")
    answer = requests.request(
        method, address.replace(INSPECTOR, api.url), data=data, headers={name: value}, timeout=10
    )
    assert answer.ok, answer.text
    assert requests.get(api.url + "/validate", headers={"x-api-key": "a-key"}, timeout=10).status_code == 503


def test_the_two_commands_that_do_everything_are_there():
    """CI and readers copy them: each is on a line of its own."""
    one = "python3 -m venv .venv && .venv/bin/pip install -q '.[all]' && .venv/bin/journy-track demo"
    other = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[all,test]' && .venv/bin/pytest"
    assert README_TEXT.splitlines().count(f"`{one}`") == README_TEXT.splitlines().count(f"`{other}`") == 1


@pytest.mark.slow
def test_the_example_runs_around_the_inspector_as_the_readme_says(folder: Path):
    line = next(line for line in TYPED if line.startswith("journy-track inspect --stay"))  # README comes first
    example = next(block for block in blocks(README_TEXT) if block.language == "python")
    (folder / "app.py").write_text(example.source)
    arguments = [word for word in words(line)[1:] if word != "--stay"]  # --stay would wait for Ctrl-C
    command = [sys.executable, "-m", "journy_track", arguments[0], "--port=0", *arguments[1:]]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # its `python` is this one
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Events: 2." in done.stderr
