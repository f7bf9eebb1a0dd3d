"""Whatever is planted in the folder, nothing that handles it reads without a bound or waits forever."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest

import journy_track
from journy_track._model.forks import unforked_lock
from journy_track._model.secret import Secret
from journy_track._stores.sqlite import bounds
from journy_track._stores.sqlite import files as sources
from journy_track._stores.sqlite.errors import Corrupt, SpoolError
from journy_track._stores.sqlite.file import DeadLetter, SpoolFile, lock_path
from journy_track._stores.sqlite.folder import Folder
from journy_track._stores.sqlite.keys import RefusedKey
from journy_track._stores.sqlite.lock import is_owned
from journy_track._stores.sqlite.schema import APPLICATION, MIGRATIONS
from journy_track._stores.sqlite.source import OpenFile

from ..systems import as_root, forks, has_links
from ..timing import eventually

resource = pytest.importorskip("resource", reason="bounds memory as on Unix")

URL = "https://api.journy.io"
WRITTEN = '{"v":1,"operation":"track","body":{"name":"waited","identification":{"user":{"userId":"u1"}}}}'
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"


def planted(folder: Path, *statements: str, about: str = URL, tables: tuple[str, ...] = MIGRATIONS[0]) -> Path:
    """Make a file that claims to be a spool file, with what *statements* write, and a dead process's lock."""
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "20200101T000000-1-planted.spool"
    with closing(sqlite3.connect(path, isolation_level=None)) as made:
        made.execute("PRAGMA journal_mode = WAL")
        for statement in (*tables, f"PRAGMA application_id = {APPLICATION}", "PRAGMA user_version = 1"):
            made.execute(statement)
        made.execute("INSERT INTO about VALUES ('for', ?)", (about,))
        made.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            made.execute(statement)
    lock_path(path).touch(mode=0o600)
    return path


