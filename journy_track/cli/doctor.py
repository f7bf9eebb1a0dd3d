"""`journy-track doctor`: shows the state of a setup, for bug reports and for the first day."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from itertools import groupby
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from journy_track._model.config import Config
from journy_track._model.reads import GetApiKeyDetails
from journy_track._model.secret import Secret
from journy_track.cli import doctoring
from journy_track.cli.asking import ask, probe, problem_of, why
from journy_track.cli.check import permissions_of
from journy_track.cli.connection import AsJson, BaseUrl, KeyFile, key_of
from journy_track.cli.console import can_print, counted, err, out
from journy_track.cli.doctoring import Finding
from journy_track.cli.outside import json_text, styled

_MARKS = {"ok": Text("✓", "green"), "note": Text("·", "yellow"), "problem": Text("✗", "bold red")}
#: The versions that a reader looks for first.
_OURS = ("python", "journy-track")


def doctor(
    api_key_file: KeyFile = None,
    base_url: BaseUrl = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not try to reach the API.")] = False,
    show_all: Annotated[
        bool, typer.Option("--all", help="Also show settings at their defaults, and the versions of all packages.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check settings, versions, the process, and the path to the API.

    Problems come first. It shows where settings come from, but never the key. On a terminal it shows what matters,
    elsewhere everything. Exits with 1 if something is wrong.
    """
    findings = _findings({"api_key": key_of(api_key_file), "base_url": base_url}, offline=offline)
    problems = [finding for finding in findings if finding.state == "problem"]
    if as_json:
        document = {"ok": not problems, "findings": [dataclasses.asdict(finding) for finding in findings]}
        typer.echo(json_text(document))
    else:
        whole = show_all or not out.is_terminal
        out.print(_table(findings, whole=whole))
        _conclude(problems, [] if whole else [finding for finding in findings if _is_usual(finding)])
    raise typer.Exit(1 if problems else 0)


def _findings(arguments: dict[str, Any], *, offline: bool) -> list[Finding]:
    findings = [*doctoring.settings(arguments, os.environ)]
    config, wrong = doctoring.together(arguments, os.environ)
    if config is not None:  # if base_url is this machine, the default is derived from it
        where = {"batch_url": config.batch_url}
        findings = [dataclasses.replace(found, value=where.get(found.name, found.value)) for found in findings]
    known = {finding.value for finding in findings}
    findings += [finding for finding in wrong if finding.value not in known]
    findings += doctoring.versions()
    findings += doctoring.process()
    findings += doctoring.network(os.environ)
    if config is not None:
        if config.spool is not None:
            findings += doctoring.spool(config.spool, config.spool_limit)
        if not offline:
            if isinstance(config.broker, Secret):
                findings += doctoring.broker(config.broker)
            # Otherwise a relay calls the API, not this process.
            if config.write_key is not None:
                findings += doctoring.way(config.batch_url, config.timeout)
                findings += _batches_reached(config, config.write_key)
            elif config.broker is None or config.api_key is not None:
                findings += doctoring.way(config.base_url, config.timeout)
            if config.api_key is not None or config.broker is None:
                findings += _reached(config)
    return findings


def _reached(config: Config) -> Iterable[Finding]:
    if config.rest_key is None:
        return
    asked = ask(config, GetApiKeyDetails())
    permissions = permissions_of(asked)
    if permissions is None:
        yield Finding("reach", "API", why(asked.outcome, config.base_url), "problem")
    else:
        may = ", ".join(permissions) or "nothing"
        yield Finding("reach", "API", f"accepts the key in {asked.seconds * 1000:.0f} ms; it may: {may}")


def _batches_reached(config: Config, write_key: Secret) -> Iterable[Finding]:
    asked = probe(config, write_key)
    if problem := problem_of(asked, config.batch_url):
        yield Finding("reach", "batches", problem, "problem")
        return
    assert asked.response is not None
    took = f"respond to an empty batch ({asked.response.status}) in {asked.seconds * 1000:.0f} ms"
    yield Finding("reach", "batches", f"{took}, and do not refuse the write key, but no call can verify it")


def _is_usual(finding: Finding) -> bool:
    """Whether this is a routine finding, such as a default. These would hide the problems among them."""
    if finding.state != "ok":
        return False
    return finding.origin == "default" or (finding.topic == "versions" and finding.name not in _OURS)


def _table(findings: list[Finding], *, whole: bool) -> Table:
    """Problems first, then notes, then the rest by topic; with *whole*, including the routine findings."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    table.add_column(style="dim", overflow="fold")

    def add(found: Iterable[Finding]) -> None:
        for finding in found:
            mark = _MARKS[finding.state]
            table.add_row(
                mark if can_print(mark.plain) else finding.state, finding.name, finding.value, finding.origin or ""
            )

    first = sorted((finding for finding in findings if finding.state != "ok"), key=lambda one: one.state == "note")
    add(first)
    rest = [finding for finding in findings if finding.state == "ok" and (whole or not _is_usual(finding))]
    for topic, found in groupby(rest, key=lambda finding: finding.topic):
        if whole and table.row_count:
            table.add_row()
        table.add_row("", Text(topic, "bold"))
        add(found)
    return table


def _conclude(problems: list[Finding], hidden: list[Finding]) -> None:
    more = ""
    if hidden:
        defaults = sum(finding.origin == "default" for finding in hidden)
        parts = [counted(defaults, "setting") + " at the default", counted(len(hidden) - defaults, "version")]
        more = f" Not shown: {', '.join(parts)}: --all."
    if problems:
        count = "One thing is" if len(problems) == 1 else f"{len(problems)} things are"
        verdict = (f"{count} wrong: {', '.join(finding.name for finding in problems)}.", "bold red")
    else:
        verdict = ("Nothing is wrong.", "green")
    err.print(styled(verdict, (more, "dim")))
