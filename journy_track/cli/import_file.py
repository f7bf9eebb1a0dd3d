"""`journy-track import`: imports users, accounts and events from a CSV, JSON Lines or Parquet file."""

from __future__ import annotations

import logging
import shlex
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, NoReturn

import typer

from journy_track._model.config import Config
from journy_track._model.reads import GetApiKeyDetails
from journy_track._tracker import Tracker
from journy_track.cli.asking import ask, probe, problem_of, why
from journy_track.cli.connection import AsJson, BaseUrl, KeyFile, config_of
from journy_track.cli.console import complain, counted, err, fail, out
from journy_track.cli.importing.checking import Checked, checked
from journy_track.cli.importing.columns import FIELDS, Columns
from journy_track.cli.importing.courier import Courier
from journy_track.cli.importing.journal import Journal, Position, Unusable, is_unfinished
from journy_track.cli.importing.options import (
    EMPTY,
    FORMATS,
    REJECTED,
    Misused,
    about,
    check_names,
    check_patience,
    check_state,
    columns_of,
    fitting,
    problem_of_state,
    source_of,
)
from journy_track.cli.importing.process import EXIT_CODES, Busy, Interrupted, alone_with, stoppable
from journy_track.cli.importing.showing import Bar, faults_table, library_lines, outcome_table
from journy_track.cli.importing.source import InputFile, Unreadable
from journy_track.cli.outside import json_text, styled
from journy_track.cli.typed import TYPES
from journy_track.cli.usage import one_of

#: Seconds to finish requests in flight when the import is stopped.
_FAREWELL = 2.0
#: Seconds after its capture during which a row is retried.
_MAX_AGE = 24 * 3600.0
#: Seconds for which an unchanged user or account that journy.io confirmed is skipped, as in a sync.
_MONTH = 30 * 24 * 3600.0


