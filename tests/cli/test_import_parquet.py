"""`journy-track import` with Parquet files: types, resuming, memory, and what is rejected."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from journy_track.cli.importing.source import InputFile, Unreadable

from .commands import environment, run, words

pa = pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed: 170 MB")
pq = pytest.importorskip("pyarrow.parquet")

AT = datetime(2026, 5, 17, 9, 30, tzinfo=UTC)


@pytest.fixture
def write(tmp_path):
    def write(name: str, columns: dict, **options: object) -> Path:
        path = tmp_path / name
        pq.write_table(pa.table(columns), path, **options)
        return path

    return write


def test_each_type_becomes_the_value_that_the_api_takes(api, write):
    path = write(
        "accounts.parquet",
        {
            "id": pa.array([Decimal(42), None], pa.decimal128(38, 0)),  # the type of whole numbers from Snowflake
            "domain": ["acme.com", "x.com"],
            "mrr": pa.array([Decimal("399.50"), None], pa.decimal128(10, 2)),
            "score": pa.array([0.1, float("nan")], pa.float32()),
            "ratio": [0.25, None],
            "seats": pa.array([3, None], pa.uint16()),
            "paying": [True, False],
            "plan": pa.array(["pro", None]).dictionary_encode(),
            "since": pa.array([date(2020, 2, 29), None]),
            "renewed": pa.array([AT, None], pa.timestamp("ns", "Europe/Brussels")),
            "seen": pa.array([datetime(2026, 1, 1, 12), None], pa.timestamp("ms")),
            "tags": pa.array([["a", "b"], []], pa.list_(pa.string())),
            "sizes": pa.array([[1, 2], None], pa.large_list(pa.int64())),
            "nothing": pa.nulls(2),
        },
    )
    ended = run("import", path, "--timezone", "Europe/Brussels", JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 0, ended.stderr
    first, second = sorted(api.accounts, key=lambda account: account.account_id or "", reverse=True)
    assert (first.account_id, first.domain, second.account_id, second.domain) == ("42", "acme.com", None, "x.com")
    assert first.properties == {
        "mrr": 399.5,
        "score": 0.1,
        "ratio": 0.25,
        "seats": 3,
        "paying": True,
        "plan": "pro",
        "since": "2020-02-29",
        "renewed": "2026-05-17T09:30:00.000Z",
        "seen": "2026-01-01T11:00:00.000Z",
        "tags": ["a", "b"],
        "sizes": ["1", "2"],
    }
    assert second.properties == {"paying": False, "tags": []}


def test_events_with_a_time_column_arrive(api, write):
    path = write("events.parquet", {"name": ["paid"], "user_id": [7], "happened_at": pa.array([AT])})
    assert run("import", path, JOURNY_BASE_URL=api.url).exit_code == 0
    ((event,),) = [api.events]
    assert (event.name, event.user, event.triggered_at) == ("paid", {"userId": "7"}, "2026-05-17T09:30:00.000Z")


@pytest.mark.parametrize(
    ("column", "what"),
    [
        (pa.array([{"a": 1}]), "The column 'x' holds objects (a struct or a map), which cannot be imported"),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), "holds objects"),
        (pa.array([[[1]]]), "holds lists of lists or of objects"),
        (pa.array([b"ab"]), "holds values of the type binary"),
        (pa.array([1], pa.time64("us")), "holds values of the type time64[us]"),
        (pa.array([datetime(2026, 1, 1)]), "holds times without a zone: pass --timezone"),
    ],
)
def test_what_cannot_be_a_property_is_refused_by_its_column(api, write, column, what):
    path = write("users.parquet", {"id": ["u1"], "x": column})
    ended = run("import", path, JOURNY_BASE_URL=api.url)
    assert (ended.exit_code, what in words(ended.stderr)) == (2, True)
    assert "--map x=" in words(ended.stderr)
    assert run("import", path, "--map", "x=", JOURNY_BASE_URL=api.url).exit_code == 0
    assert [user.user_id for user in api.users] == ["u1"]


def test_rejected_rows_keep_their_types(api, write):
    columns = {
        "id": ["u1"],
        "email": ["nope"],
        "mrr": pa.array([Decimal("9.90")], pa.decimal128(9, 2)),
        "since": pa.array([AT]),
        "born": pa.array([date(1990, 1, 2)]),
    }
    path = write("users.parquet", columns)
    run("import", path, "--skip-invalid", JOURNY_BASE_URL=api.url)
    again = path.with_name("users.parquet.rejected.jsonl")
    again.write_text(again.read_text().replace("nope", "a@b.c"))
    assert run("import", again, JOURNY_BASE_URL=api.url).exit_code == 0
    (user,) = api.users
    assert user.properties == {"mrr": 9.9, "since": "2026-05-17T09:30:00.000Z", "born": "1990-01-02"}


def test_a_date_that_python_does_not_have_is_that_rows_fault(api, write):
    far = pa.array([4_000_000, 1], pa.int32()).cast(pa.date32())
    path = write("users.parquet", {"id": ["u1", "u2"], "since": far})
    ended = run("import", path, "--skip-invalid", JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 1
    assert [(user.user_id, user.properties) for user in api.users] == [("u2", {"since": "1970-01-02"})]
    (line,) = path.with_name("users.parquet.rejected.jsonl").read_text().splitlines()
    assert "'since' is a date or time" in json.loads(line)["reason"]


@pytest.mark.parametrize("group", [1, 7, 100, 10_000])
@pytest.mark.parametrize("first", [1, 2, 7, 8, 1_999, 2_500, 2_501])
def test_reading_begins_at_any_row(write, group, first):
    path = write("users.parquet", {"id": [str(number) for number in range(1, 2_501)]}, row_group_size=group)
    records = InputFile(path, "parquet").pinned().records(0, first)
    assert [(record.line, record.cells["id"]) for record in records] == [
        (number, str(number)) for number in range(first, 2_501)
    ]


def test_a_file_that_changes_meanwhile_is_noticed(write):
    path = write("users.parquet", {"id": [str(number) for number in range(1000)]})
    source = InputFile(path, "parquet").pinned()
    write("users.parquet", {"id": [str(number) for number in range(1, 1001)]})
    with pytest.raises(Unreadable, match="was changed while it was imported"):
        list(source.records())


@pytest.mark.parametrize("content", [b"", b"id\nu1\n", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_what_is_not_parquet_is_refused_in_a_sentence(api, tmp_path, content):
    path = tmp_path / "users.parquet"
    path.write_bytes(content)
    ended = run("import", path, JOURNY_BASE_URL=api.url)
    assert (ended.exit_code, "users.parquet cannot be read as Parquet" in words(ended.stderr)) == (1, True)


def test_a_damaged_page_is_told_in_a_sentence(api, write):
    path = write("users.parquet", {"id": [os.urandom(20).hex() for _ in range(5000)]})
    content = bytearray(path.read_bytes())
    content[2000:4000] = os.urandom(2000)
    path.write_bytes(content)
    ended = run("import", path, JOURNY_BASE_URL=api.url)
    assert (ended.exit_code, "Traceback" in ended.stderr) == (1, False)
    assert api.users == []


#: Reads all rows, like the first pass of an import, and prints its peak memory.
PROGRAM = """
import sys
from pathlib import Path
from journy_track.cli.importing.source import InputFile
count = sum(1 for _ in InputFile(Path(sys.argv[1]), "parquet").pinned().records())
status = Path("/proc/self/status").read_text()
print(count, next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_file(write):
    def peak(rows: int) -> int:
        columns = {"id": [f"u{n}" for n in range(rows)], "note": [f"{n:0>60}" for n in range(rows)], "n": range(rows)}
        path = write(f"users-{rows}.parquet", columns)
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, path], env=environment(), capture_output=True, text=True, check=True
        )
        count, memory = map(int, ended.stdout.split())
        assert count == rows
        return memory

    small, large = peak(20_000), peak(400_000)
    print(f"peak memory: {small} kB for 20 000 rows, {large} kB for 400 000")
    assert large < small + 40_000  # in kB; the rows are 30 MB, and 200 MB as Python values
