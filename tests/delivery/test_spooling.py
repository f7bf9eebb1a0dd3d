"""Delivery through the spool: written first, read ahead, removed when settled; and how a bad disk affects it."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from journy_track import HttpResponse
from journy_track._delivery import intake, pipeline
from journy_track._stores.sqlite.file import SpoolFile, lock_path

from ..systems import removes_open_files
from .wire import sent, settle, turn, warmed


@pytest.fixture
def spooled(desk, tmp_path) -> Callable[..., Any]:
    """Makes a desk with a spool in the test's folder, which gets these responses."""

    def make(*answers: Any, **settings: Any) -> Any:
        return warmed(desk, *answers, spool=tmp_path / "spool", **settings)

    return make


def balanced(made: Any) -> Any:
    stats = made.ledger.stats()
    ended = stats.delivered + sum(stats.dropped.values()) + stats.throttled + stats.given_up + stats.coalesced
    assert stats.captured + stats.adopted == ended + stats.queued + stats.spooled + stats.in_flight, stats
    assert min(stats.queued, stats.spooled, stats.in_flight) >= 0, stats
    return stats


def end(made: Any) -> None:
    """End the process, whatever its state."""
    made.pipeline.store.close()


def files(folder: Path) -> list[Path]:
    return sorted((folder / "spool").glob("*.spool"))


_looked_at: list[SpoolFile] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _looked_at:
        _looked_at.pop().close()


def looking_at(path: Path) -> SpoolFile:
    _looked_at.append(SpoolFile(path))
    return _looked_at[-1]


def looking(folder: Path) -> SpoolFile:
    (path,) = files(folder)
    return looking_at(path)


def hold(made: Any) -> None:
    """Send nothing until `release`, as if the server were down."""
    made.dispatcher._stopped = True


def release(made: Any) -> None:
    made.dispatcher._stopped = False


def checkpoints(made: Any) -> tuple[Callable[[], bool], Callable[[], bool]]:
    """Return functions that tell whether everything captured so far is stored, and whether it is delivered."""
    waiting, ledger = made.pipeline.waiting, made.ledger
    stored, delivered = waiting.checkpoint(delivered=False), waiting.checkpoint(delivered=True)
    return lambda: ledger.is_past(stored), lambda: ledger.is_past(delivered)