def import_file(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="users….csv, accounts….parquet, events….jsonl", show_default=False)
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            autocompletion=one_of(*FIELDS),
            help=f"{', '.join(FIELDS)}. Default: from the file's name.",
        ),
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=FIELD", help="What a column means; COLUMN= leaves it out. Repeatable."),
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="COLUMN:TYPE",
            help=f"The type of a column: {', '.join(TYPES)}. Without it, cells of a CSV are text. Repeatable.",
        ),
    ] = None,
    empty: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            autocompletion=one_of(*EMPTY),
            help=f"What to do with empty cells (JSON: null): {', '.join(EMPTY)}.",
        ),
    ] = "omit",
    timezone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="Time zone for datetimes that have none; otherwise they are refused."),
    ] = None,
    undated: Annotated[
        bool, typer.Option("--undated", help="Accept events without happened_at: they get the time of the import.")
    ] = False,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            autocompletion=one_of(*FORMATS),
            help=f"{', '.join(FORMATS)}. Default: from the file's name.",
        ),
    ] = None,
    encoding: Annotated[str, typer.Option(metavar="NAME", help="Encoding of the file.")] = "utf-8",
    delimiter: Annotated[
        str, typer.Option(metavar="CHARACTER", help="The character that separates the cells of a CSV.")
    ] = ",",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check the rows. Needs no key.")] = False,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Send the valid rows even if others are invalid.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget how far an earlier run got, and send every row again.")
    ] = False,
    skip_unchanged: Annotated[
        bool,
        typer.Option(
            "--skip-unchanged", help="Do not send users and accounts that have not changed, according to --state."
        ),
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(
            envvar="JOURNY_SKIP_UNCHANGED_STATE",
            metavar="FILE",
            help="Digests of what journy.io confirmed: the file that sync_accounts() and sync_users() keep.",
        ),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(
            metavar="PART", help="Share of the key's rate budget to use, up to 1. Default: what others leave."
        ),
    ] = None,
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", help="Stop after this long without a row delivered or rejected.")
    ] = 600.0,
    api_key_file: KeyFile = None,
    base_url: BaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Import users, accounts or events from a file.

    It stays within the rate budget. If it was stopped or killed, run it again to resume. Every row is checked before
    the first is sent. Rejected rows are written to FILE.rejected.jsonl, with the reason: correct them there, and
    import that file.
    """
    if not file.exists():  # checked first, because the name of a missing file does not matter
        fail(f"Cannot read {file}: No such file or directory.", 2)
    try:
        source = source_of(file, format_, encoding, delimiter)
        columns = columns_of(file, kind, mapping or [], types or [], empty, timezone, undated=undated)
        check_patience(patience)
        check_state(columns.kind, state, skip_unchanged=skip_unchanged)
        source = source.pinned()
        check_names(columns, source.header())
        source = fitting(source, columns)
    except Misused as error:
        fail(str(error), 2)
    except Unreadable as error:
        fail(str(error), 2 if not file.is_file() else 1)
    if source.format == "rejected":
        of = file.with_name(file.name.removesuffix(REJECTED))
        if is_unfinished(of.with_name(f"{of.name}.import.json")):
            fail(f"The import of {of} is unfinished and still writes {file.name}: finish that one first.")
    config = config_of(
        api_key_file,
        base_url,
        need_key=not dry_run,
        share=share,
        queue_bytes=1 << 30,
        queue_size=100_000,
        max_age=_MAX_AGE,
        trace_ids=False,
        skip_unchanged=_MONTH if skip_unchanged else 0,
        skip_unchanged_state=state,
    )
    columns = replace(columns, ids_only=config.write_key is not None and config.rest_key is None)
    if dry_run:
        _dry_run(source, columns, as_json=as_json)
    if problem := problem_of_state(state):
        fail(problem)
    job = _Job(source, columns, config, _journal(source, columns, config), patience, as_json)
    try:
        with alone_with(file), stoppable() as interrupted:
            job.run(restart=restart, skip_invalid=skip_invalid, interrupted=interrupted)
    except Busy as error:
        fail(str(error))


def _journal(source: InputFile, columns: Columns, config: Config) -> Journal:
    beside = source.path.with_name
    name = source.path.name
    what = about(source, columns, config.base_url)
    return Journal(beside(f"{name}.import.json"), beside(f"{name}{REJECTED}"), what)


def _dry_run(source: InputFile, columns: Columns, *, as_json: bool) -> NoReturn:
    with stoppable() as interrupted:
        found = _checked(source, columns, interrupted)
    if as_json:
        faults = [{"line": line, "reason": reason} for line, reason in found.faults]
        document = {"ok": not found.at_fault, "rows": found.rows, "at_fault": found.at_fault, "faults": faults}
        typer.echo(json_text(document))
    elif found.at_fault:
        out.print(faults_table(found))
        complain(f"{_at_fault(found)}. Nothing was sent.")
    else:
        ready = "is" if found.rows == 1 else "are"
        out.print(f"{counted(found.rows, 'row')} {ready} ready to be imported. Nothing was sent.")
    raise typer.Exit(1 if found.at_fault else 0)


def _at_fault(found: Checked) -> str:
    return f"{found.at_fault:,} of {counted(found.rows, 'row')} {'is' if found.at_fault == 1 else 'are'} invalid"


def _checked(source: InputFile, columns: Columns, interrupted: Interrupted) -> Checked:
    def go_on() -> None:
        if why := interrupted():
            complain(f"{why} Nothing was sent.")
            raise typer.Exit(EXIT_CODES[why])

    large = source.path.stat().st_size > 1_000_000
    try:
        with err.status(styled(f"checking {source.path.name} …")) if err.is_terminal and large else nullcontext():
            return checked(source, columns, go_on)
    except Unreadable as error:
        fail(str(error))


@dataclass(frozen=True, slots=True)
class _Job:
    source: InputFile
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
        if self.config.rest_key is not None:
            asked = ask(self.config, GetApiKeyDetails())
            if not asked.succeeded:
                fail(why(asked.outcome, self.config.base_url))
        if self.config.write_key is not None:
            problem = problem_of(probe(self.config, self.config.write_key), self.config.batch_url)
            if problem is not None:
                fail(problem)
        try:
            self._send(position, interrupted)
        except OSError as error:
            fail(f"Cannot write beside {self.source.path}: {error.strerror or error}. {self._again()}")

    def _check(self, skip_invalid: bool, interrupted: Interrupted) -> int:
        found = _checked(self.source, self.columns, interrupted)
        if found.at_fault and not skip_invalid:
            err.print(faults_table(found))
            them = "it" if found.at_fault == 1 else "them"
            fail(f"{_at_fault(found)}, and nothing was sent. Correct {them}, or send the others with --skip-invalid.")
        return found.rows

    def _send(self, position: Position, interrupted: Interrupted) -> None:
        began = monotonic()
        settled = position.settled
        if settled:
            err.print(f"Resuming: {settled:,} of {counted(position.total, 'row')} done.")
        self.journal.begin(position)
        tracker = Tracker.of(replace(self.config, priority="bulk"))
        with library_lines(err) as lines:
            with Bar(err, self.source.path.name, position.total, settled) as bar:
                courier = Courier(
                    tracker, self.journal, position, interrupted=interrupted, patience=self.patience, show=bar.show
                )
                try:
                    stopped = courier.bring(self.source, self.columns)
                except Unreadable as error:
                    stopped = str(error)
                courier.save()  # before the shutdown, which may be cut short
            lines.setLevel(logging.CRITICAL)  # warnings about unsent rows would mislead: the next run sends them
            tracker.shutdown(_FAREWELL if stopped else 0.0)
        position = courier.save(done=stopped is None)
        rows = position.settled - settled
        self._conclude(position, stopped, began, sum(tracker.stats().responses.values()), rows)

    def _conclude(self, position: Position, stopped: str | None, began: float, requests: int, rows: int) -> NoReturn:
        if self.as_json:
            typer.echo(json_text(self._document(position, stopped, monotonic() - began)))
        else:
            out.print(outcome_table(position, self.journal.rejected.name, began, requests, rows))
        if stopped is None and (position.rejected or position.in_part):
            err.print(
                f"Correct the rows in {self.journal.rejected}, and import that file with the same options.",
                soft_wrap=True,
            )
        if stopped is not None:
            err.print()
            complain(stopped)
            err.print(self._again(), soft_wrap=True)
            raise typer.Exit(EXIT_CODES.get(stopped, 1))
        raise typer.Exit(1 if position.rejected or position.in_part else 0)

    def _document(self, position: Position, stopped: str | None, seconds: float) -> dict[str, Any]:
        return {
            "ok": stopped is None and not position.rejected and not position.in_part,
            "file": str(self.source.path),
            "kind": self.columns.kind,
            "rows": position.total,
            "delivered": position.delivered,
            "unchanged": position.unchanged,
            "delivered_in_part": position.in_part,
            "rejected": position.rejected,
            "left": position.total - position.settled,
            "stopped": stopped,
            "rejected_file": str(self.journal.rejected) if self.journal.rejected.exists() else None,
            "state_file": str(self.journal.state),
            "seconds": round(seconds, 3),
        }

    def _say_it_is_done(self, position: Position) -> NoReturn:
        if self.as_json:
            typer.echo(json_text(self._document(position, None, 0.0)))
        err.print(f"{self.source.path.name} was imported already. To send every row again: --restart")
        raise typer.Exit(1 if position.rejected or position.in_part else 0)

    def _again(self) -> str:
        words = [word for word in sys.argv[1:] if word != "--restart"]
        join = subprocess.list2cmdline if sys.platform == "win32" else shlex.join
        return f"To resume: {join(['journy-track', *words])}"
