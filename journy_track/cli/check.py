"""`journy-track check`: shows whether the key works, its permissions, and its remaining rate budget."""

from __future__ import annotations

from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from journy_track._model.reads import GetApiKeyDetails
from journy_track.cli.asking import Asked, ask, probe, problem_of, why
from journy_track.cli.connection import AsJson, BaseUrl, KeyFile, config_of
from journy_track.cli.console import fail, out
from journy_track.cli.outside import json_text


def check(api_key_file: KeyFile = None, base_url: BaseUrl = None, as_json: AsJson = False) -> None:
    """Ask journy.io what the key may do, and what is left of its budget.

    It also measures how long a response takes. For a write key there is no such call: an empty batch shows whether
    the server responds, and whether it refuses the key.
    """
    config = config_of(api_key_file, base_url)
    asked = None if config.rest_key is None else ask(config, GetApiKeyDetails())
    permissions = None if asked is None else permissions_of(asked)
    problem = None if asked is None or permissions is not None else why(asked.outcome, config.base_url)
    batches = None if config.write_key is None else probe(config, config.write_key)
    batch_problem = None if batches is None else problem_of(batches, config.batch_url)
    if as_json:
        document: dict[str, Any] = {"ok": not (problem or batch_problem)}
        if asked is not None:
            document |= _document(asked, permissions, problem, config.base_url)
        if batches is not None:
            document["batches"] = _batches(batches, batch_problem, config.batch_url)
        typer.echo(json_text(document))
        raise typer.Exit(0 if document["ok"] else 1)
    if problems := [found for found in (problem, batch_problem) if found is not None]:
        fail(" ".join(problems))
    if asked is not None:
        _show(asked, permissions or (), config.base_url)
    if batches is not None:
        _show_batches(batches, config.batch_url)


def permissions_of(asked: Asked) -> tuple[str, ...] | None:
    """The key's permissions; `None` if the response does not contain them."""
    data = asked.response.data if asked.succeeded and asked.response is not None else None
    permissions = data.get("permissions") if isinstance(data, dict) else None
    return tuple(str(permission) for permission in permissions) if isinstance(permissions, list) else None


def _document(
    asked: Asked, permissions: tuple[str, ...] | None, problem: str | None, base_url: str
) -> dict[str, Any]:
    response = asked.response
    return {
        "base_url": base_url,
        "problem": problem,
        "permissions": None if permissions is None else list(permissions),
        "calls_limit": None if response is None else response.calls_limit,
        "calls_remaining": None if response is None else response.calls_remaining,
        "round_trip_ms": round(asked.seconds * 1000, 1),
        "status": None if response is None else response.status,
        "request_id": None if response is None else response.request_id,
    }


def _show(asked: Asked, permissions: tuple[str, ...], base_url: str) -> None:
    response = asked.response
    assert response is not None
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("key", Text("accepted", "green"))
    table.add_row("by", base_url)
    table.add_row("may", ", ".join(permissions) or Text("nothing: it has no permissions", "yellow"))
    table.add_row("budget", _budget(response.calls_remaining, response.calls_limit))
    table.add_row("round trip", f"{asked.seconds * 1000:.0f} ms, including the connection")
    table.add_row("request ID", response.request_id or "none")
    out.print(table)


def _batches(asked: Asked, problem: str | None, batch_url: str) -> dict[str, Any]:
    return {
        "batch_url": batch_url,
        "problem": problem,
        "round_trip_ms": round(asked.seconds * 1000, 1),
        "status": None if asked.response is None else asked.response.status,
    }


def _show_batches(asked: Asked, batch_url: str) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    assert asked.response is not None
    table.add_row("write key", "not refused, but no call can verify it: send an event, and look for it at journy.io")
    table.add_row("by", batch_url)
    table.add_row("sent", f"an empty batch; the response was {asked.response.status}")
    table.add_row("round trip", f"{asked.seconds * 1000:.0f} ms, including the connection")
    out.print(table)


def _budget(remaining: int | None, limit: int | None) -> str:
    if remaining is None or limit is None:
        return "unknown"
    return f"{remaining:,} of {limit:,} requests left in this minute"