def errors(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


# ── Storing and delivering ──


def test_what_is_captured_is_on_disk_before_it_is_sent(spooled, tmp_path):
    made = spooled()
    on_disk = []
    answer = made.script.send

    def send(request):
        with sqlite3.connect(files(tmp_path)[0]) as other:
            on_disk.append(other.execute("SELECT count(*) FROM items").fetchone()[0])
        other.close()
        return answer(request)

    made.script.send = send
    made.put_many(3)
    settle(made)
    assert on_disk == [3, 2, 1]
    assert balanced(made).delivered == 4
    assert balanced(made).spooled == 0


def test_a_flush_is_done_once_it_is_stored_and_delivered_once_it_is_delivered(spooled):
    made = spooled()
    hold(made)
    made.put_many(3)
    stored, delivered = checkpoints(made)
    assert not stored()
    made.turn()
    assert stored()
    assert not delivered()
    assert balanced(made).spooled == 3
    release(made)
    settle(made)
    assert delivered()


@pytest.mark.parametrize("answers", [(), (400,)], ids=["delivered", "given up"])
def test_a_flush_is_not_done_before_the_numbers_say_so(spooled, monkeypatch, answers):
    made = spooled(*answers)
    store = made.pipeline.store
    made.put()
    _, delivered = checkpoints(made)
    done_when_removed = []

    def watched(method):
        def call(*arguments):
            method(*arguments)
            done_when_removed.append(delivered())

        return call

    monkeypatch.setattr(store, "ack", watched(store.ack))
    monkeypatch.setattr(store, "dead_letter", watched(store.dead_letter))
    settle(made)
    assert done_when_removed == [False]
    assert delivered()


def test_the_next_process_goes_on_where_this_one_ended_and_in_order(spooled, desk, tmp_path):
    made = spooled()
    hold(made)
    for number in range(5):
        made.track(f"event_{number}", user="u1")
    made.turn()
    end(made)
    after = desk(spool=tmp_path / "spool")
    after.track("event_5", user="u1")
    settle(after)
    assert sent(after) == [f"event_{number} u1" for number in range(6)]
    stats = balanced(after)
    assert (stats.captured, stats.adopted, stats.delivered) == (1, 5, 6)
    end(after)
    assert list((tmp_path / "spool").iterdir()) == []


def test_no_more_is_in_memory_than_the_window_and_all_of_it_goes(spooled, monkeypatch):
    made = spooled(queue_size=20)
    hold(made)
    for number in range(200):
        made.track(f"event_{number}", user=f"u{number % 3}")
        made.turn()
        assert len(made.ledger._fetched) <= 10
    assert balanced(made).spooled == 200
    assert balanced(made).dropped == {}
    release(made)
    settle(made)
    assert balanced(made).delivered == 201
    for user in range(3):
        mine = [line for line in sent(made) if line.endswith(f" u{user}")]
        assert mine == [f"event_{number} u{user}" for number in range(200) if number % 3 == user]


def test_a_long_spool_is_read_in_pieces_and_what_is_captured_meanwhile_is_written_between_them(
    spooled, desk, tmp_path, monkeypatch
):
    monkeypatch.setattr(pipeline, "CHUNK", 10)
    made = spooled()
    hold(made)
    made.put_many(35)
    made.turn()
    end(made)
    after = desk(spool=tmp_path / "spool")
    hold(after)
    after.put()
    for read, on_disk in ((10, 36), (20, 37), (30, 38), (39, 39)):
        assert after.turn() == (0.0 if read < 39 else None)
        assert (len(after.ledger._fetched), looking(tmp_path).waiting()) == (read, on_disk)
        after.put()


def test_a_burst_is_stored_in_batches(spooled, monkeypatch):
    monkeypatch.setattr(intake, "MAX_TAKEN", 10)
    made = spooled()
    hold(made)
    made.put_many(35)
    made.turn()
    assert balanced(made).spooled == 35


def test_merged_upserts_leave_the_disk_together(spooled, tmp_path):
    made = spooled(503)
    made.track("acted", user="u1")
    made.upsert_user(user="u1", plan="old", seats=1)
    made.upsert_user(user="u1", plan="new")
    turn(made)
    assert looking(tmp_path).waiting() == 3
    settle(made)
    assert sent(made)[-1] == "upsert u1 {'plan': 'new', 'seats': 1}"
    assert balanced(made).coalesced == 1
    assert looking(tmp_path).waiting() == 0


def test_an_unchanged_upsert_leaves_the_disk_unsent(spooled, tmp_path):
    made = spooled(skip_unchanged=60)
    for _ in range(2):
        made.upsert_user(user="u1", plan="new")
        settle(made)
    assert sent(made) == ["upsert u1 {'plan': 'new'}"]
    assert looking(tmp_path).waiting() == 0
    assert balanced(made).coalesced == 1


def test_what_is_given_up_is_a_dead_letter(spooled, tmp_path):
    refusal = b'{"meta": {"requestId": "r7", "status": 400}, "errors": {"fields": {"name": "is empty"}}}'
    made = spooled(503, HttpResponse(400, {}, refusal))
    made.track("signed_in", user="u1")
    settle(made)
    (letter,) = looking(tmp_path).dead_letters()
    assert (letter.status, letter.request_id, letter.fields, letter.attempts) == (400, "r7", {"name": "is empty"}, 2)
    assert json.loads(letter.message)["body"]["name"] == "signed_in"
    assert looking(tmp_path).waiting() == 0
    assert balanced(made).given_up == 1


def test_what_is_too_old_is_a_dead_letter(spooled, desk, tmp_path):
    made = spooled(max_age=60)
    hold(made)
    made.put()
    made.turn()
    made.clock.now += 61
    release(made)
    settle(made)
    assert looking(tmp_path).dead_letters()[0].reason == "max_age"


def test_the_age_counts_from_capture_also_in_the_next_process(spooled, desk, tmp_path):
    made = spooled()
    hold(made)
    made.put()
    made.turn()
    end(made)
    with sqlite3.connect(files(tmp_path)[0]) as old:
        old.execute("UPDATE items SET at = at - 3000")
    old.close()
    after = desk(spool=tmp_path / "spool", max_age=3600)
    hold(after)
    after.put("another")
    after.turn()
    assert after.pipeline.health().oldest_waiting == pytest.approx(3000, abs=5)
    assert after.pipeline.health().ok  # the item is old, but this process has only just started
    after.clock.now += 601
    release(after)
    settle(after)
    assert sent(after) == ["another u1"]


def test_past_the_limit_the_newest_are_refused_and_counted(spooled, caplog):
    made = spooled(spool_limit=200_000)
    hold(made)
    for number in range(100):
        made.track("signed_in", user="u1", number=number, text="x" * 5000)
        made.turn()
    stats = balanced(made)
    assert 20 <= stats.spooled <= 40
    assert stats.dropped == {"spool_full": 100 - stats.spooled}
    assert "the spool in" in caplog.text
    release(made)
    settle(made)
    numbers = [json.loads(request.body)["metadata"]["number"] for request in made.script.requests]
    assert numbers == list(range(stats.spooled))
    made.put_many(1)
    settle(made)
    assert balanced(made).delivered == stats.spooled + 2


def test_an_item_that_cannot_be_read_is_a_dead_letter_and_the_rest_goes(spooled, desk, tmp_path):
    made = spooled()
    hold(made)
    made.put_many(2)
    made.turn()
    end(made)
    with sqlite3.connect(files(tmp_path)[0]) as other:
        other.execute("UPDATE items SET message = '{' WHERE seq = (SELECT min(seq) FROM items)")
    other.close()
    after = desk(spool=tmp_path / "spool")
    after.put("another")
    settle(after)
    assert sent(after) == ["signed_in u1", "another u1"]
    assert looking(tmp_path).dead_letters()[0].reason.startswith("unreadable")
    assert balanced(after).dropped == {"unreadable": 1}


def test_an_item_that_can_neither_be_read_nor_removed_holds_up_nobody(spooled, tmp_path):
    made = spooled()
    hold(made)
    made.put_many(3)
    made.pipeline.store._window = made.pipeline.feed._window = 0  # everything stays on disk
    made.turn()
    made.pipeline.feed._window = 1000
    with sqlite3.connect(files(tmp_path)[0], isolation_level=None) as other:
        other.execute("UPDATE items SET message = '{' WHERE seq = (SELECT min(seq) FROM items)")
        made.pipeline.store._files.own.file.changed()
        made.pipeline.store._files.own.file._connection.execute("PRAGMA busy_timeout = 0")
        other.execute("BEGIN IMMEDIATE")  # from here on, nothing can be written
        release(made)
        settle(made)
        other.execute("COMMIT")
    other.close()
    assert sent(made) == ["signed_in u1"] * 2
    made.turn()
    assert looking(tmp_path).waiting() == 0
    assert balanced(made).dropped == {"unreadable": 1}


# ── Other processes ──


def test_the_file_of_who_ended_is_taken_over_within_half_a_minute(spooled, desk, tmp_path):
    first, second = spooled(), desk(spool=tmp_path / "spool")
    hold(first)
    second.put("mine")
    settle(second)
    first.put_many(3)
    first.turn()
    second.clock.now += 30
    second.turn()
    assert balanced(second).adopted == 0  # its owner is alive
    end(first)
    for _ in range(30):
        second.clock.now += 1
        second.turn()
    assert sent(second) == ["mine u1"] + ["signed_in u1"] * 3
    assert balanced(second).adopted == 3
    assert len(files(tmp_path)) == 1  # the other file was empty, and is deleted


def test_a_delete_removes_what_waits_in_all_files_of_the_host(spooled, desk, tmp_path):
    first, second = spooled(), desk(spool=tmp_path / "spool")
    for made in (first, second):
        hold(made)
        made.track("signed_in", user="jane")
        made.track("signed_in", user="joe")
        made.add_users_to_account("acme", ["jane", "joe"])
        made.turn()
    second.delete_user("jane")
    second.upsert_user(user="jane", plan="new")
    second.turn()
    first.turn()
    for made in (first, second):
        release(made)
        settle(made)
        assert balanced(made).dropped == {"deleted": 1}
    assert sent(first) == ["signed_in joe", "add acme joe"]
    assert sent(second) == ["signed_in joe", "add acme joe", "delete jane", "upsert jane {'plan': 'new'}"]


def test_a_delete_removes_dead_letters_too(spooled, desk, tmp_path):
    first, second = spooled(400), desk(400, spool=tmp_path / "spool")
    for made in (first, second):
        made.track("signed_in", user="jane")
        settle(made)
    assert [looking_at(path).dead() for path in files(tmp_path)] == [1, 1]
    second.delete_user("jane")
    settle(second)
    assert [looking_at(path).dead() for path in files(tmp_path)] == [0, 0]


def test_a_delete_removes_what_was_not_read_yet(spooled, tmp_path):
    made = spooled(queue_size=4)
    hold(made)
    for number in range(20):
        made.track(f"event_{number}", user=("jane", "joe")[number % 2])
        made.turn()
    made.delete_user("jane")
    made.turn()
    assert balanced(made).dropped == {"deleted": 10}
    release(made)
    settle(made)
    assert len(sent(made)) == 11
    assert not [line for line in sent(made) if line.startswith("event") and line.endswith("jane")]


def test_dead_letters_that_somebody_has_tried_again_are_found(spooled, tmp_path):
    made = spooled(400)
    made.put()
    settle(made)
    assert balanced(made).given_up == 1
    other = looking(tmp_path)
    assert other.retry(made.pipeline.store._wall()) == 1
    other.close()
    made.put("another")
    settle(made)
    assert sent(made) == ["signed_in u1", "signed_in u1", "another u1"]
    assert (balanced(made).adopted, balanced(made).delivered) == (1, 3)


def test_what_somebody_removes_from_the_file_is_not_sent(spooled, tmp_path):
    made = spooled(queue_size=4)
    hold(made)
    for _ in range(6):
        made.put()
        made.turn()
    other = looking(tmp_path)
    assert other.forget(waiting=True) == 6
    other.close()
    made.turn()
    assert balanced(made).dropped == {"deleted": 6}
    release(made)
    settle(made)
    assert sent(made) == []


@pytest.mark.parametrize(
    ("gone", "goes", "deleted"),
    [
        ("%", [], {"deleted": 2}),
        ('%"plan"%', ["acted u1"], {"deleted": 1}),
        ('%"seats"%', ["acted u1", "upsert u1 {'plan': 'new', 'name': 'Jane'}"], {}),
        ('%"new"%', ["acted u1", "upsert u1 {'plan': 'old', 'seats': 1}"], {}),
        ("%nothing%", ["acted u1", "upsert u1 {'plan': 'new', 'seats': 1, 'name': 'Jane'}"], {}),
    ],
)
def test_what_somebody_removes_of_merged_items_is_not_sent(spooled, tmp_path, gone, goes, deleted):
    made = spooled()
    hold(made)
    made.track("acted", user="u1")
    made.upsert_user(user="u1", plan="old", seats=1)
    made.upsert_user(user="u1", plan="new", name="Jane")
    turn(made)
    assert balanced(made).coalesced == 1
    with closing(sqlite3.connect(files(tmp_path)[0], isolation_level=None)) as other:
        other.execute("DELETE FROM items WHERE message LIKE ?", (gone,))
    made.turn()
    release(made)
    settle(made)
    assert sent(made) == goes
    assert balanced(made).dropped == deleted


def test_what_is_merged_counts_into_the_window(spooled, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "WINDOW", 100)
    made = spooled()
    hold(made)
    made.track("acted", user="u1")
    for number in range(1000):
        made.upsert_user(user="u1", number=number)
    turn(made)
    outstanding = [taken for source in made.pipeline.store._files for taken in source.outstanding.values()]
    assert len(outstanding) <= 100
    assert [taken.item for taken in outstanding].count(None) >= len(outstanding) - 2
    release(made)
    settle(made)
    assert sent(made)[-1] == "upsert u1 {'number': 999}"
    assert balanced(made).coalesced + balanced(made).delivered == 1002  # including the item that warmed the desk up


# ── The key ──


def test_a_refused_key_stays_quiet_in_the_next_process(spooled, desk, tmp_path):
    made = spooled(401, 401)
    made.put()
    turn(made)
    assert sent(made) == ["signed_in u1", "validate"]
    end(made)
    after = desk(401, spool=tmp_path / "spool")
    after.put("another")
    after.turn()
    assert after.pipeline.health().circuit == "open"
    assert sent(after) == []
    after.clock.now += 5
    after.turn()
    assert sent(after) == ["validate"]
    after.clock.now += 9
    after.turn()
    assert sent(after) == ["validate"]  # the pause has become longer
    settle(after)
    assert sent(after) == ["validate", "validate", "signed_in u1", "another u1"]
    end(after)
    assert list((tmp_path / "spool").iterdir()) == []


# ── Disk problems ──


def test_without_a_folder_to_be_had_delivery_goes_on_from_memory(spooled, tmp_path, caplog):
    (tmp_path / "spool").write_text("a file, not a folder")
    made = spooled()
    made.put_many(3)
    settle(made)
    assert len(sent(made)) == 3
    (said,) = errors(caplog)
    assert said.startswith(f"the spool cannot be used: {tmp_path / 'spool'}: File exists. Items are kept in memory")
    assert balanced(made).delivered == 4


def test_when_the_disk_is_fine_again_the_spool_is_used_again(spooled, tmp_path):
    (tmp_path / "spool").write_text("")
    made = spooled()
    (tmp_path / "spool").unlink()
    made.clock.now += 10
    hold(made)
    made.put()
    made.turn()
    assert looking(tmp_path).waiting() == 1
    assert balanced(made).spooled == 1


def full(made: Any, *, extra_pages: int = 0) -> None:
    file = made.pipeline.store._files.own.file
    file._connection.execute(f"PRAGMA max_page_count = {file._value('PRAGMA page_count') + extra_pages}")


def roomy(made: Any) -> None:
    made.pipeline.store._files.own.file._connection.execute("PRAGMA max_page_count = 1000000")


def test_on_a_full_disk_items_stay_in_memory_and_nothing_is_lost_nor_sent_twice(spooled, tmp_path, caplog):
    made = spooled()
    full(made)
    for number in range(20):
        made.track(f"event_{number}", user="u1", text="x" * 3000)
    settle(made)
    assert sent(made) == [f"event_{number} u1" for number in range(20)]
    assert "SQLITE_FULL" in errors(caplog)[0]
    roomy(made)
    made.clock.now += 10
    hold(made)
    made.put()
    made.turn()
    assert balanced(made).spooled == 1


def test_what_cannot_be_stored_does_not_overtake_what_is_on_disk(spooled):
    made = spooled(queue_size=4)
    hold(made)
    for number in range(6):
        made.track(f"event_{number}", user="u1")
        made.turn()
    full(made)
    made.track("event_6", user="u1", text="x" * 20_000)
    made.turn()
    assert (balanced(made).queued, balanced(made).spooled) == (1, 6)
    release(made)
    settle(made)
    assert sent(made) == [f"event_{number} u1" for number in range(7)]


def test_what_was_delivered_and_cannot_be_removed_is_not_sent_again(spooled, tmp_path, caplog):
    made = spooled(queue_size=4)
    hold(made)
    for number in range(8):
        made.track(f"event_{number}", user="u1")
        made.turn()
    own = made.pipeline.store._files.own.file
    own._connection.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(own.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # nothing can be written, as on a full disk
    release(made)
    settle(made)
    assert looking(tmp_path).waiting() == 8
    assert balanced(made).delivered == 9
    other.execute("COMMIT")
    other.close()
    made.turn()
    assert looking(tmp_path).waiting() == 0
    assert len(sent(made)) == 8


def with_a_corrupt_file(spooled, tmp_path):
    """Damage the spool file of a desk, and check the counts once the desk has noticed."""
    made = spooled(queue_size=4)
    hold(made)
    for _ in range(50):
        made.track("signed_in", user="u1", text="x" * 3000)
        made.turn()
    made.pipeline.store._files.own.file._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with files(tmp_path)[0].open("r+b") as damaged:
        damaged.seek(4096 * 8)
        damaged.write(b"\xff" * 4096 * 40)
    made.pipeline.store._files.own.file._connection.execute("PRAGMA cache_size = 0")
    release(made)
    settle(made)
    made.put("afterwards")
    settle(made)
    stats = balanced(made)
    assert stats.delivered + stats.dropped["spool_lost"] == 52
    assert stats.delivered >= 3


def test_a_corrupt_file_is_set_aside_counted_and_replaced(spooled, tmp_path, caplog):
    with_a_corrupt_file(spooled, tmp_path)
    assert "It was set aside as" in errors(caplog)[0]
    assert len(list((tmp_path / "spool").glob("*.corrupt-*"))) >= 1
    assert len(files(tmp_path)) == 1


def test_a_corrupt_file_that_cannot_be_renamed_is_counted_and_replaced_as_well(
    spooled, tmp_path, caplog, monkeypatch
):
    # Catches: an OSError while another one is being handled, as when a virus scanner has the file open.
    def refused(path, target):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "rename", refused)
    with_a_corrupt_file(spooled, tmp_path)
    assert "It could not be set aside" in errors(caplog)[0]
    assert "raised" not in caplog.text
    assert len(files(tmp_path)) == 2


@removes_open_files
def test_a_file_that_was_removed_is_noticed_and_replaced(spooled, tmp_path, caplog):
    made = spooled()
    for path in (tmp_path / "spool").iterdir():
        path.unlink()
    made.put()
    settle(made)
    assert sent(made) == ["signed_in u1"]
    assert "the file was removed" in errors(caplog)[0]
    hold(made)
    made.put()
    made.turn()
    assert looking(tmp_path).waiting() == 1


def test_a_newer_file_is_left_alone_and_another_one_used(spooled, desk, tmp_path, caplog):
    made = spooled()
    hold(made)
    made.put()
    made.turn()
    made.pipeline.store._files.own.file._connection.execute("PRAGMA user_version = 99")
    end(made)
    after = desk(spool=tmp_path / "spool")
    after.put("another")
    settle(after)
    assert sent(after) == ["another u1"]
    assert len(files(tmp_path)) == 2
    assert "newer version of journy_track" in errors(caplog)[0]


def test_the_key_is_nowhere_on_disk(spooled, tmp_path):
    made = spooled(401, 401)
    made.put()
    turn(made)
    made.pipeline.store._files.own.file._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for path in (tmp_path / "spool").iterdir():
        assert b"a-key" not in path.read_bytes() + path.name.encode()


@removes_open_files
def test_a_file_that_another_process_took_over_is_let_go_and_counted_as_that(spooled, tmp_path, caplog):
    made = spooled(queue_size=8)
    hold(made)
    for number in range(8):
        made.track(f"event_{number}", user="u1")
        made.turn()
    path = made.pipeline.store._files.own.file.path
    lock_path(path).unlink()
    other = SpoolFile.adopt(path)  # as after this process was suspended for a long time
    release(made)
    made.put("afterwards")
    settle(made)
    stats = balanced(made)
    assert stats.dropped == {"taken_over": 8}
    assert sent(made) == ["afterwards u1"]
    assert other.waiting() == 8
    assert "another process has taken over this file of the spool" in errors(caplog)[0]
    other.close()
