"""`journy-track catalog`: lists every event that the code tracks, by reading the code without importing it."""

from __future__ import annotations

import difflib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from journy_track._model.call import ApiCall
from journy_track._model.config import Config
from journy_track._model.reads import GetAccountProperties, GetEvents, GetUserProperties
from journy_track.cli.asking import ask, why
from journy_track.cli.cataloguing.against import AtJourny, differences
from journy_track.cli.cataloguing.forms import (
    FORMATS,
    annotation,
    as_github,
    as_json,
    as_list,
    as_markdown,
    as_schema,
    as_table,
    same,
    without_lines,
)
from journy_track.cli.cataloguing.found import Catalog
from journy_track.cli.cataloguing.reading import read
from journy_track.cli.connection import AsJson, BaseUrl, KeyFile, config_of
from journy_track.cli.console import complain, counted, err, fail, out
from journy_track.cli.covering.showing import show_coverage
from journy_track.cli.outside import json_text, styled
from journy_track.cli.usage import one_of

_BY_SUFFIX = {".json": "json", ".md": "markdown"}


def catalog(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH", help="Files and folders. Default: this folder.")
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", autocompletion=one_of(*FORMATS), help=f"{', '.join(FORMATS)}."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it to this file: .json or .md.")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Fail if it differs from this committed file (.json or .md), line numbers aside, "
            "or if a typed event is declared or constructed wrongly.",
        ),
    ] = None,
    against_api: Annotated[
        bool, typer.Option("--against-api", help="Fail if events or properties differ from those of journy.io.")
    ] = False,
    elsewhere: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Name that other code sends, for --against-api; may contain *. Repeatable."
        ),
    ] = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="All places and docstrings, even if they do not fit the terminal.")
    ] = False,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="List routes, views, tasks and commands that track nothing.")
    ] = False,
    fail_under: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="With --coverage: fail if less than this percentage tracks something."),
    ] = None,
    badge: Annotated[Path | None, typer.Option(help="With --coverage: also write an SVG badge.")] = None,
    api_key_file: KeyFile = None,
    base_url: BaseUrl = None,
    as_json_: AsJson = False,
) -> None:
    """List every event that the code tracks.

    Typed events are listed with their fields and types. Problems come first: names that are made at run time, a
    @track_event that a framework would never call, and keys and values that a typed event does not have. On a
    terminal it shows what fits, elsewhere everything. None of the code runs.
    """
    _check_options(output, check, against_api, coverage, fail_under, badge)
    if as_json_ and format_ not in (None, "json"):
        fail(f"--json and --format {format_}: give one of them.", 2)
    form = _form("json" if as_json_ else format_, output or check)
    wanted = paths or [Path()]
    for path in wanted:
        if not path.exists():
            fail(f"Cannot read {path}: No such file or directory.", 2)
    if coverage:
        raise typer.Exit(0 if show_coverage(wanted, form, fail_under, badge) else 1)
    config = config_of(api_key_file, base_url) if against_api else None
    found = read(wanted)
    screen = _Screen(out.height) if form == "table" and out.is_terminal and not show_all else None
    differs = False
    if format_ == "github":
        typer.echo(as_github(found), nl=False)
    else:
        _tell(found, wanted, screen)
    if config is not None:
        differs = _differs_from_api(found, config, form, elsewhere or [])
    elif check is not None:
        differs = not _is_as_committed(_written(found, form), check, github=format_ == "github")
        differs |= bool(found.mistakes())
    elif output is not None:
        _write(_written(found, form), output)
    elif form == "table":
        _show(found, screen)
    elif form != "github":
        typer.echo(_written(found, form), nl=False)
    raise typer.Exit(1 if differs or found.unread else 0)


def _check_options(
    output: Path | None,
    check: Path | None,
    against_api: bool,
    coverage: bool,
    fail_under: float | None,
    badge: Path | None,
) -> None:
    if sum([output is not None, check is not None, against_api, coverage]) > 1:
        fail(
            "--output writes the file, --check compares with it, --against-api with journy.io, --coverage lists what "
            "tracks nothing: give one of them.",
            2,
        )
    if not coverage and (fail_under is not None or badge is not None):
        fail("--fail-under and --badge need --coverage.", 2)


def _written(found: Catalog, form: str) -> str:
    return {"json": as_json, "markdown": as_markdown, "schema": as_schema}[form](found)


def _form(format_: str | None, file: Path | None) -> str:
    if format_ is not None and format_ not in FORMATS:
        fail(f"--format takes one of {', '.join(FORMATS)}.", 2)
    if file is None:
        return format_ or "table"
    form = _BY_SUFFIX.get(file.suffix.lower(), format_)
    if form in (None, "table", "github"):
        fail(f"{file.name} must end in .json or .md, or pass --format json or --format markdown.", 2)
    if form == "json" and format_ == "schema":
        return "schema"
    if format_ not in (None, "github", form):
        fail(f"{file.name} ends in {file.suffix}, and --format is {format_}.", 2)
    return form or "json"


