"""Files that are large, broken, or changed or planted during an import."""

from __future__ import annotations

import json
import os
from time import perf_counter

import pytest

from journy_track.cli.files import append_to_file, replace_file, truncate_file
from journy_track.cli.importing.source import InputFile, Unreadable

from .commands import run, words

needs_links = pytest.mark.skipif(os.name == "nt", reason="Windows has no such links")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "users.csv"
    path.write_text("id,email\nu1,nope\nu2,\n")
    return path


# ── Files next to the input ──


@needs_links
@pytest.mark.parametrize("name", ["import.json", "import.json.new", "rejected.jsonl"])
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_nothing_is_written_through_a_planted_link(api, path, tmp_path, name, link):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    link(victim, path.with_name(f"users.csv.{name}"))
    run("import", path, "--skip-invalid", "--restart", JOURNY_BASE_URL=api.url)
    assert victim.read_text() == "precious"


@pytest.mark.slow
@needs_links
def test_a_link_for_the_rejected_rows_ends_it_and_names_the_file(api, path, tmp_path):
    path.with_name("users.csv.rejected.jsonl").symlink_to(tmp_path / "nothing")
    ended = run("import", path, "--skip-invalid", JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 1
    assert "Cannot write beside" in ended.stderr
    assert not (tmp_path / "nothing").exists()


@pytest.mark.slow
@needs_links
def test_what_is_written_beside_the_input_is_readable_by_its_owner_only(api, path):
    rejected = path.with_name("users.csv.rejected.jsonl")
    rejected.touch(mode=0o666)
    before = os.umask(0)
    try:
        run("import", path, "--skip-invalid", JOURNY_BASE_URL=api.url)
    finally:
        os.umask(before)
    assert rejected.stat().st_mode & 0o777 == 0o600
    assert path.with_name("users.csv.import.json").stat().st_mode & 0o777 == 0o600


@needs_links
def test_files_are_replaced_appended_to_and_cut_only_where_they_are_files(tmp_path):
    victim, link, file = tmp_path / "victim", tmp_path / "link", tmp_path / "file"
    victim.write_bytes(b"precious")
    link.symlink_to(victim)
    for write in (lambda: append_to_file(link, b"x"), lambda: truncate_file(link, 1)):
        with pytest.raises(OSError, match="symbolic link"):
            write()
    replace_file(link, b"new")
    assert (link.is_symlink(), link.read_bytes(), victim.read_bytes()) == (False, b"new", b"precious")
    assert [append_to_file(file, b"abc"), append_to_file(file, b"de"), truncate_file(file, 4)] == [3, 5, 4]
    assert truncate_file(file, 100) == 4
    assert file.stat().st_mode & 0o777 == 0o600


# ── A file that changes ──


def rows(first: int, last: int) -> str:
    return "".join(f"u{number:07},{'x' * 40}\n" for number in range(first, last))


@pytest.mark.slow
def test_rows_that_are_changed_after_they_were_checked_are_not_read(tmp_path):
    path = tmp_path / "users.csv"
    path.write_text("id,plan\n" + rows(0, 60_000))
    size = path.stat().st_size
    source = InputFile(path, "csv").pinned()
    records = source.records()
    assert next(records).cells["id"] == "u0000000"
    moment = path.stat().st_mtime_ns
    with path.open("r+b") as file:
        file.seek(size - 10)
        file.write(b"evil")  # as long as what it overwrites
    os.utime(path, ns=(moment, moment))
    seen = 0
    with pytest.raises(Unreadable, match=r"users\.csv was changed"):
        for record in records:
            assert "evil" not in record.cells["plan"]
            seen += 1
    assert seen > 40_000


@pytest.mark.slow
@pytest.mark.parametrize("change", ["append", "cut"])
def test_a_file_that_grows_or_shrinks_is_noticed(tmp_path, change):
    path = tmp_path / "users.csv"
    path.write_text("id,plan\n" + rows(0, 30_000))
    source = InputFile(path, "csv").pinned()
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(b"u,x\n") if change == "append" else file.truncate(file.tell() - 50)
    with pytest.raises(Unreadable, match="was changed"):
        list(source.records())


@pytest.mark.slow
def test_an_import_whose_file_is_changed_on_the_way_stops_and_sends_no_changed_row(api, tmp_path, monkeypatch):
    path = tmp_path / "users.jsonl"
    lines = "".join(json.dumps({"id": f"u{n}", "note": "x" * 20_000}) + "\n" for n in range(120))
    path.write_text(lines)

    from journy_track.cli import import_file

    ask = import_file.ask  # runs between the check and the first row that is sent

    def change_and_ask(*arguments: object) -> object:
        path.write_text(lines.replace('"u100"', '"e100"'))
        return ask(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(import_file, "ask", change_and_ask)
    ended = run("import", path, JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 1
    assert "was changed while it was imported" in words(ended.stderr)
    assert "e100" not in [user.user_id for user in api.users]


# ── Large and broken files ──


def seconds_for(tmp_path, columns):
    path = tmp_path / f"users-{columns}.csv"
    header = ["id", *(f"column_{number}" for number in range(columns))]
    path.write_text(",".join(header) + "\nu1" + ",1" * columns + "\n")
    began = perf_counter()
    ended = run("import", path, "--dry-run", *(f"--type=column_{n}:int" for n in range(0, columns, 40)))
    assert "larger than 64 KiB" in ended.stdout or ended.exit_code == 0
    return perf_counter() - began


@pytest.mark.slow
def test_a_file_of_20_000_columns_takes_four_times_as_long_as_one_of_5_000(tmp_path):
    seconds_for(tmp_path, 10)
    assert seconds_for(tmp_path, 20_000) < 12 * seconds_for(tmp_path, 5_000) + 1.0


@pytest.mark.slow
def test_a_quote_that_is_not_closed_ends_it_with_the_line(tmp_path):
    path = tmp_path / "users.csv"
    path.write_text('id,plan\nu1,pro\nu2,"pro\n' + "u3,pro,and more of it\n" * (50_000_000 // 22))
    began = perf_counter()
    ended = run("import", path, "--dry-run")
    assert ended.exit_code == 1
    assert "A cell of the row in line 3 does not end within 128 KiB: is a closing quote missing?" in words(
        ended.stderr
    )
    assert perf_counter() - began < 20


# ── Easy mistakes ──


@pytest.mark.parametrize(
    ("delimiter", "named"), [(";", "--delimiter ';'"), ("\t", "--delimiter $'\\t'"), ("|", "'|'")]
)
def test_another_delimiter_is_recognised_and_named(tmp_path, delimiter, named):
    path = tmp_path / "users.csv"
    path.write_text(delimiter.join(["id", "email", "plan"]) + "\n" + delimiter.join(["u1", "", "pro"]) + "\n")
    ended = run("import", path, "--dry-run")
    assert ended.exit_code == 1
    assert named in words(ended.stderr)
    assert run("import", path, "--dry-run", "--delimiter", delimiter).exit_code == 0


@pytest.mark.parametrize("line", ['{"id": "u1", "id": "u2"}', '{"id": "u1", "properties": {"a": 1, "b": 2, "a": 3}}'])
def test_a_json_line_with_a_key_twice_is_at_fault(tmp_path, line):
    path = tmp_path / "users.jsonl"
    path.write_text(line + '\n{"id": "u3"}\n')
    ended = run("import", path, "--dry-run", "--json")
    document = json.loads(ended.stdout)
    assert (ended.exit_code, document["at_fault"]) == (1, 1)
    (fault,) = document["faults"]
    assert fault["line"] == 1
    assert "twice" in fault["reason"]


@needs_links
def test_a_device_without_end_is_refused():
    ended = run("import", "/dev/zero", "--format", "csv", "--kind", "users", "--dry-run")
    assert (ended.exit_code, words(ended.stderr)) == (2, "Error: Cannot read /dev/zero: it is not a file.")


@needs_links
@pytest.mark.parametrize("name", ["import.json", "rejected.jsonl"])
def test_a_planted_pipe_does_not_hang_an_import(api, path, name):
    os.mkfifo(path.with_name(f"users.csv.{name}"))
    ended = run("import", path, "--skip-invalid", JOURNY_BASE_URL=api.url)
    assert ended.exit_code in (1, 2)
    assert f"users.csv.{name}" in words(ended.stderr) or "Cannot write beside" in ended.stderr
