"""The examples without a server: a script, and a function run like an AWS Lambda."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(api, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=EXAMPLES,
        env={**os.environ, "JOURNY_BASE_URL": api.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_script_says_for_each_row_whom_it_is_about(api):
    done = run(api, "script/nightly.py", "script/subscriptions.csv")
    assert done.returncode == 1, done.stderr  # one row failed
    found = {(event.name, event.user["userId"], event.account["accountId"]): event.metadata for event in api.events}
    assert found == {
        ("renewed_subscription", "jane", "acme"): {"plan": "pro", "job": "nightly"},
        ("renewed_subscription", "joe", "globex"): {"plan": "free", "job": "nightly"},
        ("failed_to_renew", "jim", "initech"): {"error_type": "ValueError", "job": "nightly"},
    }
    assert {account.account_id: account.properties["mrr"] for account in api.accounts} == {
        "acme": 399,
        "globex": 0,
        "initech": 10.5,
    }


CALLS = """
import json, os, sys
import handler

for call in json.loads(sys.argv[1]):
    print(json.dumps(handler.handler(call, None)))
os._exit(0)  # frozen, and never woken up again: nothing that is left for the exit is done
"""


def test_the_function_leaves_nothing_behind_when_it_returns(api):
    calls = [{"user": f"u{number}", "company": "acme", "picture": f"{number}.png"} for number in range(3)]
    path = f"import sys; sys.path.insert(0, {str(EXAMPLES / 'aws_lambda')!r})\n"
    done = run(api, "-c", path + CALLS, json.dumps([*calls, {"user": "", "company": ""}]))
    assert [json.loads(line)["body"] for line in done.stdout.splitlines()] == ["0.png", "1.png", "2.png", ""]
    assert "wrong value in set_user() at" in done.stderr  # the last call has no user, and still returns a response
    assert [(event.name, event.user["userId"]) for event in api.events] == [
        ("resized_picture", f"u{number}") for number in range(3)
    ]


def test_the_plain_sync_sends_each_account_once(api, tmp_path):
    database = str(tmp_path / "shop.db")
    first = [run(api, "sync/plain.py", database, *options) for options in (["--dry-run"], [], [])]
    assert [done.returncode for done in first] == [0, 0, 0], first
    printed = [done.stdout.partition(", in")[0] for done in first]
    assert printed == ["3 captured, 3 would be sent", "3 captured, 3 delivered", "3 captured, 3 unchanged"]
    assert {account.account_id: account.properties["seats"] for account in api.accounts} == {"1": 12, "2": 3, "3": 40}


def test_the_sync_with_sqlalchemy_sends_accounts_and_users_once(api, tmp_path):
    pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy")
    for _ in range(2):
        done = run(api, "sync/with_sqlalchemy.py", f"sqlite:///{tmp_path}/shop.db", str(tmp_path / "state"))
        assert done.returncode == 0, done.stderr
    assert {account.account_id: account.properties for account in api.accounts} == {
        "1": {"plan": "pro", "seats": 1},
        "2": {"plan": "free", "seats": 2},
    }
    assert {user.email for user in api.users} == {"jane@acme.com", "joe@acme.com", "jim@acme.com"}
    assert len(api.requests) == 5
    assert "3 captured, 3 unchanged" in done.stdout
