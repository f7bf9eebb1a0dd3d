"""`journy-track check`: whether the key works, what it may do, and what is left of its budget."""

from __future__ import annotations

import json

import typer
from rich.table import Table

from journy_track._model.reads import GetApiKeyDetails
from journy_track.cli.asking import Asked, ask, why
from journy_track.cli.connection import AsJson, BaseUrl, KeyFile, config_of
from journy_track.cli.console import fail, out


def check(api_key_file: KeyFile = None, base_url: BaseUrl = None, as_json: AsJson = False) -> None:
    """Ask journy.io about the key: its permissions, its rate budget, and how long an answer takes."""
    config = config_of(api_key_file, base_url)
    asked = ask(config, GetApiKeyDetails())
    permissions = permissions_of(asked)
    problem = None if permissions is not None else why(asked.outcome, config.base_url)
    if as_json:
        typer.echo(json.dumps(_document(asked, permissions, problem, config.base_url), indent=2))
        raise typer.Exit(0 if problem is None else 1)
    if problem is not None:
        fail(problem)
    _show(asked, permissions or (), config.base_url)


def permissions_of(asked: Asked) -> tuple[str, ...] | None:
    """What the key may do; `None` when journy.io did not say."""
    data = asked.answer.data if asked.succeeded and asked.answer is not None else None
    permissions = data.get("permissions") if isinstance(data, dict) else None
    return tuple(str(permission) for permission in permissions) if isinstance(permissions, list) else None


def _document(asked: Asked, permissions: tuple[str, ...] | None, problem: str | None, base_url: str) -> object:
    answer = asked.answer
    return {
        "ok": problem is None,
        "base_url": base_url,
        "problem": problem,
        "permissions": None if permissions is None else list(permissions),
        "calls_limit": None if answer is None else answer.calls_limit,
        "calls_remaining": None if answer is None else answer.calls_remaining,
        "round_trip_ms": round(asked.seconds * 1000, 1),
        "status": None if answer is None else answer.status,
        "request_id": None if answer is None else answer.request_id,
    }


def _show(asked: Asked, permissions: tuple[str, ...], base_url: str) -> None:
    answer = asked.answer
    assert answer is not None
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("key", "[green]accepted[/green]")
    table.add_row("by", base_url)
    table.add_row("may", ", ".join(permissions) or "[yellow]nothing: it has no permissions[/yellow]")
    table.add_row("budget", _budget(answer.calls_remaining, answer.calls_limit))
    table.add_row("round trip", f"{asked.seconds * 1000:.0f} ms, with connecting")
    table.add_row("request ID", answer.request_id or "none")
    out.print(table)


def _budget(remaining: int | None, limit: int | None) -> str:
    if remaining is None or limit is None:
        return "not said"
    return f"{remaining:,} of {limit:,} requests left in this minute"
