"""`journy-track doctor`: what a setup looks like from inside, for bug reports and for the first day."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from itertools import groupby
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from journy_track._model.config import Config
from journy_track._model.reads import GetApiKeyDetails
from journy_track.cli import doctoring
from journy_track.cli.asking import ask, why
from journy_track.cli.check import permissions_of
from journy_track.cli.connection import AsJson, BaseUrl, KeyFile, key_of
from journy_track.cli.console import err, out
from journy_track.cli.doctoring import Finding

_MARKS = {"ok": "[green]✓[/green]", "note": "[yellow]·[/yellow]", "problem": "[bold red]✗[/bold red]"}


def doctor(
    api_key_file: KeyFile = None,
    base_url: BaseUrl = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not try to reach the API.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at settings and where they come from, versions, the process, and the way to the API.

    It never shows the key. Exits with 1 when something is wrong.
    """
    findings = _findings({"api_key": key_of(api_key_file), "base_url": base_url}, offline=offline)
    problems = [finding for finding in findings if finding.state == "problem"]
    if as_json:
        document = {"ok": not problems, "findings": [dataclasses.asdict(finding) for finding in findings]}
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        out.print(_table(findings))
        if problems:
            count = "One thing is" if len(problems) == 1 else f"{len(problems)} things are"
            err.print(f"{count} wrong: {', '.join(finding.name for finding in problems)}.", style="bold red")
        else:
            err.print("Nothing is wrong.", style="green")
    raise typer.Exit(1 if problems else 0)


def _findings(arguments: dict[str, Any], *, offline: bool) -> list[Finding]:
    findings = [*doctoring.settings(arguments, os.environ)]
    config, wrong = doctoring.together(arguments, os.environ)
    told = {finding.value for finding in findings}
    findings += [finding for finding in wrong if finding.value not in told]
    findings += doctoring.versions()
    findings += doctoring.process()
    findings += doctoring.network(os.environ)
    if config is not None:
        if config.spool is not None:
            findings += doctoring.spool(config.spool, config.spool_limit)
        if not offline:
            findings += doctoring.way(config)
            findings += _answer(config)
    return findings


def _answer(config: Config) -> Iterable[Finding]:
    if config.usable_key is None:
        return
    asked = ask(config, GetApiKeyDetails())
    permissions = permissions_of(asked)
    if permissions is None:
        yield Finding("reach", "API", why(asked.outcome, config.base_url), "problem")
    else:
        may = ", ".join(permissions) or "nothing"
        yield Finding("reach", "API", f"accepts the key in {asked.seconds * 1000:.0f} ms; it may: {may}")


def _table(findings: list[Finding]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    table.add_column(style="dim", overflow="fold")
    for number, (topic, found) in enumerate(groupby(findings, key=lambda finding: finding.topic)):
        if number:
            table.add_row()
        table.add_row("", f"[bold]{topic}[/bold]")
        for finding in found:
            table.add_row(
                _MARKS[finding.state], escape(finding.name), escape(finding.value), escape(finding.origin or "")
            )
    return table
