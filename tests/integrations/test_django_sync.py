"""`manage.py journy_sync` with the accounts and users of a real database, in separate processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from journy_track._state.alone import AloneWithFile
from tests.postgres_server import postgres_server
from tests.timing import eventually

pytest.importorskip("django", reason="needs Django")
pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parent / "apps" / "django_sync"
COUNT = 600  # three times what the queue holds


class Site:
    """A project, its database and its state."""

    def __init__(self, api: Any, folder: Path, database: dict[str, Any]) -> None:
        self.api = api
        self.state = folder / "journy.state"
        self._environment = {
            **os.environ,
            "JOURNY_BASE_URL": api.url,
            "DATABASE": json.dumps(database),
            "STATE": str(self.state),
        }

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env={**self._environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def sync(self, *arguments: str, **environment: str) -> str:
        """Run a sync that delivers everything, and return its output."""
        status, out, err = self.run("journy_sync", *arguments, **environment)
        assert status == 0, out + err
        return out


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    pytest.importorskip("psycopg", reason="needs psycopg")
    with postgres_server() as folder:
        yield folder


@pytest.fixture(params=["sqlite", "postgres"])
def site(request, api, tmp_path) -> Site:
    if request.param == "sqlite":
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "db.sqlite3")}
    else:
        import psycopg

        host, name = request.getfixturevalue("postgres"), tmp_path.name.replace("-", "_").lower()
        with psycopg.connect(host=host, user="postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        database = {"ENGINE": "django.db.backends.postgresql", "NAME": name, "USER": "postgres", "HOST": host}
    site = Site(api, tmp_path, database)
    status, _, err = site.run("fill", str(COUNT), JOURNY_ENABLED="0")
    assert status == 0, err
    return site


def times_of_accounts(api) -> Counter[str]:
    paths = [request.json["identification"].get("accountId") for request in api.requests]
    return Counter(account for account in paths if account)


def test_it_sends_all_and_then_what_changed(site):
    assert f"accounts: {COUNT} captured, {COUNT} delivered" in site.sync("accounts")
    assert site.sync("users").startswith("users: 10 captured, 10 delivered")
    assert len(site.api.requests) == COUNT + 10
    site.run("change", "7")
    out = site.sync()
    assert f"accounts: {COUNT} captured, 7 delivered, {COUNT - 7} unchanged" in out
    assert "users: 10 captured, 10 unchanged" in out
    assert len(site.api.requests) == COUNT + 17
    assert Counter(account.properties["plan"] for account in site.api.accounts) == {"free": 7, "pro": COUNT - 7}
    assert site.api.accounts[0].properties["mrr"] == 9.5
    assert {user.email for user in site.api.users} == {f"u{number}@acme.com" for number in range(10)}


def test_a_server_side_cursor_in_a_transaction_lives_as_long_as_the_sync_waits(site):
    assert f"{COUNT} delivered" in site.sync("accounts", IN_TRANSACTION="1")


def test_a_dry_run_counts_and_all_sends_again(site):
    assert f"accounts: {COUNT} captured, {COUNT} would be sent" in site.sync("accounts", "--dry-run")
    assert not site.api.requests
    site.sync("accounts")
    assert f"{COUNT} delivered" in site.sync("accounts", "--all")
    assert len(site.api.requests) == 2 * COUNT


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_next_one_goes_on_after_a_stop(site, how):
    process = site.start("journy_sync", "accounts")
    eventually(lambda: len(site.api.requests) >= COUNT // 3)
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    assert len(site.api.requests) < COUNT, "it was not stopped in the middle"
    assert process.returncode == (-9 if how == signal.SIGKILL else 130), out + err
    if how == signal.SIGINT:
        assert "accounts: stopped by Ctrl-C" in err
        assert "what journy.io confirmed is not sent again" in err
        assert "Traceback" not in err
    site.sync("accounts")
    times = times_of_accounts(site.api)
    assert len(times) == COUNT
    assert sum(times.values()) - COUNT <= 8  # max_connections


SQLITE = pytest.mark.parametrize("site", ["sqlite"], indirect=True)


@SQLITE
def test_beside_another_one_it_fails_and_waits_where_it_is_told_to(site):
    other = AloneWithFile(site.state, "accounts")
    assert other.take() is None
    status, _, err = site.run("journy_sync", "accounts")
    assert status == 1
    assert f"another sync is using this state: process {os.getpid()} on" in err
    process = site.start("journy_sync", "accounts", "--wait", "60", LOG="1")
    assert any("waiting for another sync" in line for line in process.stderr)
    assert not site.api.requests
    other.release()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert f"{COUNT} delivered" in out


@SQLITE
def test_what_is_given_up_makes_it_fail(site):
    site.api.answer_next(400)
    status, out, err = site.run("journy_sync")
    assert status == 1
    assert "599 delivered, 1 given up" in out
    assert "users: 10 captured, 10 delivered" in out
    assert "CommandError: not everything was delivered: accounts. Run it again" in err


@SQLITE
def test_a_refused_key_ends_it_and_the_rest_is_named(site):
    site.api.answer_next(401, count=50)
    status, out, err = site.run("journy_sync")
    assert status == 1
    assert "users" not in out
    assert "not everything was delivered: accounts, users. Run it again" in err


@SQLITE
@pytest.mark.parametrize(
    ("environment", "status", "said"),
    [
        ({"JOURNY": '{"sync": {"accounts": "shop.tracking.companies"}}'}, 1, "cannot be imported"),
        ({"JOURNY": '{"sync": {"users": "shop.tracking.users"}}'}, 1, "JOURNY['sync'] names no accounts"),
        (
            {"JOURNY": '{"sync": {"accounts": "shop.tracking.accounts"}}'},
            1,
            "accounts: sync_accounts() needs a place",
        ),
        (
            {"JOURNY": '{"sync": {"accounts": "django.setup", "state": "FOLDER/state"}}'},
            1,
            "accounts: rows must be an iterable of rows, got None",
        ),
        ({"CONFIGURED": "0"}, 1, "call journy_track.configure() in the settings"),
        ({"JOURNY_BASE_URL": "https://api.journy.io"}, 1, "there is no key: set JOURNY_API_KEY"),
        ({"JOURNY_ENABLED": "0"}, 0, "journy_track is disabled: nothing was sent"),
    ],
    ids=str,
)
def test_what_it_lacks_is_said(site, tmp_path, environment, status, said):
    environment = {name: value.replace("FOLDER", str(tmp_path)) for name, value in environment.items()}
    done, out, err = site.run("journy_sync", "accounts", "--skip-checks", **environment)
    assert done == status
    assert said in out + err
    assert "Traceback" not in err
    assert not site.api.requests
