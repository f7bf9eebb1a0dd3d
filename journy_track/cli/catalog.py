"""`journy-track catalog`: every event that the code tracks, by reading it without importing it."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from journy_track.cli.cataloguing.forms import FORMATS, as_json, as_markdown, as_table, same, without_lines
from journy_track.cli.cataloguing.found import Catalog
from journy_track.cli.cataloguing.reading import read
from journy_track.cli.connection import AsJson
from journy_track.cli.console import err, fail, out

_BY_SUFFIX = {".json": "json", ".md": "markdown"}


def catalog(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files and folders. Else this folder.")] = None,
    format_: Annotated[str | None, typer.Option("--format", help=f"{', '.join(FORMATS)}.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it to a file: .json or .md.")] = None,
    check: Annotated[
        Path | None,
        typer.Option(help="Fail when it differs from this committed file (.json or .md), but for line numbers."),
    ] = None,
    as_json_: AsJson = False,
) -> None:
    """List every event that the code tracks: name, metadata keys, file and line, docstring.

    Flags names that are made at run time, and a @track_event that a framework would never call.
    """
    if output is not None and check is not None:
        fail("--output writes the file, --check compares with it: give one of them.", 2)
    if as_json_ and format_ not in (None, "json"):
        fail(f"--json and --format {format_}: give one of them.", 2)
    form = _form("json" if as_json_ else format_, output or check)
    wanted = paths or [Path()]
    for path in wanted:
        if not path.exists():
            fail(f"There is no {path}.", 2)
    found = read(wanted)
    text = "" if form == "table" else as_json(found) if form == "json" else as_markdown(found)
    differs = False
    if check is not None:
        differs = not _is_as_committed(text, check)
    elif output is not None:
        _write(text, output)
    elif form == "table":
        out.print(as_table(found, out.width) if found.places else "No event is tracked here.")
    else:
        typer.echo(text, nl=False)
    _tell(found, wanted)
    raise typer.Exit(1 if differs or found.unread else 0)


def _form(format_: str | None, file: Path | None) -> str:
    if format_ is not None and format_ not in FORMATS:
        fail(f"--format takes one of {', '.join(FORMATS)}.", 2)
    if file is None:
        return format_ or "table"
    form = _BY_SUFFIX.get(file.suffix.lower(), format_)
    if form in (None, "table"):
        fail(f"{file.name} must end in .json or .md, or say --format json or --format markdown.", 2)
    if format_ not in (None, form):
        fail(f"{file.name} ends in {file.suffix}, and --format says {format_}.", 2)
    return form or "json"


def _is_as_committed(text: str, file: Path) -> bool:
    try:
        committed = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        fail(f"There is no {file}. Write it with: journy-track catalog --output {file}")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"Cannot read {file}: {error}.")
    if same(text, committed):
        err.print(f"{file} says what the code tracks.")
        return True
    ours, theirs = without_lines(text).splitlines(), without_lines(committed).splitlines()
    for line in difflib.unified_diff(theirs, ours, f"{file} (committed)", "the code", lineterm="", n=1):
        style = "green" if line.startswith("+") else "red" if line.startswith("-") else "dim"
        out.print(line, style=style, markup=False, soft_wrap=True)
    err.print(f"{file} differs from what the code tracks. Write it anew with --output {file}", style="bold red")
    return False


def _write(text: str, file: Path) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"Cannot write {file}: {error.strerror or error}.")
    err.print(f"Wrote {file}.")


def _tell(found: Catalog, paths: list[Path]) -> None:
    for place in found.problems():
        err.print(
            f"[yellow]{escape(f'{place.file}:{place.line}')}[/yellow] {escape(place.written)}: "
            f"{escape(place.problem or '')}",
            soft_wrap=not err.is_terminal,
        )
    for file, reason in found.unread.items():
        err.print(f"{file} {reason}.", style="bold red", markup=False)
    if not found.places and not found.unread:
        err.print(f"Nothing in {', '.join(map(str, paths))} imports journy_track and tracks with it.", style="dim")
