"""The tables for readers who switch from another library: both calls in a row send the same."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from journyio import account_identified, events, httpclient, user_identified
from journyio import client as sdk
from journyio.utils import JournyException

import journy_track
from journy_track import AccountIdentified, Client, ClientConfig, Event, UserIdentified
from journy_track.inspector import Inspector

from .reading import code_spans, page, section
from .telling import told

TEXT = page("guides/coming-from")
CALLS = [
    [(code_spans(cell) or [None])[0] for cell in row] for row in section(TEXT, "Coming from the official SDK").rows
]
FROM_OTHERS = section(TEXT, "Coming from PostHog or Segment")
MOMENT = datetime(2026, 5, 17, 9, 30, tzinfo=UTC)


def filled(holder: Any) -> Any:
    holder["plan"] = "pro"
    return holder


def theirs(api: Inspector, call: str) -> None:
    given = {
        "client": sdk.Client(httpclient.HttpClientRequests(), sdk.Config("a-key", api.url)),
        "Event": events.Event,
        "user": user_identified.UserIdentified.by_user_id("u1"),
        "account": account_identified.AccountIdentified.by_account_id("acme"),
        "properties": filled(sdk.Properties()),
        "metadata": filled(events.Metadata()),
        "moment": MOMENT,
    }
    with contextlib.suppress(JournyException):  # the SDK raises on a successful response, as the README explains
        eval(call, given)


IDENTITIES = {
    "user": UserIdentified.by_user_id("u1"),
    "account": AccountIdentified.by_account_id("acme"),
    "moment": MOMENT,
}


def queued(api: Inspector, call: str) -> None:
    journy_track.configure("a-key", base_url=api.url)
    eval(f"journy_track.{call}", {"journy_track": journy_track, **IDENTITIES})
    assert journy_track.flush(timeout=30)


def at_once(api: Inspector, call: str) -> None:
    with Client(None, ClientConfig("a-key", base_url=api.url)) as client:
        result = eval(call, {"client": client, "Event": Event, **IDENTITIES})
    assert result.success


@pytest.mark.parametrize(("column", "ours"), [(1, queued), (2, at_once)], ids=["queued", "at once"])
@pytest.mark.parametrize("row", CALLS, ids=lambda row: row[0])
def test_a_call_of_the_official_sdk_is_the_same_request_here(
    api: Inspector, row: list[str], column: int, ours: Callable[[Inspector, str], None]
):
    if row[column] is None:
        assert "get_" in row[0]  # a call with a result is not queued
        return
    theirs(api, row[0])
    ours(api, row[column])
    one, other = map(told, api.requests)
    moment = MOMENT.isoformat()
    assert one.replace(moment, "2026-05-17T09:30:00.000Z").replace(" untimed", "") == other.replace(" untimed", "")


def test_each_call_of_the_official_sdk_is_in_the_table():
    known = {name for name in vars(sdk.Client) if not name.startswith("_")}
    assert known == {re.match(r"client\.(\w+)", row[0])[1] for row in CALLS}


def test_what_others_capture_is_sent_here_as_the_readme_says(api: Inspector):
    comment = re.search(r"<!-- runs\n(.*?)-->", "\n".join(FROM_OTHERS.lines), re.DOTALL)
    journy_track.configure("a-key", base_url=api.url)
    for row in FROM_OTHERS.rows:
        for call in code_spans(row[-1]):
            if not call.startswith(("with ", "journy_track.configure", "journy_track.shutdown", "__journey")):
                eval(call, {"journy_track": journy_track})
    assert journy_track.flush(timeout=30)
    assert sorted(map(told, api.requests)) == sorted(comment[1].split("\n")[:-1])
