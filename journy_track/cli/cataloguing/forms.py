"""The catalog as a table, a list, JSON, JSON Schema, Markdown and GitHub annotations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from journy_track.cli.cataloguing.declaring import AUTOMATIC
from journy_track.cli.cataloguing.found import Catalog, CatalogEntry, Declared, Field, Place
from journy_track.cli.outside import harmless, json_text, styled

#: The terminal width in columns below which docstrings are not shown.
_NARROW = 70
#: Columns for an event's name and for a place. A longer name is cut at the end, a longer path at the beginning.
_NAME, _PLACE = 32, 36
FORMATS = ("table", "json", "markdown", "schema", "github")


def as_json(catalog: Catalog) -> str:
    """The catalog as JSON, for programs."""
    document = {
        "events": [
            {
                "name": entry.name,
                "keys": list(entry.keys),
                "declared": [_declared(one) for one in entry.declared],
                "places": [_place(place) for place in entry.places],
            }
            for entry in catalog.entries()
        ],
        "dynamic": [{"written": place.written, **_place(place)} for place in catalog.dynamic()],
        "unread": catalog.unread,
    }
    return json_text(document) + "\n"


def _place(place: Place) -> dict[str, Any]:
    return {
        "file": place.file,
        "line": place.line,
        "function": place.function or None,
        "how": place.how,
        "keys": list(place.keys),
        "summary": place.summary or None,
        "problem": place.problem,
        "mistake": place.mistake,
    }


def _declared(declared: Declared) -> dict[str, Any]:
    return {
        "class": declared.cls,
        "file": declared.file,
        "line": declared.line,
        "renamed_from": list(declared.former),
        "fields": [
            {
                "name": field.name,
                "type": field.type,
                "required": field.required,
                "description": field.description or None,
                "unit": field.unit,
                "examples": list(field.examples),
                "schema": field.schema,
            }
            for field in declared.fields
        ],
    }


def as_schema(catalog: Catalog) -> str:
    """A JSON Schema of each event's metadata, under the event's name. What is not known is not restricted."""
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Metadata of events, by the event's name",
        "$defs": {entry.name: _schema(entry) for entry in catalog.entries()},
    }
    return json_text(document) + "\n"


def _schema(entry: CatalogEntry) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    if summary := _summaries(entry.places):
        schema["description"] = summary
    if not entry.declared:
        schema["properties"] = {key: {} for key in entry.keys if key != "…"}
        return schema
    declared = entry.declared[0]
    schema["title"] = declared.cls
    schema["properties"] = {field.name: _field_schema(field) for field in declared.fields}
    schema["properties"].update({key: {} for key in entry.keys if key in AUTOMATIC})
    schema["required"] = [field.name for field in declared.fields if field.required]
    schema["additionalProperties"] = declared.is_open
    return schema


def _field_schema(field: Field) -> dict[str, Any]:
    schema = dict(field.schema)
    if words := " ".join([field.description, f"({field.unit})" if field.unit else ""]).strip():
        schema["description"] = words
    if field.examples:
        schema["examples"] = list(field.examples)
    return schema


def as_github(catalog: Catalog) -> str:
    """The problems as annotations of a GitHub workflow, each at its line in the pull request."""
    lines = [
        annotation(
            "error" if place.mistake else "warning", f"{place.written}: {place.problem}", place.file, place.line
        )
        for place in catalog.problems()
    ]
    lines += [annotation("error", reason, file) for file, reason in catalog.unread.items()]
    return "".join(f"{line}\n" for line in lines)


def annotation(level: str, message: str, file: str | None, line: int | None = None) -> str:
    """One GitHub workflow command, with the level `error` or `warning`."""

    def escaped(text: str, more: str = "") -> str:
        return "".join(f"%{ord(char):02X}" if char in f"%\r\n{more}" else char for char in text)

    where = "" if file is None else f" file={escaped(harmless(file), ':,')}" + (f",line={line}" if line else "")
    return f"::{level}{where}::{escaped(harmless(message))}"


def as_markdown(catalog: Catalog) -> str:
    """The catalog as Markdown, for people to read and commit."""
    lines = ["# Events", "", "Made by `journy-track catalog`: every event that the code tracks.", ""]
    lines += ["| event | metadata | where | what |", "| --- | --- | --- | --- |"]
    for entry in catalog.entries():
        keys = ", ".join(_code(key) for key in entry.keys)
        where = "<br>".join(_code(f"{place.file}:{place.line}") for place in entry.places)
        lines.append(f"| {_code(entry.name)} | {keys} | {where} | {_cell(_summaries(entry.places))} |")
    for entry in catalog.entries():
        for declared in entry.declared:
            lines += ["", *_fields_as_markdown(declared)]
    problems = catalog.problems()
    if problems:
        lines += ["", "## To look at", ""]
        lines += [
            f"- {_code(f'{place.file}:{place.line}')} {_code(place.written)}: {_cell(place.problem or '')}"
            for place in problems
        ]
    return "\n".join(lines) + "\n"


def _fields_as_markdown(declared: Declared) -> list[str]:
    former = ", ".join(map(_code, declared.former))
    lines = [
        f"## {_code(declared.name)}",
        "",
        f"Declared by {_code(declared.cls)}{f', before: {former}' if former else ''}.",
    ]
    if declared.fields:
        lines += ["", "| field | type | required | what |", "| --- | --- | --- | --- |"]
    for field in declared.fields:
        what = " ".join(filter(None, [_cell(field.description), f"({_cell(field.unit)})" if field.unit else ""]))
        if field.examples:
            what += f"{', ' if what else ''}such as {', '.join(_code(str(example)) for example in field.examples)}"
        lines.append(
            f"| {_code(field.name)} | {_code(field.expected)} | {'yes' if field.required else ''} | {what} |"
        )
    return lines


def as_list(catalog: Catalog, most: int) -> Table:
    """The first *most* events, one line each, with each event's first place."""
    table = Table("Event", "Metadata", "Where", padding=(0, 2, 0, 0), box=None)
    for column in table.columns:
        column.no_wrap, column.overflow = True, "ellipsis"
    table.columns[0].min_width = min(_NAME, max((len(entry.name) for entry in catalog.entries()), default=0))
    rows = [(entry.name, entry.keys, entry.places) for entry in catalog.entries()]
    rows += [(styled((place.written, "yellow")), place.keys, (place,)) for place in catalog.dynamic()]  # type: ignore[misc]
    for name, keys, places in rows[:most]:
        where = f"{places[0].file}:{places[0].line}{f' +{len(places) - 1}' if len(places) > 1 else ''}"
        table.add_row(name, ", ".join(keys), where if len(where) <= _PLACE else f"…{where[-_PLACE + 1 :]}")
    return table


