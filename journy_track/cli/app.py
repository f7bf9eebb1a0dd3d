"""The Typer app, with all commands."""

from __future__ import annotations

import typer

from journy_track._stores.sqlite import NEED_SQLITE, is_sqlite
from journy_track._version import __version__
from journy_track.cli.catalog import catalog
from journy_track.cli.check import check
from journy_track.cli.console import fail
from journy_track.cli.demo import demo
from journy_track.cli.doctor import doctor
from journy_track.cli.guide import guide
from journy_track.cli.import_file import import_file
from journy_track.cli.inspect import inspect
from journy_track.cli.migrate import migrate
from journy_track.cli.relay import relay
from journy_track.cli.track import track
from journy_track.cli.usage import CliCommand, CliGroup

app: typer.Typer = typer.Typer(
    cls=CliGroup,
    name="journy-track",
    help="Instrumentation for journy.io.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command(cls=CliCommand)(demo)
# Options after the command belong to it: `inspect -- python app.py --port 3`, with or without the two dashes.
app.command(cls=CliCommand, context_settings={"allow_interspersed_args": False})(inspect)
app.command(cls=CliCommand)(check)
app.command(cls=CliCommand)(track)
app.command("import", cls=CliCommand)(import_file)
app.command(cls=CliCommand)(catalog)
app.command(cls=CliCommand)(guide)
app.command(cls=CliCommand)(migrate)
app.command(cls=CliCommand)(doctor)
app.command(cls=CliCommand)(relay)


def _add_spool() -> None:
    try:
        from journy_track.cli.spool import spool
    except ModuleNotFoundError as error:
        if not is_sqlite(error):
            raise
        ignored = {"allow_extra_args": True, "ignore_unknown_options": True}
        app.command("spool", cls=CliCommand, context_settings=ignored)(_without_sqlite)
    else:
        app.add_typer(spool)  # typer lists groups last, so it is next to relay, the last command


def _without_sqlite() -> None:
    """Needs SQLite, which this Python does not have."""
    fail(f"{NEED_SQLITE}.", 2)


_add_spool()


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"journy-track {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """What every command shares."""
