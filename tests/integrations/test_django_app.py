"""The Django app of this library: its system check, and the events of sign-in and sign-up signals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("django", reason="needs Django")
pytestmark = pytest.mark.slow

APPS = Path(__file__).parent / "apps"
JANE = {"userId": "1", "email": "jane@acme.com"}
JILL = {"userId": "18", "email": "jill@acme.com"}


def visit(api, journy: dict[str, Any], *options: str) -> list[tuple[str, Any, Any]]:
    """Return the events of a site with these settings, in order of capture."""
    status, err = run(api, "django_events.py", json.dumps(journy), *options)
    assert status == 0, err
    return [
        (event.name, event.user and dict(event.user), event.account and event.account["accountId"])
        for event in sorted(api.events, key=lambda event: event.triggered_at)
    ]


def run(api, *arguments: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=APPS,
        env={**os.environ, "JOURNY_BASE_URL": api.url, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_by_default_signals_send_nothing(api):
    assert visit(api, {}) == []


def test_signing_in_and_out_and_new_users_are_events_of_the_users_own(api):
    events = {"user_logged_in": "signed_in", "user_logged_out": "signed_out", "user_created": "signed_up"}
    assert visit(api, {"events": events, "account": "shop.account_of"}) == [
        ("signed_up", JANE, None),  # not Joe, whose transaction failed, nor Jim, who is from a fixture
        ("signed_in", JANE, "acme.com"),
        ("signed_out", JANE, "acme.com"),
    ]


def test_the_user_of_an_event_is_the_one_whom_a_function_of_the_site_returns(api):
    events = {"user_logged_in": "signed_in", "user_logged_out": "signed_out"}
    assert visit(api, {"events": events, "user": "shop.user_of"}) == [
        ("signed_in", {"userId": "own-jane"}, None),
        ("signed_out", {"userId": "own-jane"}, None),
    ]


def test_allauths_signals_are_known_where_it_is_installed(api):
    pytest.importorskip("allauth", reason="needs django-allauth")
    events = {"user_logged_in": "signed_in", "user_signed_up": "signed_up"}
    assert visit(api, {"events": events}, "allauth") == [
        ("signed_in", JANE, None),
        ("signed_up", JILL, None),
        ("signed_in", JILL, None),
    ]


@pytest.mark.parametrize(
    ("journy", "said"),
    [
        ({"events": {"user_loged_in": "signed_in"}}, "no key 'user_loged_in' (did you mean 'user_logged_in'?)"),
        (
            {"events": {"user_logged_in": ""}},
            "JOURNY['events']['user_logged_in'] must be the name of an event; got ''",
        ),
        (
            {"events": {"user_signed_up": "signed_up"}},
            "without 'allauth.account' in INSTALLED_APPS, use 'user_created'",
        ),
        ({"events": {"user_login_failed": "failed"}}, "'user_login_failed': it has no user"),
        (
            {"events": {"user_created": "signed_up"}, "user": "shop.user_of"},
            "JOURNY['events']['user_created'] cannot be combined with JOURNY['user']",
        ),
        ({"events": ["user_logged_in"]}, "JOURNY['events'] must be a dict with some of user_created, user_logged_in"),
    ],
    ids=str,
)
def test_a_wrong_event_stops_the_start_and_says_why(api, journy, said):
    status, err = run(api, "django_events.py", json.dumps(journy))
    assert status == 1
    assert said in err


def check(api, tmp_path, journy: dict[str, Any], *options: str, **environment: str) -> tuple[int, str]:
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "db.sqlite3")}
    return run(
        api,
        "django_sync/manage.py",
        "check",
        *options,
        JOURNY=json.dumps(journy),
        DATABASE=json.dumps(database),
        STATE=str(tmp_path / "state"),
        **environment,
    )


def test_the_check_is_silent_where_all_is_well(api, tmp_path):
    assert check(api, tmp_path, {}, "--tag", "journy", "--deploy") == (
        0,
        "System check identified no issues (0 silenced).\n",
    )


def test_the_check_names_each_mistake(api, tmp_path):
    wrong = {
        "acount": "shop.tracking.accounts",
        "user": "shop.nowhere.users",
        "account": 3,
        "trust": "signed",
        "sync": {"account": "shop.tracking.accounts", "users": "shop.tracking.people"},
    }
    status, said = check(api, tmp_path, wrong)
    assert status == 1
    assert said.count("(journy_track.E001)") == 4
    assert "JOURNY has no key 'acount' (did you mean 'account'?). It has user, account, metadata, skip" in said
    assert "JOURNY['user']: 'shop.nowhere.users' cannot be imported: No module named 'shop.nowhere'" in said
    assert "JOURNY['account'] must be a function or the path of one; got 3" in said
    assert "JOURNY['sync'] has no key 'account' (did you mean 'accounts'?)" in said
    status, said = check(api, tmp_path, {"sync": {"users": "shop.tracking.people"}})
    assert status == 1
    assert "JOURNY['sync']['users']: 'shop.tracking.people' cannot be imported" in said
    assert (
        "JOURNY['sync'] names no rows: it needs 'accounts' or 'users'"
        in check(api, tmp_path, {"sync": {"state": "here"}})[1]
    )


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"CONFIGURED": "0"}, "(journy_track.W001) journy_track is not configured"),
        ({"JOURNY_BASE_URL": "https://api.journy.io"}, "(journy_track.W002) journy_track has no key"),
        ({"JOURNY_ENABLED": "0"}, "no issues"),
    ],
    ids=str,
)
def test_in_production_a_missing_key_is_a_warning(api, tmp_path, environment, said):
    status, printed = check(api, tmp_path, {}, "--deploy", "--tag", "journy", **environment)
    assert status == 0
    assert said in printed
    assert "W00" not in check(api, tmp_path, {}, **environment)[1]