def as_table(catalog: Catalog, width: int) -> Table:
    """The catalog as a table for a terminal of *width* columns. A narrow one shows no docstrings."""
    table = Table("Event", "Metadata", "Where", padding=(0, 2, 0, 0), box=None)
    if wide := width >= _NARROW:
        table.add_column("What")
    for column in table.columns:
        column.overflow = "fold"
    for entry in catalog.entries():
        what = [_summaries(entry.places)] if wide else []
        table.add_row(entry.name, ", ".join(entry.keys), _Where(entry.places), *what)
    for place in catalog.dynamic():
        table.add_row(styled((place.written, "yellow")), ", ".join(place.keys), _Where([place]))
    return table


class _Where:
    """Files and lines, one below the other. A path that is too long continues on the next line, after a slash."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._paths = [re.findall(r"[^/]*/|[^/]+", harmless(f"{place.file}:{place.line}")) for place in places]

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
    """Whether two catalogs are the same except for line numbers, which change with every edit."""
    return without_lines(one) == without_lines(other)


def without_lines(text: str) -> str:
    """The *text* of a catalog without line numbers."""
    return re.sub(r'("line": |\.py:)\d+', r"\1", text.replace("\r\n", "\n"))


def _summaries(places: Iterable[Place]) -> str:
    return " / ".join(dict.fromkeys(place.summary for place in places if place.summary))


def _code(text: str) -> str:
    # A bar ends a cell, even within code. Code that contains backticks needs more of them around it.
    ticks = "``" if "`" in text else "`"
    return f"{ticks}{_cell(text)}{ticks}"


def _cell(text: str) -> str:
    return harmless(" ".join(text.split())).replace("|", "\\|")
