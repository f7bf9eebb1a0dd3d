"""`journy-track track`: sends one event from the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from journy_track._delivery.ways import batches_of
from journy_track._model.errors import InvalidArgument
from journy_track._model.identity import AccountIdentified, UserIdentified
from journy_track._model.items import Event
from journy_track.cli.asking import send, why, why_batch
from journy_track.cli.connection import AsJson, BaseUrl, KeyFile, config_of
from journy_track.cli.console import fail, out
from journy_track.cli.outside import json_text, styled
from journy_track.cli.typed import TYPES, Mistyped, typed

#: The types that a KEY:TYPE=VALUE pair may name. `list` is parsed too, but refused with the remedy.
_OFFERED = ", ".join(name for name in TYPES if name != "list")


def track(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The event, in past tense: signed_in.", show_default=False)
    ],
    metadata: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help=f"Metadata: key=text, or key:type=value ({_OFFERED})."),
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="ID", help="ID of the user.")] = None,
    email: Annotated[str | None, typer.Option(metavar="E-MAIL", help="E-mail of the user.")] = None,
    account: Annotated[str | None, typer.Option(metavar="ID", help="ID of the account.")] = None,
    domain: Annotated[str | None, typer.Option(metavar="DOMAIN", help="Domain of the account.")] = None,
    happened_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it happened: ISO 8601 with its offset. Default: now.")
    ] = None,
    api_key_file: KeyFile = None,
    base_url: BaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Send one event and wait for the response.

    For example: journy-track track signed_in plan=pro seats:int=3 --user u1
    """
    event = _event(name, metadata or [], (user, email), (account, domain), happened_at)
    config = config_of(api_key_file, base_url)
    only_batches = None if config.write_key is None or config.rest_key else batches_of(config, config.write_key)
    if only_batches is not None and only_batches.lacks(event):
        needed = ["--user"] * (bool(email) and not user) + ["--account"] * (bool(domain) and not account)
        missing = " and ".join(needed)
        fail(f"Batches need IDs: pass {missing}, or set JOURNY_API_KEY beside JOURNY_WRITE_KEY.", 2)
    asked = send(config, event)
    problem = None
    if not asked.succeeded:
        batched = asked.batched
        problem = why_batch(asked.outcome, config.batch_url) if batched else why(asked.outcome, config.base_url)
    response = asked.response
    if as_json:
        document = {
            "ok": problem is None,
            "problem": problem,
            "event": event.body(),
            "status": None if response is None else response.status,
            "request_id": None if response is None else response.request_id,
            "fields": {} if response is None else dict(response.fields),
        }
        typer.echo(json_text(document))
        raise typer.Exit(0 if problem is None else 1)
    if problem is not None:
        fail(problem)
    assert response is not None
    how = "in a batch" if asked.batched else f"request ID {response.request_id}"
    out.print(styled(("sent", "green"), f" {name}  ", (f"{_whom(event)}, {how}", "dim")))


def _event(
    name: str,
    metadata: list[str],
    user: tuple[str | None, str | None],
    account: tuple[str | None, str | None],
    happened_at: str | None,
) -> Event:
    if not any((*user, *account)):
        fail("An event needs a user or an account: pass --user or --email, --account or --domain, or both.", 2)
    try:
        at = datetime.now(UTC) if happened_at is None else typed(happened_at, "datetime")
        assert isinstance(at, datetime)
        event = Event(
            name,
            UserIdentified(*user) if any(user) else None,
            AccountIdentified(*account) if any(account) else None,
            at,
            _metadata(metadata),
        )
    except Mistyped as error:
        fail(f"--happened-at must be {error}.", 2)
    except InvalidArgument as error:
        fail(f"{error}.", 2)
    for option, text, kept in (
        ("--email", user[1], event.user and event.user.email),
        ("--domain", account[1], event.account and event.account.domain),
    ):
        if text and not kept:  # next to an ID, the library would drop it silently: here a person typed it
            fail(f"{option} is malformed: {text!r}.", 2)
    converted, problems = event.converted()
    for key, reason in problems:
        fail(f"The value of {key!r} cannot be sent: {reason}.", 2)
    return converted


def _metadata(pairs: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key, _, kind = key.partition(":")
        if not equals or not key:
            fail(f"{pair!r} is not metadata: write key=value, or key:type=value.", 2)
        if key in values:
            fail(f"The metadata key {key!r} is given twice: pass it once.", 2)
        if (kind or "text") not in TYPES:
            fail(f"{kind!r} in {pair!r} is not a type: the types are {_OFFERED}.", 2)
        try:
            values[key] = typed(value, kind or "text")
        except Mistyped as error:
            fail(f"The value of {key!r} must be {error}.", 2)
    return values


def _whom(event: Event) -> str:
    user = None if event.user is None else event.user.user_id or event.user.email
    account = None if event.account is None else event.account.account_id or event.account.domain
    parts = [f"user {user}"] * (user is not None) + [f"account {account}"] * (account is not None)
    return ", ".join(parts)
