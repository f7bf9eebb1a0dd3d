"""`journy-track catalog --coverage`: prints the handlers that track nothing, and checks the required percentage."""

from __future__ import annotations

from pathlib import Path

import typer

from journy_track.cli.cataloguing.forms import annotation
from journy_track.cli.console import err, fail, out
from journy_track.cli.covering.coverage import Coverage, WrongSettings, allow_list, read_coverage
from journy_track.cli.covering.forms import FORMATS, as_badge, as_github, as_json, as_lines, shown, summary

_SETTINGS = Path("pyproject.toml")
#: Terminal lines that the list may not use.
_AROUND = 6


def show_coverage(paths: list[Path], form: str, fail_under: float | None, badge: Path | None) -> bool:
    """Print the coverage of *paths* and write *badge*. Returns whether it is high enough and all files were read."""
    if form not in FORMATS:
        fail(f"--coverage takes --format {', '.join(FORMATS)}.", 2)
    try:
        coverage = read_coverage(paths, allow_list(_SETTINGS))
    except WrongSettings as error:
        fail(str(error), 2)
    enough = fail_under is None or coverage.percent >= fail_under
    verdict = "" if enough else f"{shown(coverage)} is less than --fail-under {fail_under:g}."
    if form == "json":
        typer.echo(as_json(coverage), nl=False)
    elif form == "github":
        for line in [*as_github(coverage), *([annotation("error", verdict, None)] if verdict else [])]:
            typer.echo(line)
    else:
        _print(coverage)
    if badge is not None:
        _write(coverage, badge)
    for pattern in coverage.unused:
        err.print(f"allow: {pattern!r} matches no handler without tracking; remove it.", style="yellow")
    if form != "github":
        for file, reason in coverage.unread.items():
            err.print(f"{file} {reason}.", style="bold red")
        if verdict:
            err.print(verdict, style="bold red")
    return enough and not coverage.unread


def _print(coverage: Coverage) -> None:
    lines = as_lines(coverage)
    most = out.height - _AROUND if out.is_terminal else len(lines)
    for line in lines[:most]:
        if out.is_terminal:
            out.print(line, no_wrap=True, overflow="ellipsis")
        else:
            out.print(line, soft_wrap=True)
    if len(lines) > most:
        out.print("…", f"{len(lines) - most} more lines: pipe the output or pass --json to see all", style="dim")
    if lines:
        out.print()
    if coverage.elsewhere:
        out.print(f"Not checked, in other packages: {', '.join(coverage.elsewhere)}.", style="dim")
    if allowed := len(coverage.handlers) - len(coverage.counted):
        out.print(f"On the allow-list, and not counted: {allowed}.", style="dim")
    out.print(summary(coverage))


def _write(coverage: Coverage, badge: Path) -> None:
    try:
        badge.write_text(as_badge(coverage), encoding="utf-8")
    except OSError as error:
        fail(f"Cannot write {badge}: {error.strerror or error}.")
    err.print(f"Wrote {badge}.")