def _is_as_committed(text: str, file: Path, *, github: bool) -> bool:
    try:
        committed = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        fail(f"There is no {file}. Write it with: journy-track catalog --output {file}")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"Cannot read {file}: {error}.")
    if same(text, committed):
        err.print(f"{file} matches what the code tracks.")
        return True
    if github:
        message = f"it differs from what the code tracks: journy-track catalog --output {file.as_posix()}"
        typer.echo(annotation("error", message, file.as_posix()))
        return False
    ours, theirs = without_lines(text).splitlines(), without_lines(committed).splitlines()
    for line in difflib.unified_diff(theirs, ours, f"{file} (committed)", "the code", lineterm="", n=1):
        style = "green" if line.startswith("+") else "red" if line.startswith("-") else "dim"
        out.print(line, style=style, soft_wrap=True)
    complain(f"{file} differs from what the code tracks. Rewrite it with --output {file}")
    return False


def _differs_from_api(found: Catalog, config: Config, form: str, elsewhere: list[str]) -> bool:
    if config.rest_key is None:
        fail("Only the REST API lists the events and properties: set JOURNY_API_KEY.", 2)
    known = AtJourny(*(_rows(config, call) for call in (GetEvents(), GetUserProperties(), GetAccountProperties())))
    different = differences(found, known, elsewhere)
    if form == "json":
        typer.echo(json_text({"differences": [asdict(one) for one in different]}))
        return bool(different)
    for one in different:
        text = f"The {one.kind} {one.name} {one.problem}."
        if form == "github":
            typer.echo(annotation("error", text, one.file, one.line))
        else:
            out.print(
                styled((f"{one.file}:{one.line}" if one.file else "journy.io", "yellow"), f" {text}"), soft_wrap=True
            )
    if different and found.dynamic():
        err.print("Some names are known only when the code runs, and were not compared.", style="dim")
    if not different:
        err.print(f"{urlsplit(config.base_url).netloc} knows the same events and properties as the code.")
    return bool(different)


def _rows(config: Config, call: ApiCall) -> list[dict[str, Any]]:
    asked = ask(config, call)
    data = asked.response.data if asked.succeeded and asked.response is not None else None
    if not isinstance(data, list):
        fail(why(asked.outcome, config.base_url))
    return [row for row in data if isinstance(row, dict)]


def _write(text: str, file: Path) -> None:
    try:
        file.write_text(text, encoding="utf-8", newline="\n")  # the same on every system: it is committed
    except OSError as error:
        fail(f"Cannot write {file}: {error.strerror or error}.")
    err.print(f"Wrote {file}.")


class _Screen:
    """The terminal lines that are left, not counting the prompt, the heading of the list and the summary."""

    def __init__(self, height: int) -> None:
        self.left: int = max(6, height - 4)

    def take(self, heights: list[int], part: float = 1.0) -> int:
        """How many items of these *heights* fit in *part* of the lines that are left, with one line for the rest."""
        room = int(self.left * part)
        if sum(heights) <= room:
            self.left -= sum(heights)
            return len(heights)
        self.left -= room
        taken = 0
        while sum(heights[: taken + 1]) <= room - 1:
            taken += 1
        return taken


def _show(found: Catalog, screen: _Screen | None) -> None:
    if not found.places:
        out.print("No event is tracked here.")
        return
    entries, dynamic = found.entries(), found.dynamic()
    if screen is None:
        out.print(as_table(found, out.width))
    else:
        lines = len(entries) + len(dynamic)
        shown = screen.take([1] * lines)
        out.print(as_list(found, shown))
        if shown < lines:
            out.print(f"… and {lines - shown:,} more: --all", style="dim")
    where = f"{counted(len(found.places), 'place')} in {counted(len({place.file for place in found.places}), 'file')}"
    wrong = len(found.problems()) + len(found.unread)
    verdict = (f"{counted(wrong, 'problem')}.", "bold red") if wrong else "Nothing is wrong."
    named_later = f", and {counted(len(dynamic), 'name')} made at run time" if dynamic else ""
    err.print(styled(f"{counted(len(entries), 'event')}{named_later}, at {where}. ", verdict))


def _tell(found: Catalog, paths: list[Path], screen: _Screen | None) -> None:
    lines = [
        styled((f"{place.file}:{place.line}", "yellow"), f" {place.written}: {place.problem or ''}")
        for place in found.problems()
    ]
    shown = (
        len(lines) if screen is None else screen.take([len(line.wrap(err, err.width)) for line in lines], part=0.5)
    )
    for file, reason in found.unread.items():
        complain(f"{file} {reason}.")
    for line in lines[:shown]:
        err.print(line, soft_wrap=not err.is_terminal)
    if shown < len(lines):
        err.print(f"… and {counted(len(lines) - shown, 'more problem')}: --all", style="dim")
    if not found.places and not found.unread:
        err.print(f"Nothing in {', '.join(map(str, paths))} imports journy_track and tracks with it.", style="dim")
