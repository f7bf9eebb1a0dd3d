"""What the pages show beside their text: what a block sends, and the commands with their options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer
from sphinx.application import Sphinx

from journy_track.cli.app import app as commands

#: A comment that says how a block is run and what it sends (see `tests/docs/reading.py`), and the block.
_BLOCK = re.compile(r"<!-- runs[^\n]*\n((?:[A-Z]+ /[^\n]*\n)+)-->\n+(```\w+\n.*?^```\n)", re.MULTILINE | re.DOTALL)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    source[0] = _BLOCK.sub(_with_requests, source[0])
    source[0] = re.sub(r"^<!--.*?-->\n", "", source[0], flags=re.MULTILINE | re.DOTALL)
    if page == "reference/cli":
        source[0] += "\n" + "\n".join(_commands())


def _with_requests(found: re.Match[str]) -> str:
    requests, block = found.groups()
    return f"{block}\n:::{{container}} sends\nSends:\n```text\n{requests}```\n:::\n"


def _commands() -> Iterator[str]:
    group: Any = typer.main.get_command(commands)  # of click, which newer versions of typer include
    for name, command in group.commands.items():
        yield from _command(f"journy-track {name}", command, "##")


def _command(name: str, command: Any, level: str) -> Iterator[str]:
    yield f"{level} {name}\n"
    if hasattr(command, "commands"):
        yield f"{command.help or ''}\n"
        for inner, its in command.commands.items():
            yield from _command(f"{name} {inner}", its, level + "#")
        return
    context = command.make_context(name, [], resilient_parsing=True)
    yield f"```text\n{name} {' '.join(command.collect_usage_pieces(context))}\n```\n\n{command.help or ''}\n"
    records = [record for parameter in command.params if (record := parameter.get_help_record(context))]
    if records:
        yield "| argument or option | meaning |\n| --- | --- |"
        for names, meaning in records:
            yield f"| {_code(names)} | {_cell(meaning)} |"
        yield ""


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" for name in _cell(names).split(", "))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
