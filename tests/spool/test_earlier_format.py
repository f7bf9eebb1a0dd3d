"""A spool file written by version 0.1.0: waiting items are delivered, dead letters are listed and retried."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

import journy_track
from journy_track.cli.app import app

from ..earlier import AT, MAX_AGE, MESSAGES, OPERATIONS, REQUESTS, requests_of

NAME = "20260101T000000-4242-0a1b2c3d.spool"
SCHEMA = """
    CREATE TABLE items (seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, message TEXT NOT NULL);
    CREATE TABLE dead (
            seq INTEGER PRIMARY KEY, at REAL NOT NULL, message TEXT NOT NULL, died REAL NOT NULL,
            reason TEXT NOT NULL, status INTEGER, request_id TEXT, fields TEXT NOT NULL, attempts INTEGER NOT NULL
        );
    CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    PRAGMA user_version = 1;
"""
DEAD = """
    INSERT INTO dead (at, message, died, reason, status, request_id, fields, attempts)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""


@pytest.fixture(params=["closed", "killed"])
def folder(request, tmp_path, api) -> Path:
    """The folder of a process that closed its file, or was killed, which leaves all data in SQLite's WAL."""
    made, left = tmp_path / "made", tmp_path / "spool"
    for one in (made, left):
        one.mkdir(mode=0o700)
    connection = sqlite3.connect(made / NAME, isolation_level=None)
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA application_id = 1786014579")
    connection.executescript(SCHEMA)
    connection.execute("INSERT INTO about VALUES ('for', ?)", (api.url,))
    for message in MESSAGES:
        connection.execute("INSERT INTO items (at, message) VALUES (?, ?)", (AT, message))
        connection.execute(DEAD, (AT, message, AT + 5, "400 Invalid", 400, "r7", json.dumps({"name": "is empty"}), 2))
    connection.execute(DEAD, (AT, MESSAGES[0], AT + 6, "max_age: a timeout", None, None, "{}", 9))
    if request.param == "closed":
        connection.close()
    for file in made.iterdir():
        if not file.name.endswith("-shm"):
            shutil.copy(file, left)
            (left / file.name).chmod(0o600)
    connection.close()
    (left / f"{NAME}.lock").touch(0o600)
    assert (left / f"{NAME}-wal").exists() == (request.param == "killed")
    return left


def spool(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["spool", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def deliver(folder: Path, url: str) -> None:
    tracker = journy_track.configure("a-key", base_url=url, spool=folder, max_age=MAX_AGE)
    assert tracker.flush(30, delivered=True)
    stats = tracker.stats()
    assert tracker.shutdown(10)
    assert (stats.given_up, dict(stats.dropped)) == (0, {})


def test_what_waits_in_it_is_delivered(folder, api):
    deliver(folder, api.url)
    assert requests_of(api) == REQUESTS


def test_its_dead_letters_are_listed_and_retried(folder, api):
    listed = [json.loads(line) for line in spool("export", folder).splitlines()]
    assert [letter["operation"] for letter in listed] == [*OPERATIONS, OPERATIONS[0]]
    assert [letter["body"] for letter in listed[:-1]] == [json.loads(message)["body"] for message in MESSAGES]
    assert {letter["state"] for letter in listed} == {"given up"}
    first, last = listed[0], listed[-1]
    assert (first["reason"], first["status"], first["request_id"]) == ("400 Invalid", 400, "r7")
    assert (first["fields"], first["attempts"]) == ({"name": "is empty"}, 2)
    assert (first["captured_at"], first["given_up_at"]) == ("2026-01-01T00:00:00.250Z", "2026-01-01T00:00:05.250Z")
    assert (last["reason"], last["status"], last["request_id"]) == ("max_age: a timeout", None, None)

    assert json.loads(spool("retry", folder, "--reason", "400", "--json")) == {"retried": len(MESSAGES)}
    deliver(folder, api.url)
    assert requests_of(api) == Counter({request: 2 * count for request, count in REQUESTS.items()})
    assert json.loads(spool("retry", folder, "--json")) == {"retried": 1}