def leading_into_itself(path: Path, table: str, levels: int = 12) -> None:
    """Put *levels* levels of pages under *table*, each with 100 links to the one below: counting it never ends."""
    with closing(sqlite3.connect(path, isolation_level=None)) as made:
        made.execute("PRAGMA journal_mode = DELETE")
        (size,) = made.execute("PRAGMA page_size").fetchone()
        (count,) = made.execute("PRAGMA page_count").fetchone()
        (root,) = made.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    content = bytearray(path.read_bytes())
    rows = content[(root - 1) * size : root * size]
    for level in range(levels):
        below = (count + level + 1).to_bytes(4)
        page = bytearray(size)
        page[0], page[3:5], page[5:7], page[8:12] = 5, (100).to_bytes(2), (size - 600).to_bytes(2), below
        for cell in range(100):
            at = size - 6 * (cell + 1)
            page[12 + 2 * cell : 14 + 2 * cell] = at.to_bytes(2)
            page[at : at + 6] = below + b"\x81\x00"  # up to rowid 128
        if level:
            content += page
        else:
            content[(root - 1) * size : root * size] = page
    content += rows
    content[18:20] = b"\2\2"  # in WAL mode
    content[28:32] = (len(content) // size).to_bytes(4)
    path.write_bytes(content)


def folder_at(path: Path, *, shared: bool = False) -> Folder:
    return Folder(path, URL, threading.RLock(), shared=shared)


def in_bytes(what, most: int):
    """Return the result of *what*, run with at most *most* bytes of address space beyond the current use."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + most, limits[1]))
    try:
        return what()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def in_seconds(seconds: float, what):
    began = monotonic()
    try:
        return what()
    finally:
        assert monotonic() - began < seconds


def look(path: Path) -> None:
    """Do everything that is done with the file of a process that has ended."""
    folder = folder_at(path.parent)
    file = folder.adopt(path)
    if file is not None:
        source = OpenFile(file)
        try:
            while source.unread and (rows := source.read(100)):
                for row in rows:
                    source.forget(row.seq)
            file.dead()
            file.oldest()
            file.dead_letters()
            file.retry(3.0, reason="x")
            file.purge("nobody", 5.0, lambda message: None)
            file.purge_dead_letters("nobody", lambda message: None)
            file.forget(dead=True, waiting=True)
            file.shrink()
        finally:
            file.close()


BEYOND = {
    "a row of 100 MB": ("INSERT INTO items (at, message) SELECT 1.0, hex(zeroblob(50000000))",),
    "a dead letter of 100 MB": (
        "INSERT INTO dead SELECT 1, 1.0, hex(zeroblob(50000000)), 1.0, 'x', 1, 'x', '{}', 1",
    ),
    "a purpose of 100 MB": ("UPDATE about SET value = hex(zeroblob(50000000))",),
    "a message above all": ("INSERT INTO items (at, message) SELECT 1.0, hex(zeroblob(100000))",),
    "fields that are no mapping": ("INSERT INTO dead SELECT 1, 1.0, 'x', 1.0, 'x', 1, 'x', '[1]', 1",),
    "fields that are too deep": (
        "INSERT INTO dead SELECT 1, 1.0, 'x', 1.0, 'x', 1, 'x', replace(hex(zeroblob(9999)), '0', '['), 1",
    ),
    "a message of bytes": ("INSERT INTO items (at, message) VALUES (1.0, x'00ff')",),
    "a message that is not UTF-8": ("INSERT INTO items (at, message) VALUES (1.0, CAST(x'ff41' AS TEXT))",),
    "a time that is a text": ("INSERT INTO items (at, message) VALUES ('now', 'x')",),
    "a time without end": ("INSERT INTO items (at, message) VALUES (9e999, 'x')",),
    "a time of no year": ("INSERT INTO items (at, message) VALUES (1e15, 'x')",),
    "a last place": ("INSERT INTO items VALUES (9223372036854775807, 1.0, 'x')",),
    "a last place that was taken": (
        "INSERT INTO items (at, message) VALUES (1.0, 'x')",
        "UPDATE sqlite_sequence SET seq = 9223372036854775807",
    ),
    "places below the first": ("INSERT INTO items VALUES (-5, 1.0, 'x')",),
    "many counts of places": (
        "INSERT INTO items (at, message) VALUES (1.0, 'x')",
        f"INSERT INTO sqlite_sequence {NUMBERS.format(10_000)} SELECT 'x', i FROM n",
    ),
    "an index": ("CREATE INDEX i ON items (abs(seq) * length(message))",),
    "a generated column": ("ALTER TABLE items ADD COLUMN more AS (hex(zeroblob(1000 * seq)))",),
    "statistics": ("INSERT INTO items (at, message) VALUES (1.0, 'x')", "ANALYZE"),
    "a check": (
        (
            "UPDATE sqlite_master SET sql = replace(sql, 'message TEXT NOT NULL)', "
            "'message TEXT NOT NULL CHECK (length(hex(zeroblob(99999999))) > 1))') WHERE name = 'items'"
        ),
    ),
    "a view": (
        "DROP TABLE dead",
        "CREATE VIEW dead AS WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n) SELECT seq FROM n",
    ),
    "a trigger": ("CREATE TRIGGER t AFTER DELETE ON items BEGIN DELETE FROM items; END",),
}


@pytest.mark.parametrize("statements", BEYOND.values(), ids=BEYOND)
def test_a_file_beyond_a_bound_is_set_aside_in_little_time_and_memory(tmp_path, statements):
    path = planted(tmp_path / "spool", *statements)
    with pytest.raises(Corrupt) as raised:
        in_seconds(10, lambda: in_bytes(lambda: look(path), 64 << 20))
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 500
    assert not path.exists() or "set aside" not in str(raised.value)  # in later steps, the caller sets it aside
    assert not is_owned(lock_path(path))


@pytest.mark.parametrize(
    "name", ["CAST(x'ff' AS TEXT)", "'x' || char(10, 27) || replace(hex(zeroblob(9999)), '0', 'y')"]
)
def test_what_sqlite_quotes_of_a_file_is_made_harmless(tmp_path, name):
    path = planted(
        tmp_path / "spool", f"UPDATE sqlite_master SET sql = 'nonsense', name = {name} WHERE name = 'dead'"
    )
    with pytest.raises(Corrupt) as raised:
        folder_at(path.parent).adopt(path)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 1200


def test_thousands_of_tables_are_not_even_loaded(tmp_path):
    path = planted(tmp_path / "spool", *(f"CREATE TABLE t{number} (x)" for number in range(3000)))
    with pytest.raises(Corrupt, match="SQLITE_INTERRUPT"):
        SpoolFile(path)


@pytest.mark.parametrize("table", ["items", "dead", "sqlite_sequence"])
def test_a_table_that_leads_into_itself_comes_to_an_end(tmp_path, table):
    path = planted(tmp_path / "spool", "INSERT INTO items (at, message) VALUES (1.0, 'x')")
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("INSERT INTO dead SELECT 1, 1.0, 'x', 1.0, 'x', 1, 'x', '{}', 1")
    leading_into_itself(path, table)
    with pytest.raises(Corrupt):
        in_seconds(10, lambda: look(path))


@pytest.mark.parametrize("does", ["waiting", "dead", "forget", "purge", "retry", "dead_letters", "oldest"])
@pytest.mark.parametrize("table", ["items", "dead"])
def test_nothing_that_a_command_does_with_such_a_table_goes_on_for_ever(tmp_path, table, does):
    path = planted(tmp_path / "spool", "INSERT INTO items (at, message) VALUES (1.0, 'x')")
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("INSERT INTO dead SELECT 1, 1.0, 'x', 1.0, 'x', 1, 'x', '{}', 1")
    leading_into_itself(path, table)
    file = SpoolFile(path)
    arguments = {"purge": ("x", 5.0, str), "retry": (5.0,)}.get(does, ())
    named = {"dead": True, "waiting": True} if does == "forget" else {}
    try:
        in_seconds(10, lambda: getattr(file, does)(*arguments, **named))
    except Corrupt:
        pass
    finally:
        in_seconds(10, file.close)


def test_what_computes_for_longer_than_it_may_ends(tmp_path, monkeypatch):
    file = SpoolFile.create(tmp_path, URL)
    monkeypatch.setattr(bounds, "MAX_CPU", 0.05)
    with pytest.raises(Corrupt, match="SQLITE_INTERRUPT"):
        file._read(f"{NUMBERS.format(10**12)} SELECT count(*) FROM n")
    assert file.write([(1.0, "a")]) == [1]
    file.close()


def test_the_head_of_a_file_does_not_choose_how_much_is_kept_in_memory(tmp_path):
    path = planted(tmp_path / "spool", "PRAGMA default_cache_size = 1000000")
    file = SpoolFile(path)
    assert file._read("PRAGMA cache_size") == -2000
    file.close()


def test_a_log_that_is_too_large_is_left_alone(tmp_path, monkeypatch):
    file = SpoolFile.create(tmp_path, URL)
    file.write([(1.0, "x" * 9000)])
    monkeypatch.setattr(bounds, "MAX_LOG", 9000)
    with pytest.raises(SpoolError, match="left alone") as raised:
        SpoolFile(file.path)
    assert not isinstance(raised.value, Corrupt)
    file.close()


# ── Next to other files ──


def test_nothing_is_written_behind_a_row_that_cannot_be_read(api, tmp_path):
    folder = tmp_path / "spool"
    planted(folder, *BEYOND["a message above all"], about=api.url)
    tracker = journy_track.configure("a-key", base_url=api.url, spool=folder)
    tracker.track("mine", user="u1")
    assert tracker.flush(30, delivered=True)
    assert [event.name for event in api.events] == ["mine"]
    assert tracker.stats().dropped == {}


def test_others_are_delivered_and_one_line_is_logged_of_each(api, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(sources, "ADOPT", 0.05)
    folder = tmp_path / "spool"
    left = planted(folder, f"INSERT INTO items (at, message) VALUES (unixepoch(), '{WRITTEN}')")
    left.rename(folder / "3.spool"), lock_path(left).rename(folder / "3.spool.lock")
    for name, statements in [
        ("1", BEYOND["a message above all"]),
        ("2", BEYOND["a view"]),
        ("4", BEYOND["statistics"]),
    ]:
        path = planted(folder, *statements, about=api.url)
        path.rename(folder / f"{name}.spool"), lock_path(path).rename(folder / f"{name}.spool.lock")
    with closing(sqlite3.connect(folder / "3.spool")) as made, made:
        made.execute("UPDATE about SET value = ?", (api.url,))
    tracker = journy_track.configure("a-key", base_url=api.url, spool=folder)
    tracker.track("new", user="u1")
    eventually(lambda: sorted(event.name for event in api.events) == ["new", "waited"])
    eventually(lambda: len(list(folder.glob("*.corrupt-*"))) >= 3)
    assert tracker.shutdown(10)
    lines = [record.getMessage() for record in caplog.records if "set aside" in record.getMessage()]
    assert sorted(name for line in lines for name in "1234" if f"{name}.spool:" in line) == ["1", "2", "4"]


@forks
def test_an_app_delivers_and_forks_beside_all_of_them(api, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "ADOPT", 0.05)
    folder = tmp_path / "spool"
    for number, statements in enumerate([*BEYOND.values(), "items", "dead", "sqlite_sequence"]):
        made = planted(folder, *([] if isinstance(statements, str) else statements), about=api.url)
        if isinstance(statements, str):
            with closing(sqlite3.connect(made)) as filled, filled:
                filled.execute("INSERT INTO items (at, message) VALUES (1.0, 'x')")
                filled.execute("INSERT INTO dead SELECT 1, 1.0, 'x', 1.0, 'x', 1, 'x', '{}', 1")
            leading_into_itself(made, statements)
        made.rename(folder / f"{number:02}.spool"), lock_path(made).rename(folder / f"{number:02}.spool.lock")
    tracker = journy_track.configure("a-key", base_url=api.url, spool=folder, shutdown_timeout=30)
    slowest, sent = 0.0, 0
    deadline = monotonic() + 60
    while monotonic() < deadline and list(folder.glob("??.spool")):
        tracker.track("mine", user="u1", number=sent)
        sent += 1
        began = monotonic()
        child = os.fork()
        if not child:
            os._exit(0)
        slowest = max(slowest, monotonic() - began)
        os.waitpid(child, 0)
        threading.Event().wait(0.02)
    assert monotonic() < deadline
    assert slowest < 4
    tracker.delete_user(journy_track.UserIdentified("nobody"))  # which examines all files once more
    assert tracker.flush(30, delivered=True)
    assert sorted(event.metadata["number"] for event in api.events if event.name == "mine") == list(range(sent))
    assert tracker.shutdown(10)


def test_a_fork_does_not_wait_for_long_work(tmp_path):
    file = SpoolFile.create(tmp_path, URL, unforked_lock)
    for _ in range(20):
        file.write([(1.0, f'"{number}" {"x" * 300}') for number in range(5000)])
    waits: list[float] = []
    ended = threading.Event()

    def work() -> None:
        try:
            file.purge("nobody", 5.0, lambda message: None)
            file.waiting()
            file.forget(waiting=True)
            file.shrink()
        finally:
            ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not ended.is_set():
        began = monotonic()
        with unforked_lock:  # like a fork
            waits.append(monotonic() - began)
        ended.wait(0.01)
    thread.join()
    assert len(waits) > 10
    assert max(waits) < 3
    file.close(remove=True)
    assert list(tmp_path.iterdir()) == []


# ── Memory ──


def test_what_is_read_ahead_is_bounded_by_its_size(tmp_path):
    source = OpenFile(SpoolFile.create(tmp_path, URL))
    source.write([(1.0, "x" * 100_000)] * 200, lambda others: None)
    first = source.read(150)
    assert bounds.PAGE_SIZE <= source.held < bounds.PAGE_SIZE + 100_000
    rest = []
    while rows := source.read(150):
        rest += rows
    assert [row.seq for row in (*first, *rest)] == list(range(1, 201))
    for row in (*first, *rest):
        source.forget(row.seq)
    assert (source.held, source.unread) == (0, 0)
    source.close()


def test_a_spool_of_large_items_is_delivered_without_all_of_it_in_memory(api, tmp_path, monkeypatch):
    from journy_track._stores.sqlite import store as spooling

    monkeypatch.setattr(spooling, "MAX_HELD", 300_000)
    api.answer_next(None, delay=0.02, count=1000)
    tracker = journy_track.configure("a-key", base_url=api.url, spool=tmp_path / "spool")
    for number in range(50):
        tracker.track("wrote", user=f"u{number}", text="x" * 40_000)
    most = 0
    while not tracker.flush(0.05, delivered=True):
        most = max(most, sum(source.held for source in tracker._pipeline().store._files))
    assert 0 < most < 300_000 + bounds.PAGE_SIZE
    assert tracker.stats().delivered == 50


def test_dead_letters_are_read_in_pages_of_a_bounded_size(tmp_path):
    file = SpoolFile.create(tmp_path, URL)
    for number in range(60):
        file.dead_letter([], DeadLetter(0, 1.0, "x" * 100_000, 2.0, f"{number}"))
    first = file.dead_letters()
    assert len(first) < 60
    rest = file.dead_letters(first[-1].seq)
    assert [letter.reason for letter in (*first, *rest)] == [str(number) for number in range(60)]
    file.close()


def test_what_is_long_of_a_dead_letter_does_not_keep_it_from_being_kept(tmp_path):
    file = SpoolFile.create(tmp_path, URL)
    file.dead_letter([], DeadLetter(0, 1.0, "x" * 66_000, 2.0, "y" * 10**6, fields={"name": "\0" * 10**6}))
    (letter,) = file.dead_letters()
    assert (len(letter.message), len(letter.reason), letter.fields) == (66_000, 1000, {})
    file.close()


# ── Links and pipes ──


@pytest.fixture
def precious(tmp_path):
    path = tmp_path / "precious"
    path.write_text("?")
    return path


def put(kind: str, path: Path, precious: Path) -> None:
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to(precious)
    elif kind == "link to nothing":
        path.symlink_to(precious.with_name("nothing"))
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()


KINDS = ["link", "link to nothing", "pipe", "folder"]


@has_links
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", ["", ".lock", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("shared", [False, True])
def test_what_is_no_file_is_neither_waited_for_nor_written_through(tmp_path, precious, kind, end, shared):
    folder = tmp_path / "spool"
    path = planted(folder, f"INSERT INTO items (at, message) VALUES (1.0, '{WRITTEN}')")
    beside = path.with_name(path.name + end)
    put(kind, beside, precious)
    with pytest.raises(SpoolError, match="planted") as raised:
        in_seconds(10, lambda: folder_at(folder, shared=shared).adopt(path))
    assert not in_seconds(10, lambda: is_owned(lock_path(path)))
    assert precious.read_text() == "?"
    assert not precious.with_name("nothing").exists()
    if isinstance(raised.value, Corrupt):
        assert not list(folder.glob("*.spool"))
        assert not os.path.lexists(beside)


@has_links
def test_a_lock_that_is_another_name_of_a_file_is_not_emptied(tmp_path, precious):
    precious.write_text("needed")
    path = planted(tmp_path / "spool")
    lock_path(path).unlink()
    os.link(precious, lock_path(path))
    with pytest.raises(SpoolError, match="not a lock"):
        SpoolFile.adopt(path)
    assert precious.read_text() == "needed"


@has_links
def test_a_journal_does_not_choose_a_file_to_be_removed(tmp_path, precious):
    # SQLite removes the file that a journal names as the super-journal of a multi-database transaction.
    path = planted(tmp_path / "spool")
    name = str(precious).encode()
    journal = bytes.fromhex("d9d505f920a163d7") + bytes(4) + bytes(4) + (1).to_bytes(4) + (512).to_bytes(4)
    journal += (4096).to_bytes(4) + bytes(512 - len(journal) - 4)
    end = (1 << 18).to_bytes(4) + name + len(name).to_bytes(4) + sum(name).to_bytes(4)
    path.with_name(path.name + "-journal").write_bytes(journal + end + bytes.fromhex("d9d505f920a163d7"))
    with pytest.raises(Corrupt, match="journal"):
        folder_at(path.parent).adopt(path)
    assert precious.exists()


def test_a_new_file_never_has_a_journal(tmp_path, monkeypatch):
    seen: set[str] = set()
    with monkeypatch.context() as patch:
        execute = bounds.BoundedConnection.execute

        def watched(self, *arguments):
            try:
                return execute(self, *arguments)
            finally:
                seen.update(path.name.rpartition("-")[2] for path in tmp_path.iterdir())

        patch.setattr(bounds.BoundedConnection, "execute", watched)
        SpoolFile.create(tmp_path, URL).close(remove=True)
    assert "wal" in seen
    assert "journal" not in seen


# ── Refused keys ──


def note_in(folder: Path) -> tuple[RefusedKey, Path]:
    key = RefusedKey(folder, URL, Secret("a-key"))
    key.remember(140.0, 40.0)
    (path,) = folder.glob("refused-*")
    return key, path


@has_links
@pytest.mark.parametrize("kind", KINDS)
def test_a_note_that_is_no_file_is_ignored_logged_once_and_never_waited_for(tmp_path, precious, caplog, kind):
    folder = tmp_path / "spool"
    folder.mkdir()
    precious.write_text(json.dumps({"until": 140.0, "pause": 40.0}))
    key, path = note_in(folder)
    put(kind, path, precious)
    for _ in range(3):
        assert in_seconds(10, lambda: key.recall(110.0)) is None
    assert caplog.text.count("is ignored") == 1
    if kind == "folder":
        with pytest.raises(SpoolError):
            key.remember(150.0, 40.0)
        assert list(folder.iterdir()) == [path]
    else:
        key.remember(150.0, 40.0)
        assert not path.is_symlink()
        assert key.recall(110.0) == (40.0, 40.0)
        assert "140" in precious.read_text()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 4000,
        '{"until": 1' + "0" * 400 + ', "pause": 40}',
        '{"until": NaN, "pause": 40}',
        '{"until": Infinity, "pause": 40}',
        " " * 5000 + '{"until": 140, "pause": 40}',
        '{"until": 140, "pause": 40, "é": 1}',
    ],
    ids=["deep", "beyond all floats", "NaN", "infinite", "long", "not ASCII"],
)
def test_a_note_that_is_malformed_is_ignored_and_logged_once(tmp_path, caplog, text):
    key, path = note_in(tmp_path)
    path.write_text(text, encoding="utf-8")
    for _ in range(3):
        assert key.recall(110.0) is None
    assert caplog.text.count("is ignored") == 1


def test_no_more_than_the_start_of_a_note_is_read(tmp_path):
    key, path = note_in(tmp_path)
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    assert in_seconds(10, lambda: in_bytes(lambda: key.recall(110.0), 64 << 20)) is None


@as_root
def test_a_note_of_another_user_of_a_shared_folder_is_believed(tmp_path):
    key, path = note_in(tmp_path)
    os.chown(path, 12345, -1)
    assert key.recall(110.0) == (30.0, 40.0)
