"""`journy-track demo`: runs a sample product with the real library, over real HTTP, against a local journy.io."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.json import JSON
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

import journy_track
from journy_track import AccountIdentified, Client, ClientConfig, Event, Stats, Success, UserIdentified
from journy_track.cli.console import complain, counted, err, fail, need_inspector, no_listening, out, wait_for_ctrl_c
from journy_track.cli.outside import styled

if TYPE_CHECKING:
    from journy_track.inspector import Counts, Inspector

KEY = "demo-key-of-nobody"


def demo(
    serve: Annotated[bool, typer.Option("--serve", help="Keep the inspector's page up until Ctrl-C.")] = False,
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Port of the inspector; 0 for any free one.")
    ] = 0,
    jobs: Annotated[
        bool,
        typer.Option("--jobs", help="Instead, show one click in a shop of three processes: web, RQ worker, billing."),
    ] = False,
) -> None:
    """Run a sample product, and show what arrived at a local journy.io.

    It needs no account and no network.
    """
    need_inspector()
    from journy_track.inspector import Inspector

    # The settings of a real project, such as its broker or spool, would send the sample's data there.
    for name in [name for name in os.environ if name.startswith("JOURNY_")]:
        del os.environ[name]
    inspector = Inspector(port=port)
    try:
        inspector.start()
    except OSError as error:
        fail(f"Cannot listen on port {port}: {no_listening(error)}. Leave --port out for any free one.", 1)
    try:
        complete = (_run_jobs if jobs else _run)(inspector, serve)
    finally:
        inspector.stop()
    raise typer.Exit(0 if complete else 1)


def _stays_up(url: str) -> Text:
    return styled("The page stays up at ", (url, "bold"), "  (Ctrl-C ends it)")


def _run_jobs(inspector: Inspector, serve: bool) -> bool:
    from journy_track.cli import demo_jobs

    out.print(f"A local journy.io listens at {inspector.url}.")
    with demo_jobs.shop(inspector) as url:
        complete = demo_jobs.click(inspector, url)
        if serve:
            err.print()
            err.print(styled("The shop is open: click yourself at ", (url, "bold")))
            wait_for_ctrl_c(_stays_up(f"{inspector.url}/#/users/{demo_jobs.USER}"))
    return complete


def _run(inspector: Inspector, serve: bool) -> bool:
    from journy_track.cli import sample

    out.print(f"A local journy.io listens at {inspector.url}; a sample product runs against it.")
    out.print()
    journy_track.configure(KEY, base_url=inspector.url)
    sample.run()
    journy_track.flush(30)
    arrived = inspector.counts.requests
    # Before anything is printed, so that the output matches the page.
    results = _calls(inspector.url)
    stats = journy_track.stats()
    journy_track.shutdown()
    out.print(_events(inspector), _people(inspector), _accounts(inspector), sep="\n")
    _show_one_event(inspector)
    out.print(_results(results))
    complete = stats.captured == stats.delivered + stats.coalesced and stats.delivered == arrived
    _conclude(stats, arrived, [result for _, result in results], inspector.counts, complete=complete)
    if serve:
        err.print()
        wait_for_ctrl_c(_stays_up(inspector.url))
    return complete and all(isinstance(result, Success) for _, result in results)


def _events(inspector: Inspector) -> Table:
    table = Table(title="Events that arrived", title_justify="left")
    for column in ("Event", "Times", "Users", "Accounts", "Metadata"):
        table.add_column(column, justify="right" if column in ("Times", "Users", "Accounts") else "left")
    events = inspector.events
    for name, times in Counter(event.name for event in events).most_common():
        same = [event for event in events if event.name == name]
        users = {str(event.user) for event in same if event.user}
        accounts = {str(event.account) for event in same if event.account}
        keys = sorted({key for event in same for key in event.metadata})
        table.add_row(name, str(times), str(len(users)), str(len(accounts)), ", ".join(keys))
    return table


def _people(inspector: Inspector) -> Table:
    table = Table("ID", "E-mail", "Properties", title="Users: the last one was deleted", title_justify="left")
    for user in inspector.users:
        table.add_row(user.user_id, user.email, _properties(user.properties))
    return table


def _accounts(inspector: Inspector) -> Table:
    table = Table("ID", "Domain", "Properties", "Members", title="Accounts", title_justify="left")
    for account in inspector.accounts:
        members = ", ".join(sorted(str(m.get("userId", m.get("email"))) for m in account.members))
        table.add_row(account.account_id, account.domain, _properties(account.properties), members)
    return table


def _properties(properties: Any) -> str:
    return ", ".join(f"{key}={value}" for key, value in properties.items())


def _show_one_event(inspector: Inspector) -> None:
    invoices = (r for r in inspector.requests if r.json and r.json.get("name") == "created_invoice")
    received = next(invoices, None)
    if received is None:  # the last line shows that not everything arrived
        return
    out.print(
        Panel(
            JSON(json.dumps(received.json)),
            title=styled(f"One event: {received.method} {received.path}, request ID {received.request_id}"),
            title_align="left",
            expand=False,
        )
    )


def _calls(url: str) -> list[tuple[str, Any]]:
    """Make every call of the official SDKs, and return each with its result."""
    user, account = UserIdentified.by_user_id("userId"), AccountIdentified.by_account_id("accountId")
    volume = {"number": 1313, "string": "string", "boolean": True}
    john = {"full_name": "John Doe", "registered_at": datetime.now(UTC), "is_admin": True, "nickname": None}
    with Client(None, ClientConfig(KEY, base_url=url)) as client:
        two = [UserIdentified.by_user_id("userId1"), UserIdentified.by_email("user2@domain.tld")]
        acme = {"name": "ACME, Inc", "mrr": 399, "tags": ["a", "b"]}
        return [
            ("get_api_key_details()", client.get_api_key_details()),
            ("upsert_user(…)", client.upsert_user(user_id="userId", email="john@doe.tld", properties=john)),
            ("upsert_account(…)", client.upsert_account(account_id="accountId", properties=acme)),
            ("add_users_to_account(…)", client.add_users_to_account(account, two)),
            ("remove_users_from_account(…)", client.remove_users_from_account(account, two)),
            ("link(…)", client.link(device_id="a device", user_id="userId")),
            ("add_event(for_user)", client.add_event(Event.for_user("login", user).happened_at(datetime.now(UTC)))),
            (
                "add_event(for_account)",
                client.add_event(Event.for_account("reached_monthly_volume", account).with_metadata(volume)),
            ),
            (
                "add_event(for_user_in_account)",
                client.add_event(Event.for_user_in_account("updated_settings", user, account)),
            ),
            ("get_tracking_snippet(…)", client.get_tracking_snippet(domain="www.journy.io")),
            ("get_events()", client.get_events()),
            ("get_user_properties()", client.get_user_properties()),
            ("get_account_properties()", client.get_account_properties()),
            ("get_user_segments()", client.get_user_segments()),
            ("get_account_segments()", client.get_account_segments()),
            ("delete_user(…)", client.delete_user(user_id="userId", email="john@doe.tld")),
            ("delete_account(…)", client.delete_account(account_id="accountId")),
        ]


def _results(results: list[tuple[str, Any]]) -> Table:
    title = "The client: each call and its result"
    table = Table("Call", "Result", "Request ID", box=None, padding=(0, 2, 0, 0), title=title, title_justify="left")
    for call, result in results:
        data = "success" if result.success else f"{result.error}: {result.message}"
        table.add_row(call, data, result.request_id or "none: the response is empty")
    return table


def _conclude(stats: Stats, arrived: int, results: list[Any], counts: Counts, *, complete: bool) -> None:
    merged = f", merged into others {stats.coalesced}" if stats.coalesced else ""
    sample = f"captured {stats.captured}, delivered {stats.delivered}, arrived {arrived}{merged}"
    if not complete:
        complain(f"Not everything arrived: {sample}, dropped {dict(stats.dropped)}, given up {stats.given_up}.")
        return
    out.print(f"The sample: {sample}. The client: {counted(len(results), 'call')}.")
    out.print(
        f"The inspector: {counted(counts.requests, 'request')} with {counted(counts.accepted, 'event')}; "
        f"{results[-1].calls_remaining:,} of {results[-1].calls_limit:,} are left in this minute.",
        style="bold green",
    )
