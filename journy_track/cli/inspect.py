"""`journy-track inspect`: the local journy.io, in the foreground or around a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from journy_track.cli.console import err, fail, need_inspector, no_listening, out
from journy_track.cli.outside import styled

if TYPE_CHECKING:
    from journy_track.inspector import Inspector


def inspect(
    context: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND", help="A program to run, pointed here; its exit code is passed on."),
    ] = None,
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Port to listen on; 0 takes any free one.")
    ] = 8470,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, help="Requests that each key may make per window.")
    ] = 1800,
    window: Annotated[float, typer.Option(metavar="SECONDS", min=0.1, help="The sliding window of --limit.")] = 60.0,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on. Others than loopback need --allow-host.")
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="A name under which others may call it, as in docker compose. Can be repeated."
        ),
    ] = None,
    stay: Annotated[bool, typer.Option("--stay", help="Keep the page up after COMMAND has ended.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no line for each request.")] = False,
) -> None:
    """Show what your app sends, in a local stand-in for journy.io.

    It prints a line for each request. A COMMAND is run with the settings that point it here. When an inspector runs
    at the port already, COMMAND is pointed at that one; when another program has the port, another is taken.
    """
    need_inspector()
    from journy_track.cli import around
    from journy_track.cli.request_lines import request_lines
    from journy_track.inspector import Inspector
    from journy_track.inspector.guard import is_loopback

    names = allow_host or []
    if not (names or is_loopback(host)):
        fail(f"{host} can be reached from other machines: name it as they do, with --allow-host NAME.", 2)
    if command and port and (who := around.who_listens(host, port)):
        if who == "inspector" and _is_as_any(context):
            raise typer.Exit(around.run_beside(f"http://{f'[{host}]' if ':' in host else host}:{port}", command))
        err.print(f"Port {port} is taken by {'another inspector' if who == 'inspector' else who}: another is used.")
        port = 0
    try:
        inspector = Inspector(host, port, limit=limit, window=window, allowed_hosts=names, allow_remote=bool(names))
        if command:
            raise typer.Exit(around.run_with(inspector, command, stay=stay, quiet=quiet))
        with request_lines(inspector, out, quiet=quiet):
            inspector.run(lambda ready: _tell(ready, names, host))
    except ValueError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(f"Cannot listen on {host}:{port}: {no_listening(error)}. Try --port 0 for any free port.", 1)


def _is_as_any(context: typer.Context) -> bool:
    """Whether no option asks for an inspector that is not as the one that runs already."""
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
