"""`journy-track import`: users, accounts and events from a CSV or JSON Lines file."""

from __future__ import annotations

import json
import logging
import shlex
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, NoReturn

import typer

from journy_track._model.config import Config
from journy_track._model.reads import GetApiKeyDetails
from journy_track._tracker import Tracker
from journy_track.cli.asking import ask, why
from journy_track.cli.connection import AsJson, BaseUrl, KeyFile, config_of
from journy_track.cli.console import counted, err, fail, out
from journy_track.cli.importing.checking import Checked, checked
from journy_track.cli.importing.columns import FIELDS, Columns
from journy_track.cli.importing.courier import Courier
from journy_track.cli.importing.journal import Journal, Position, Unusable
from journy_track.cli.importing.options import (
    EMPTY,
    Misused,
    about,
    check_names,
    check_patience,
    columns_of,
    source_of,
)
from journy_track.cli.importing.process import EXIT_CODES, Busy, Interrupted, alone_with, stoppable
from journy_track.cli.importing.showing import Bar, faults_table, library_lines, outcome_table
from journy_track.cli.importing.source import Source, Unreadable
from journy_track.cli.typed import TYPES

#: Seconds for what is on its way when the import is stopped.
_FAREWELL = 2.0
#: Seconds after its capture during which a row is tried.
_MAX_AGE = 24 * 3600.0


