"""`journy-track spool`, with the spool of a running process and with one left behind."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

import journy_track
from journy_track import AccountIdentified, Event, HttpResponse, Tracker, UserIdentified
from journy_track._model.items import AddUsersToAccount
from journy_track._model.messages import message_of
from journy_track._stores.sqlite.file import SpoolFile
from journy_track._stores.store import DeadLetter
from journy_track.cli.app import app

from .commands import runner

URL = "https://api.journy.io"
REFUSED = b'{"meta": {"requestId": "r7", "status": 400}, "errors": {"fields": {"name": "is empty"}}}'


class Ended:
    """The result of a command."""

    def __init__(self, *arguments: object, **environment: str) -> None:
        done = runner().invoke(app, ["spool", *map(str, arguments)], env=environment, catch_exceptions=False)
        self.code, self.out, self.err = done.exit_code, done.stdout, done.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


def event(name: str, user: str) -> str:
    return message_of(Event.for_user(name, UserIdentified.by_user_id(user)))


@pytest.fixture
def folder(tmp_path) -> Path:
    """A spool left by a process: two items that wait, and three that were given up."""
    file = SpoolFile.create(tmp_path, URL)
    file.write([(1.0, event("waits", "jane")), (2.0, event("waits", "joe"))])
    letters = (
        (event("refused", "jane"), "400", 400),
        (event("refused", "joe"), "400", 400),
        (event("expired", "joe"), "max_age: a timeout", None),
    )
    for message, reason, code in letters:
        (seq,) = file.write([(3.0, message)])
        file.dead_letter([seq], DeadLetter(0, 3.0, message, 4.0, reason, code, "r7", {"name": "is empty"}, 2))
    file.close()
    return tmp_path


def counts(folder: Path) -> tuple[int, int]:
    """Return how many items wait, and how many were given up."""
    totals = Ended("status", folder, "--json").json["totals"]
    return totals["waiting"], totals["dead"]


@pytest.mark.slow
def test_it_is_a_command_whose_data_is_on_stdout_and_the_rest_on_stderr(folder):
    done = subprocess.run(
        [sys.executable, "-m", "journy_track", "spool", "export", str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "3 items.\n")
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 3


# ── status ──


def test_status_shows_what_waits_and_what_was_given_up_by_file(folder):
    SpoolFile.create(folder, URL).close()
    ended = Ended("status", folder)
    assert ended.code == 0
    row = next(line for line in ended.out.splitlines() if "ended" in line and " 3 " in line)
    assert row.split()[1:4] == ["ended", "2", row.split()[3]]
    assert "2 files" in ended.out
    assert "2 items left by processes that ended" in " ".join(ended.err.split())
    assert max(map(len, ended.out.splitlines())) <= 80


def test_status_names_the_base_url_for_which_what_others_left_is_delivered(folder):
    said = " ".join(Ended("status", folder).err.split())
    left = "2 items left by processes that ended"
    assert said == f"{left}: the next process with this spool and base_url {URL} delivers them."


def test_status_of_a_spool_for_two_servers_shows_what_waits_for_which(folder):
    other = SpoolFile.create(folder, "http://127.0.0.1:8470")
    other.write([(1.0, event("waits", "jane"))])
    left = "left by processes that ended: the next process with this spool and base_url"
    servers = "The files are for different servers. Waiting: 1 item for http://127.0.0.1:8470, 2 items for"
    assert Ended("status", folder).err.splitlines() == [
        f"{servers} {URL}.",
        f"2 items {left} {URL} delivers them.",
    ]
    other.close()
    assert Ended("status", folder).err.splitlines() == [
        f"{servers} {URL}.",
        f"1 item {left} http://127.0.0.1:8470 delivers it.",
        f"2 items {left} {URL} delivers them.",
    ]


def test_status_as_json_has_each_file_and_the_totals(folder):
    told = Ended("status", folder, "--json").json
    (file,) = told["files"]
    assert (file["alive"], file["about"], file["waiting"], file["dead"], file["error"]) == (False, URL, 2, 3, None)
    assert told["totals"]["size"] == file["size"] > 0
    assert told["totals"]["oldest"] > 1e9
    assert (told["set_aside"], told["refused_keys"]) == (0, 0)


def test_the_folder_may_come_from_the_environment(folder):
    assert Ended("status", "--json", JOURNY_SPOOL=str(folder)).json["totals"]["dead"] == 3


def test_an_empty_spool_is_said_in_a_sentence(tmp_path):
    ended = Ended("status", tmp_path)
    assert ended.code == 0
    assert "Nothing waits in" in ended.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "No folder was given: pass"),
        (("/no/such/folder",), "is not a folder"),
    ],
)
@pytest.mark.parametrize("command", ["status", "retry", "export", "purge"])
def test_without_a_folder_the_usage_is_wrong(command, arguments, said):
    ended = Ended(command, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_shown(folder):
    (folder / "a.spool").write_bytes(b"nonsense" * 1000)
    (folder / "b.spool.corrupt-20260101T000000").write_bytes(b"nonsense")
    (folder / "refused-ab.json").write_text("{}")
    ended = Ended("status", folder)
    assert ended.code == 1
    assert "a.spool: " in ended.err
    assert "1 corrupt file" in ended.err
    assert "refused the API key" in ended.err
    assert "?" in next(line for line in ended.out.splitlines() if line.startswith("a "))
    assert Ended("retry", folder).code == 1
    assert counts_of_others(folder) == (5, 0)


def counts_of_others(folder: Path) -> tuple[int, int]:
    files = [file for file in Ended("status", folder, "--json").json["files"] if not file["error"]]
    return sum(file["waiting"] for file in files), sum(file["dead"] for file in files)


# ── retry ──


def test_what_was_given_up_waits_again(folder):
    ended = Ended("retry", folder)
    assert (ended.code, ended.out) == (0, "3 items: retried by the next process.\n")
    assert counts(folder) == (5, 0)
    assert Ended("retry", folder).out == "There is nothing to retry.\n"


@pytest.mark.parametrize(
    ("chosen", "retried"),
    [
        (("--reason", "max_age"), 1),
        (("--reason", "400"), 2),
        (("--operation", "track"), 3),
        (("--operation", "tra"), 0),
        (("--reason", "400", "--operation", "upsert_user"), 0),
    ],
)
def test_only_some_are_tried_again(folder, chosen, retried):
    assert Ended("retry", folder, *chosen, "--json").json == {"retried": retried}
    assert counts(folder) == (2 + retried, 3 - retried)


# ── export ──


def test_export_writes_what_was_given_up_and_why(folder):
    ended = Ended("export", folder)
    assert (ended.code, ended.err) == (0, "3 items.\n")
    first = ended.lines[0]
    assert first.pop("file").endswith(".spool")
    assert first == {
        "state": "given up",
        "captured_at": "1970-01-01T00:00:03.000Z",
        "given_up_at": "1970-01-01T00:00:04.000Z",
        "reason": "400",
        "status": 400,
        "request_id": "r7",
        "fields": {"name": "is empty"},
        "attempts": 2,
        "operation": "track",
        "body": {"identification": {"user": {"userId": "jane"}}, "name": "refused"},
    }


def test_export_writes_what_waits_when_asked(folder):
    lines = Ended("export", folder, "--waiting").lines
    assert [line["state"] for line in lines] == ["given up"] * 3 + ["waiting"] * 2
    assert lines[-1]["body"]["identification"]["user"] == {"userId": "joe"}
    assert counts(folder) == (2, 3)


def test_what_cannot_be_read_is_exported_as_it_is(tmp_path):
    file = SpoolFile.create(tmp_path, URL)
    file.write([(1.0, "{")])
    file.close()
    (line,) = Ended("export", tmp_path, "--waiting").lines
    assert (line["operation"], line["unreadable"]) == (None, "{")


# ── purge ──


def test_purge_removes_what_was_given_up_and_not_what_waits(folder):
    ended = Ended("purge", folder, "--yes")
    assert (ended.code, ended.out) == (0, "3 items removed.\n")
    assert counts(folder) == (2, 0)


def test_purge_removes_what_waits_when_asked(folder):
    assert Ended("purge", folder, "--waiting", "--yes", "--json").json == {"removed": 5}
    assert counts(folder) == (0, 0)


def test_purge_removes_all_that_is_about_a_user_from_all_files(folder):
    another = SpoolFile.create(folder, URL)
    members = AddUsersToAccount(
        AccountIdentified.by_account_id("acme"), tuple(map(UserIdentified.by_user_id, ("jane", "joe")))
    )
    another.write([(1.0, event("waits", "jane")), (1.0, message_of(members))])
    assert Ended("purge", folder, "--user-id", "jane", "--yes").out == "3 items removed.\n"
    assert not any(b"jane" in path.read_bytes() for path in folder.iterdir())  # not in SQLite's WAL either
    another.close()
    kept = Ended("export", folder, "--waiting")
    assert "jane" not in kept.out
    assert len(kept.lines) == 4


def test_purge_asks_and_where_nobody_can_answer_does_nothing(folder):
    ended = Ended("purge", folder)
    assert ended.code == 2
    assert "pass --yes" in ended.err
    assert counts(folder) == (2, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        ("--user-id", "u1", "--account-id", "acme"),
        ("--email", "no e-mail"),
        ("--user-id", ""),
        ("--user-id", "u1", "--waiting"),
    ],
)
def test_purge_refuses_what_it_cannot_mean(folder, wrong):
    ended = Ended("purge", folder, "--yes", *wrong)
    assert (ended.code, ended.out) == (2, "")
    assert counts(folder) == (2, 3)


# ── A running process ──


@pytest.fixture
def living(gate, tmp_path) -> Tracker:
    """A tracker with three items in its spool, whose first request does not return."""
    tracker = journy_track.configure("a-key", spool=tmp_path / "spool", http_client=gate)
    for number in range(3):
        journy_track.track(f"event_{number}", user="u1")
    assert journy_track.flush(10)
    assert gate.entered.wait(10)
    return tracker


def test_status_of_a_process_that_lives(living, tmp_path):
    (file,) = Ended("status", tmp_path / "spool", "--json").json["files"]
    assert (file["alive"], file["waiting"], file["dead"]) == (True, 3, 0)
    assert 0 <= file["oldest"] < 600
    assert Ended("status", tmp_path / "spool").err == ""


def test_a_purge_of_what_waits_is_noticed_by_the_process_that_lives(living, gate, tmp_path):
    assert Ended("purge", tmp_path / "spool", "--waiting", "--yes").code == 0
    wait_until(living, lambda: living.stats().dropped.get("deleted") == 2)
    gate.opened.set()
    assert journy_track.flush(30, delivered=True)
    assert len(gate.bodies) == 1  # the item that was in flight
    assert living.stats().delivered == 1


@pytest.mark.slow
def test_what_was_given_up_is_tried_again_by_the_process_that_lives(tmp_path):
    answers = [HttpResponse(400, {}, REFUSED)]
    bodies: list[bytes] = []

    class Client:
        def send(self, request):
            bodies.append(request.body)
            return answers.pop() if answers else HttpResponse(201, {}, b"")

        def close(self):
            """Do nothing: no connection is kept open."""

    tracker = journy_track.configure("a-key", spool=tmp_path / "spool", http_client=Client())
    journy_track.track("signed_in", user="u1")
    assert journy_track.flush(30, delivered=True)
    (line,) = Ended("export", tmp_path / "spool").lines
    assert (line["status"], line["request_id"], line["fields"]) == (400, "r7", {"name": "is empty"})
    assert Ended("retry", tmp_path / "spool").out == "1 item: retried now.\n"
    wait_until(tracker, lambda: tracker.stats().delivered == 1)
    assert len(bodies) == 2
    assert counts(tmp_path / "spool") == (0, 0)


def wait_until(tracker: Tracker, happened: Any, seconds: float = 30.0) -> None:
    """Wait until *happened* returns true; the tracker's worker notices changes without being woken."""
    deadline, never = monotonic() + seconds, threading.Event()
    while not happened():
        assert monotonic() < deadline, tracker.stats()
        never.wait(0.02)


def test_links_are_left_alone(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    kept = SpoolFile.create(elsewhere, URL)
    kept.write([(1.0, event("waits", "jane"))])
    kept.close()
    (folder / "planted.spool").symlink_to(next(elsewhere.glob("*.spool")))
    (folder / "loop.spool").symlink_to(folder / "loop.spool")
    (folder / (next(folder.glob("2*.spool")).name + "-loop")).symlink_to("loop.spool")
    status = Ended("status", folder, "--json")
    assert (status.code, len(status.json["files"]), status.json["totals"]["waiting"]) == (0, 1, 2)
    assert Ended("purge", folder, "--user-id", "jane", "--yes").code == 0
    (status,) = Ended("status", elsewhere, "--json").json["files"]
    assert status["waiting"] == 1
