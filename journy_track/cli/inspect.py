"""`journy-track inspect`: runs a local journy.io in the foreground, or while a command runs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from journy_track.cli.connection import BaseUrl, KeyFile, config_of
from journy_track.cli.console import counted, err, fail, need_inspector, no_listening, out
from journy_track.cli.outside import styled

if TYPE_CHECKING:
    from journy_track.cli.forwarding import JournyIo
    from journy_track.inspector import Inspector
    from journy_track.inspector.catalogue import ReadCatalogue


def inspect(
    context: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND", help="A program to run, pointed here; its exit code is passed on."),
    ] = None,
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Port to listen on; 0 for any free one.")
    ] = 8470,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, help="Requests that each key may make per window.")
    ] = 1800,
    window: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="Length of the sliding window of --limit.")
    ] = 60.0,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on. Other than loopback needs --allow-host.")
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name by which others may call it, as in docker compose. Repeatable."),
    ] = None,
    stay: Annotated[bool, typer.Option("--stay", help="Keep the page up after COMMAND ends.")] = False,
    forward: Annotated[
        bool, typer.Option("--forward", help="Live: also send what it accepts to journy.io, with your key.")
    ] = False,
    api_key_file: KeyFile = None,
    base_url: BaseUrl = None,
    catalog: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A committed catalogue (.md or .json) to compare with. Default: events.md or events.json.",
        ),
    ] = None,
    trace_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="URL of a trace: https://…/{trace_id}. The page links to it."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not print a line for each request.")] = False,
) -> None:
    """Show what your app sends, in a local stand-in for journy.io.

    It prints a line for each request. A COMMAND is run with settings that point it here. If an inspector already
    runs at the port, COMMAND is pointed at that one; if another program uses the port, another port is taken.
    """
    need_inspector()
    from journy_track.cli import around
    from journy_track.cli.request_lines import request_lines
    from journy_track.inspector import Inspector
    from journy_track.inspector.guard import is_loopback

    names = allow_host or []
    if not (names or is_loopback(host)):
        fail(f"{host} can be reached from other machines: pass the name they use for it with --allow-host NAME.", 2)
    if not forward and (api_key_file or base_url):
        fail("--api-key-file and --base-url only apply to --forward: pass that as well.", 2)
    if command and port and (who := around.who_listens(host, port)):
        if who == "inspector" and _is_as_any(context):
            raise typer.Exit(around.run_beside(f"http://{f'[{host}]' if ':' in host else host}:{port}", command))
        err.print(f"Port {port} is taken by {'another inspector' if who == 'inspector' else who}: using another one.")
        port = 0
    target = _target(api_key_file, base_url, port) if forward else None
    reads = _catalogue(catalog)
    try:
        inspector = Inspector(
            host,
            port,
            limit=limit,
            window=window,
            allowed_hosts=names,
            allow_remote=bool(names),
            forward=target,
            catalogue=reads,
            trace_url=trace_url,
        )
        if target is not None:
            err.print(
                f"LIVE: what it accepts is also sent to {target.name}, with the key {target.key}.",
                style="bold yellow",
            )
        if command:
            code = around.run_with(inspector, command, stay=stay, quiet=quiet)
            _tell_forwarded(inspector, target)
            raise typer.Exit(code)
        with request_lines(inspector, out, quiet=quiet):
            inspector.run(lambda ready: _tell(ready, names, host))
        _tell_forwarded(inspector, target)
    except ValueError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(f"Cannot listen on {host}:{port}: {no_listening(error)}. Try --port 0 for any free port.", 1)


def _target(key_file: Path | None, base_url: str | None, port: int) -> JournyIo:
    from journy_track.cli.forwarding import target_of

    return target_of(config_of(key_file, base_url), base_url, port)


def _catalogue(file: Path | None) -> ReadCatalogue | None:
    """A reader for the named catalogue, or the one in this folder. Exits with 2 if the named one cannot be read."""
    from journy_track.cli.cataloguing.committed import read_committed, usual_catalogue

    if file is None:
        file = usual_catalogue(Path())
    else:
        try:
            read_committed(file)
        except ValueError as error:
            fail(str(error), 2)
    if file is None:
        return None
    err.print(f"It compares what arrives with the catalogue {file}.")
    return partial(read_committed, file)


def _tell_forwarded(inspector: Inspector, target: JournyIo | None) -> None:
    if target is not None:
        sent, failed = inspector.forwarded
        style = "bold red" if failed else ""
        err.print(f"Also sent to {target.name}: {counted(sent, 'request')}. Failed there: {failed:,}.", style=style)


def _is_as_any(context: typer.Context) -> bool:
    """Whether an inspector that runs already will do: no option on the command line configures a different one."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name for name, source in sources.items() if getattr(source, "name", None) == "COMMANDLINE"}
    return given <= {"command", "port", "host", "stay", "quiet"}


def _tell(inspector: Inspector, names: list[str], host: str) -> None:
    from journy_track.inspector.guard import is_loopback

    err.print(styled("The inspector listens at ", (inspector.url, "bold"), "  (Ctrl-C ends it)"))
    err.print("A development tool: it forgets everything when it ends.")
    err.print()
    err.print("Point an app here, in its environment:")
    err.print(f"  JOURNY_BASE_URL={inspector.url}")
    err.print("or in its code; no key is needed:")
    err.print(f'  journy_track.configure(base_url="{inspector.url}")')
    err.print("To send in batches, as with a write key, beside it:")
    err.print("  JOURNY_WRITE_KEY=development")
    if names and is_loopback(host):
        err.print("It listens on this machine only: for others add --host 0.0.0.0", style="yellow")
    elif names:
        port = inspector.url.rpartition(":")[2]
        err.print("From another machine or container, any key will do:")
        err.print(f"  JOURNY_BASE_URL=http://{names[0]}:{port}")
        err.print("  JOURNY_ALLOW_HTTP=true JOURNY_API_KEY=development")