def import_file(
    file: Annotated[Path, typer.Argument(help="users….csv, accounts….jsonl, events….jsonl", show_default=False)],
    kind: Annotated[str | None, typer.Option(help=f"{', '.join(FIELDS)}. Else from the file's name.")] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=FIELD", help="What a column is; COLUMN= leaves it out. Repeatable."),
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="COLUMN:TYPE",
            help=f"Of which type a column is: {', '.join(TYPES)}. Cells of a CSV are text, unless said. Repeatable.",
        ),
    ] = None,
    empty: Annotated[
        str, typer.Option(help=f"What becomes of empty cells (JSON: null): {', '.join(EMPTY)}.")
    ] = "omit",
    timezone: Annotated[
        str | None, typer.Option(help="Time zone of datetimes that name none. Else they are refused.")
    ] = None,
    undated: Annotated[
        bool, typer.Option("--undated", help="Take events without happened_at: they get the time of the import.")
    ] = False,
    format_: Annotated[str | None, typer.Option("--format", help="csv or jsonl. Else from the file's name.")] = None,
    encoding: Annotated[str, typer.Option(help="Encoding of the file.")] = "utf-8",
    delimiter: Annotated[str, typer.Option(help="What separates the cells of a CSV.")] = ",",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check the rows. Needs no key.")] = False,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Send the valid rows although others are at fault.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget how far an earlier run came, and send every row again.")
    ] = False,
    share: Annotated[
        float | None, typer.Option(help="Part of the key's rate budget to use, up to 1. Else what others leave.")
    ] = None,
    patience: Annotated[float, typer.Option(help="Seconds without a settled row after which it stops.")] = 600.0,
    api_key_file: KeyFile = None,
    base_url: BaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Import a file, within the rate budget. Stopped or killed, it goes on where it was when started again.

    Every row is checked before the first is sent. What is rejected goes to FILE.rejected.jsonl, with the reason.
    """
    if not file.exists():  # first: what its name says does not matter then
        fail(f"Cannot read {file}: No such file or directory.", 2)
    try:
        source = source_of(file, format_, encoding, delimiter)
        columns = columns_of(
            file,
            kind,
            mapping or [],
            types or [],
            empty,
            timezone,
            undated=undated,
            empty_text=source.format == "jsonl",
        )
        check_patience(patience)
        check_names(columns, source.header())
    except Misused as error:
        fail(str(error), 2)
    except Unreadable as error:
        fail(str(error), 2 if not file.is_file() else 1)
    if dry_run:
        _dry_run(source, columns, as_json=as_json)
    config = config_of(
        api_key_file,
        base_url,
        share=share,
        queue_bytes=1 << 30,
        queue_size=100_000,
        max_age=_MAX_AGE,
        trace_ids=False,
    )
    job = _Job(source, columns, config, _journal(source, columns, config), patience, as_json)
    try:
        with alone_with(file), stoppable() as interrupted:
            job.run(restart=restart, skip_invalid=skip_invalid, interrupted=interrupted)
    except Busy as error:
        fail(str(error))


def _journal(source: Source, columns: Columns, config: Config) -> Journal:
    beside = source.path.with_name
    name = source.path.name
    try:
        what = about(source, columns, config.base_url)
    except Unreadable as error:
        fail(str(error))
    return Journal(beside(f"{name}.import.json"), beside(f"{name}.rejected.jsonl"), what)


def _dry_run(source: Source, columns: Columns, *, as_json: bool) -> NoReturn:
    with stoppable() as interrupted:
        found = _checked(source, columns, interrupted)
    if as_json:
        faults = [{"line": line, "reason": reason} for line, reason in found.faults]
        document = {"ok": not found.at_fault, "rows": found.rows, "at_fault": found.at_fault, "faults": faults}
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif found.at_fault:
        out.print(faults_table(found))
        err.print(f"{_at_fault(found)}. Nothing was sent.", style="bold red")
    else:
        ready = "is" if found.rows == 1 else "are"
        out.print(f"{counted(found.rows, 'row')} {ready} ready to be imported. Nothing was sent.")
    raise typer.Exit(1 if found.at_fault else 0)


def _at_fault(found: Checked) -> str:
    return f"{found.at_fault:,} of {counted(found.rows, 'row')} {'is' if found.at_fault == 1 else 'are'} at fault"


def _checked(source: Source, columns: Columns, interrupted: Interrupted) -> Checked:
    def go_on() -> None:
        if why := interrupted():
            err.print(f"{why} Nothing was sent.", style="bold red")
            raise typer.Exit(EXIT_CODES[why])

    large = source.path.stat().st_size > 1_000_000
    try:
        with err.status(f"checking {source.path.name} …") if err.is_terminal and large else nullcontext():
            return checked(source, columns, go_on)
    except Unreadable as error:
        fail(str(error))


@dataclass(frozen=True, slots=True)
class _Job:
    source: Source
    columns: Columns
    config: Config
    journal: Journal
    patience: float
    as_json: bool

    def run(self, *, restart: bool, skip_invalid: bool, interrupted: Interrupted) -> None:
        try:
            position = None if restart else self.journal.load()
        except Unusable as error:
            fail(str(error), 2)
        if position is not None and position.done:
            self._say_it_is_done(position)
        if position is None:
            position = Position(total=self._check(skip_invalid, interrupted))
        asked = ask(self.config, GetApiKeyDetails())
        if not asked.succeeded:
            fail(why(asked.outcome, self.config.base_url))
        try:
            self._send(position, interrupted)
        except OSError as error:
            fail(f"Cannot write beside {self.source.path}: {error.strerror or error}. {self._again()}")

    def _check(self, skip_invalid: bool, interrupted: Interrupted) -> int:
        found = _checked(self.source, self.columns, interrupted)
        if found.at_fault and not skip_invalid:
            err.print(faults_table(found))
            fail(f"{_at_fault(found)}, and nothing was sent. Mend them, or send the others with --skip-invalid.")
        return found.rows

    def _send(self, position: Position, interrupted: Interrupted) -> None:
        began = monotonic()
        settled = position.delivered + position.rejected
        if settled:
            err.print(f"Going on: {settled:,} of {counted(position.total, 'row')} settled.")
        self.journal.begin(position)
        tracker = Tracker.of(self.config)
        with library_lines(err) as lines:
            with Bar(err, self.source.path.name, position.total, settled) as bar:
                courier = Courier(
                    tracker, self.journal, position, interrupted=interrupted, patience=self.patience, show=bar.show
                )
                try:
                    stopped = courier.bring(self.source, self.columns)
                except Unreadable as error:
                    stopped = str(error)
                courier.save()  # before the farewell, which may be cut short
            lines.setLevel(logging.CRITICAL)  # what is not sent now is sent by the next run, and not lost
            tracker.shutdown(_FAREWELL if stopped else 0.0)
        position = courier.save(done=stopped is None)
        rows = position.delivered + position.rejected - settled
        self._conclude(position, stopped, began, tracker.stats().delivered, rows)

    def _conclude(self, position: Position, stopped: str | None, began: float, requests: int, rows: int) -> NoReturn:
        if self.as_json:
            typer.echo(json.dumps(self._document(position, stopped, monotonic() - began), indent=2))
        else:
            out.print(outcome_table(position, self.journal.rejected.name, began, requests, rows))
        if stopped is not None:
            err.print(f"\n{stopped}", style="bold red", markup=False)
            err.print(self._again(), markup=False, soft_wrap=True)
            raise typer.Exit(EXIT_CODES.get(stopped, 1))
        raise typer.Exit(1 if position.rejected or position.in_part else 0)

    def _document(self, position: Position, stopped: str | None, seconds: float) -> dict[str, Any]:
        return {
            "ok": stopped is None and not position.rejected and not position.in_part,
            "file": str(self.source.path),
            "kind": self.columns.kind,
            "rows": position.total,
            "delivered": position.delivered,
            "delivered_in_part": position.in_part,
            "rejected": position.rejected,
            "left": position.total - position.delivered - position.rejected,
            "stopped": stopped,
            "rejected_file": str(self.journal.rejected) if self.journal.rejected.exists() else None,
            "state_file": str(self.journal.state),
            "seconds": round(seconds, 3),
        }

    def _say_it_is_done(self, position: Position) -> NoReturn:
        if self.as_json:
            typer.echo(json.dumps(self._document(position, None, 0.0), indent=2))
        err.print(f"{self.source.path.name} was imported already. To send every row again: --restart")
        raise typer.Exit(1 if position.rejected or position.in_part else 0)

    def _again(self) -> str:
        words = [word for word in sys.argv[1:] if word != "--restart"]
        return f"To go on where it stopped: {shlex.join(['journy-track', *words])}"
