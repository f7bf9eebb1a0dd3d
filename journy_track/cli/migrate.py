"""`journy-track migrate`: rewrites calls of another library."""

from __future__ import annotations

import difflib
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from journy_track.cli.connection import AsJson
from journy_track.cli.console import complain, counted, err, fail, out
from journy_track.cli.outside import json_text, styled

if TYPE_CHECKING:
    from journy_track.cli.migrating.found import LeftAsIs, Migrated, Migration

FROM = ("segment", "posthog", "journyio")


def migrate(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files and folders. Default: this folder.")] = None,
    from_: Annotated[str, typer.Option("--from", help=f"{', '.join(FROM)}.", show_default=False)] = "",
    write: Annotated[bool, typer.Option("--write", help="Change the files. Without it, only report.")] = False,
    as_json: AsJson = False,
) -> None:
    """Rewrite calls of Segment, PostHog or the official SDK.

    It reports what would be changed, and with --write changes it. It changes calls whose arguments can all be
    understood by reading, and lists every other place with the reason and what to write there. None of the code is
    imported or run. Commit first.
    """
    if from_ not in FROM:
        fail(f"--from takes one of {', '.join(FROM)}.", 2)
    wanted = paths or [Path()]
    for path in wanted:
        if not path.exists():
            fail(f"Cannot read {path}: No such file or directory.", 2)
    try:
        from journy_track.cli.migrating.reading import VENDORS
        from journy_track.cli.migrating.reading import migrate as read
    except ModuleNotFoundError as error:
        if error.name != "libcst":
            raise
        fail("migrate needs libcst: pip install 'journy-track[migrate]'", 2)
    found = read(VENDORS[from_], wanted)
    refused = _write(found) if write else []
    # Files that could not be written have not been changed.
    found = replace(found, files=[replace(one, changed=[]) if one in refused else one for one in found.files])
    if as_json:
        typer.echo(json_text(_document(found)))
    else:
        _show(found, write=write)
    raise typer.Exit(1 if found.unread or refused else 0)


def _write(found: Migration) -> list[Migrated]:
    """Write all files that can be written, and return those that cannot."""
    refused = []
    for file in found.files:
        if file.changed:
            try:
                file.path.write_bytes(file.after)
            except OSError as error:
                complain(f"Cannot write {file.file}: {error.strerror or error}.")
                refused.append(file)
    return refused


def _show(found: Migration, *, write: bool) -> None:
    if not write:
        for file in found.files:
            _show_difference(file)
    if found.left:
        out.print(styled((f"Left to you: {counted(len(found.left), 'place')}", "bold")))
    for one in found.left:
        _show_left(one)
    for name, reason in found.unread.items():
        err.print(f"{name} {reason}.", style="bold red")
    changed = counted(found.count, "statement")
    files = counted(sum(bool(file.changed) for file in found.files), "file")
    if not found.files:
        err.print("There is nothing to migrate here.")
    elif write:
        err.print(
            f"Changed {changed} in {files}. The key is read from JOURNY_API_KEY, unless configure() is given one."
        )
    elif found.count:
        err.print(f"{changed} in {files} would be changed. Pass --write to apply.")


def _show_difference(file: Migrated) -> None:
    before, after = (text.decode("utf-8", "replace").splitlines() for text in (file.before, file.after))
    for line in difflib.unified_diff(before, after, file.file, file.file, lineterm=""):
        style = "green" if line.startswith("+") else "red" if line.startswith("-") else "dim"
        out.print(line, style=style, soft_wrap=True)


def _show_left(one: LeftAsIs) -> None:
    out.print(styled((f"{one.file}:{one.line}", "yellow"), f" {one.written}"), soft_wrap=True)
    for reason in one.reasons:
        out.print(f"    {reason}", soft_wrap=True)
    first, *more = one.instead.splitlines() or [""]
    if first:
        out.print(styled("    write: ", (first, "green")), soft_wrap=True)
    for line in more:
        out.print(styled((f"           {line}", "green")), soft_wrap=True)


def _document(found: Migration) -> dict[str, Any]:
    return {
        "changed": [
            {"file": file.file, "line": one.line, "written": one.written}
            for file in found.files
            for one in file.changed
        ],
        "left": [asdict(one) for one in found.left],
        "unread": found.unread,
    }
