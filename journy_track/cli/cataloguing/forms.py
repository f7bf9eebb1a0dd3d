"""The catalog as a table, as JSON and as Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from journy_track.cli.cataloguing.found import Catalog, Place

#: Columns of a terminal below which docstrings find no room.
_NARROW = 70
FORMATS = ("table", "json", "markdown")


def as_json(catalog: Catalog) -> str:
    """For programs."""
    document = {
        "events": [
            {"name": entry.name, "keys": list(entry.keys), "places": [_place(place) for place in entry.places]}
            for entry in catalog.entries()
        ],
        "dynamic": [{"written": place.written, **_place(place)} for place in catalog.dynamic()],
        "unread": catalog.unread,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _place(place: Place) -> dict[str, Any]:
    return {
        "file": place.file,
        "line": place.line,
        "function": place.function or None,
        "how": place.how,
        "keys": list(place.keys),
        "summary": place.summary or None,
        "problem": place.problem,
    }


def as_markdown(catalog: Catalog) -> str:
    """For people, to be committed."""
    lines = ["# Events", "", "Made by `journy-track catalog`: every event that the code tracks.", ""]
    lines += ["| event | metadata | where | what |", "| --- | --- | --- | --- |"]
    for entry in catalog.entries():
        keys = ", ".join(_code(key) for key in entry.keys)
        where = "<br>".join(_code(f"{place.file}:{place.line}") for place in entry.places)
        lines.append(f"| {_code(entry.name)} | {keys} | {where} | {_cell(_summaries(entry.places))} |")
    problems = catalog.problems()
    if problems:
        lines += ["", "## To look at", ""]
        lines += [
            f"- {_code(f'{place.file}:{place.line}')} {_code(place.written)}: {_cell(place.problem or '')}"
            for place in problems
        ]
    return "\n".join(lines) + "\n"


def as_table(catalog: Catalog, width: int) -> Table:
    """For a terminal of *width* columns; a narrow one shows no docstrings."""
    table = Table("Event", "Metadata", "Where", padding=(0, 2, 0, 0), box=None)
    if wide := width >= _NARROW:
        table.add_column("What")
    for column in table.columns:
        column.overflow = "fold"
    for entry in catalog.entries():
        what = [escape(_summaries(entry.places))] if wide else []
        table.add_row(escape(entry.name), escape(", ".join(entry.keys)), _Where(entry.places), *what)
    for place in catalog.dynamic():
        written = f"[yellow]{escape(place.written)}[/yellow]"
        table.add_row(written, escape(", ".join(place.keys)), _Where([place]))
    return table


class _Where:
    """Files and lines, one below the other. A path that is too long goes on in the next line, behind a slash."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._paths = [re.findall(r"[^/]*/|[^/]+", f"{place.file}:{place.line}") for place in places]

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        longest = max(cell_len(part) for parts in self._paths for part in parts)
        return Measurement(longest, max(cell_len("".join(parts)) for parts in self._paths))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for parts in self._paths:
            lines = [""]
            for part in parts:
                if lines[-1] and cell_len(lines[-1] + part) > options.max_width:
                    lines.append("")
                lines[-1] += part
            yield Text("\n".join(lines), overflow="fold")


def same(one: str, other: str) -> bool:
    """Whether two catalogs say the same but for the lines at which things stand: those change with every edit."""
    return without_lines(one) == without_lines(other)


def without_lines(text: str) -> str:
    """*text* of a catalog without line numbers."""
    return re.sub(r'("line": |\.py:)\d+', r"\1", text.replace("\r\n", "\n"))


def _summaries(places: Iterable[Place]) -> str:
    return " / ".join(dict.fromkeys(place.summary for place in places if place.summary))


def _code(text: str) -> str:
    # A cell ends at a bar, also within code; code that holds backticks needs more of them around it.
    ticks = "``" if "`" in text else "`"
    return f"{ticks}{_cell(text)}{ticks}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
