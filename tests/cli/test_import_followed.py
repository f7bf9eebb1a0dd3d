"""Which row is settled, in whatever order the outcomes come in, and how much of that is on disk."""

from __future__ import annotations

import json
import os

import pytest

from journy_track import AccountIdentified, UserIdentified
from journy_track._model.items import AddUsersToAccount, UpsertUser
from journy_track._model.outcomes import Response
from journy_track.cli.importing.following import WINDOW, Following
from journy_track.cli.importing.journal import Journal, Position, Unusable
from journy_track.cli.importing.source import Record

TAKEN = Response(201, "r-1")


@pytest.fixture
def following():
    return Following(Position(total=10))


def begin(following, line, calls=1):
    user = UserIdentified(f"u{line}")
    following.begin(Record(line, line * 10, {"id": f"u{line}"}), [UpsertUser(user, {"plan": 1})] * calls)


def counted(following):
    numbers = following.numbers()
    return numbers.settled - numbers.rejected, numbers.rejected, numbers.waiting


def test_a_row_is_delivered_once_all_of_its_calls_are(following):
    begin(following, 2, calls=2)
    following.settled(1, "delivered", TAKEN)
    assert counted(following) == (0, 0, 1)
    following.settled(2, "delivered", TAKEN)
    assert counted(following) == (1, 0, 0)


@pytest.mark.parametrize("late", [True, False], ids=["told after the target", "told before the target"])
def test_a_call_that_was_merged_is_settled_with_what_it_is_part_of(following, late):
    begin(following, 2)
    begin(following, 3)
    told = [lambda: following.settled(1, "delivered", TAKEN), lambda: following.joined(2, 1)]
    for tell in told if late else reversed(told):
        assert following.numbers().waiting > 0
        tell()
    assert counted(following) == (2, 0, 0)


def test_what_was_merged_into_a_refused_call_is_refused(following):
    begin(following, 2)
    begin(following, 3)
    following.joined(2, 1)
    following.settled(1, "400 wrong", Response(400, "r-2", fields={"properties.plan": "No."}))
    assert counted(following) == (0, 2, 0)
    _, rows = following.snapshot()
    assert [row["line"] for row in rows] == [2, 3]
    assert rows[0]["reason"] == "400 wrong"
    assert rows[0]["fields"] == {"properties.plan": "No."}


def test_a_snapshot_begins_at_the_first_row_that_is_not_settled_and_names_the_others(following):
    for line in (2, 3, 4, 5):
        begin(following, line)
    following.settled(1, "delivered", TAKEN)
    following.settled(3, "delivered", TAKEN)
    position, _ = following.snapshot()
    assert (position.line, position.offset, position.next_line, position.open) == (3, 30, 6, [3, 5])
    again = Following(position)
    assert [line for line in (3, 4, 5, 6) if not again.is_settled(Record(line, 0, {}))] == [3, 5, 6]
    begin(again, 3)
    position, _ = again.snapshot()
    assert (position.line, position.open) == (3, [3, 5])
    again.settled(1, "delivered", TAKEN)
    position, _ = again.snapshot()
    assert (position.line, position.next_line, position.open) == (3, 6, [5])


def test_a_reason_that_is_not_the_rows_stops_the_import_and_leaves_the_row_open(following):
    begin(following, 2)
    following.settled(1, "missing permission", Response(403, "r"))
    assert "lacks the permission" in following.stop
    assert counted(following) == (0, 0, 1)
    assert following.snapshot()[0].open == [2]


def test_there_is_room_for_so_many_rows(following):
    for line in range(2, WINDOW + 2):
        assert following.has_room(0)
        begin(following, line)
    assert not following.has_room(0)
    following.settled(1, "delivered", TAKEN)
    assert following.has_room(0)


def test_memberships_count_as_the_user_that_they_are_of(following):
    user = UserIdentified("u1")
    account = AddUsersToAccount(AccountIdentified("acme"), (user,))
    following.begin(Record(2, 20, {}), [UpsertUser(user, {}), account])
    following.settled(2, "delivered", TAKEN)
    following.settled(1, "delivered", TAKEN)
    assert counted(following) == (1, 0, 0)


# ── On disk ──


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "state.json", tmp_path / "rejected.jsonl", {"input": "abc"})


def test_a_position_comes_back_as_it_was_written(journal):
    assert journal.load() is None
    position = Position("a-run", offset=7, line=2, next_line=5, open=[2, 4], delivered=1, total=9)
    journal.save(position, [])
    assert journal.load() == position
    assert not journal.rejected.exists()


def test_rows_that_were_rejected_after_the_state_was_written_are_not_there_twice(journal):
    position = Position(total=9)
    journal.begin(position)
    journal.save(position, [{"line": 2, "reason": "ü\ud800"}])
    with journal.rejected.open("a") as file:
        file.write('{"line": 3, "rea')  # the process was killed here
    known = journal.load()
    journal.begin(known)
    journal.save(known, [{"line": 3, "reason": "again"}])
    assert [json.loads(line)["line"] for line in journal.rejected.read_text().splitlines()] == [2, 3]


@pytest.mark.skipif(os.name != "posix", reason="file modes are of Unix")
def test_only_its_owner_may_read_the_rejected_rows(journal):
    journal.save(Position(), [{"line": 2, "reason": "no"}])
    assert journal.rejected.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("left", [None, b"{}\n"], ids=["removed", "shortened"])
def test_the_file_of_rejected_rows_may_be_taken_away_meanwhile(journal, left):
    position = Position(total=9)
    journal.save(position, [{"line": 2, "reason": "no"}])
    journal.rejected.unlink() if left is None else journal.rejected.write_bytes(left)
    known = journal.load()
    journal.begin(known)
    journal.save(known, [{"line": 3, "reason": "no"}])
    assert b"\0" not in journal.rejected.read_bytes()
    assert journal.load().rejected_bytes == journal.rejected.stat().st_size


def test_a_state_of_something_else_is_refused(journal):
    journal.save(Position(), [])
    other = Journal(journal.state, journal.rejected, {"input": "def"})
    with pytest.raises(Unusable, match="different file contents"):
        other.load()
    journal.state.write_text(journal.state.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(Unusable, match="another version"):
        journal.load()
