"""`journy-track import`: rejected rows that were corrected, and rows that journy.io already has unchanged."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import journy_track

from .commands import KEY, run, words

AT = "2026-01-01T00:00:00Z"


@pytest.fixture
def write(tmp_path):
    def write(name: str, *lines: str) -> Path:
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    return write


@pytest.fixture
def state(tmp_path):
    return tmp_path / "journy.state"


def beside(path: Path, ending: str = ".rejected.jsonl") -> Path:
    return path.with_name(path.name + ending)


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def mend(path: Path, **values: object) -> None:
    rows = lines_of(path)
    for row in rows:
        row["row"].update(values)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


# ── Rejected rows ──


def test_rejected_rows_are_mended_and_imported(api, write):
    path = write("events.csv", "name,user_id,happened_at,plan", f"paid,u1,{AT},pro", "paid,u2,yesterday,")
    ended = run("import", path, "--skip-invalid", JOURNY_BASE_URL=api.url)
    assert (ended.exit_code, len(api.events)) == (1, 1)
    assert f"Correct the rows in {beside(path)}, and import that file" in words(ended.stderr)
    mend(beside(path), happened_at=AT)
    ended = run("import", beside(path), JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 0, ended.stderr
    assert [(event.user, dict(event.metadata)) for event in api.events] == [
        ({"userId": "u1"}, {"plan": "pro"}),
        ({"userId": "u2"}, {}),  # an empty cell is left out again
    ]


def test_mended_rows_that_are_imported_twice_are_sent_once(api, write):
    path = write("users.csv", "id,email", "u1,nope")
    assert run("import", path, "--skip-invalid", JOURNY_BASE_URL=api.url).exit_code == 1
    mend(beside(path), email="a@b.c")
    assert run("import", beside(path), JOURNY_BASE_URL=api.url).exit_code == 0
    ended = run("import", beside(path), JOURNY_BASE_URL=api.url)
    assert (ended.exit_code, api.counts.by_operation["upsertUser"]) == (0, 1)
    assert "was imported already" in words(ended.stderr)


def test_a_row_that_is_rejected_again_goes_to_a_file_of_its_own(api, write):
    path = write("users.csv", "id,email", "u1,nope")
    run("import", path, "--skip-invalid", JOURNY_BASE_URL=api.url)
    assert run("import", beside(path), "--skip-invalid", JOURNY_BASE_URL=api.url).exit_code == 1
    again = beside(beside(path))
    mend(again, email="a@b.c")
    assert run("import", again, JOURNY_BASE_URL=api.url).exit_code == 0
    assert [user.user_id for user in api.users] == ["u1"]


@pytest.mark.parametrize(
    ("name", "lines", "raw"),
    [
        ("users.csv", ("id,email,plan", "u1,pro"), ["u1", "pro"]),
        ("users.csv", ("id,email", "u1,a@b.c,pro"), ["u1", "a@b.c", "pro"]),
        ("users.jsonl", ('{"id": "u1",',), '{"id": "u1",\n'),
        ("users.jsonl", ('{"id": "u1", "id": "u2"}',), '{"id": "u1", "id": "u2"}\n'),
    ],
)
def test_what_could_not_be_read_is_kept_and_never_sent_unmended(api, write, name, lines, raw):
    path = write(name, *lines)
    run("import", path, "--skip-invalid", JOURNY_BASE_URL=api.url)
    (line,) = lines_of(beside(path))
    assert (line["row"], line["raw"]) == ({}, raw)
    ended = run("import", beside(path), "--skip-invalid", JOURNY_BASE_URL=api.url)
    assert (ended.exit_code, api.users) == (1, [])
    assert lines_of(beside(beside(path)))[0] == {
        "line": 1,
        "reason": "was not corrected: copy 'raw' into 'row' and correct it there",
        "row": {},
        "raw": raw,
    }
    mend(beside(path), id="u1")
    assert run("import", beside(path), "--restart", JOURNY_BASE_URL=api.url).exit_code == 0


def test_an_import_that_is_not_done_still_writes_its_rejected_rows(api, write):
    path = write("users.csv", "id,email", "u1,nope", "u2,")
    run("import", path, "--skip-invalid", JOURNY_BASE_URL=api.url)
    own = beside(path, ".import.json")
    document = json.loads(own.read_text())
    document["position"]["done"] = False
    own.write_text(json.dumps(document))
    mend(beside(path), email="a@b.c")
    ended = run("import", beside(path), JOURNY_BASE_URL=api.url)
    assert (ended.exit_code, "is unfinished" in words(ended.stderr)) == (1, True)


def test_a_file_that_is_none_of_rejected_rows_is_refused(api, write):
    path = write("users.jsonl", '{"id": "u1"}')
    ended = run("import", path, "--format", "rejected", JOURNY_BASE_URL=api.url)
    assert (ended.exit_code, "has no 'row': is this a file of rejected rows?" in words(ended.stderr)) == (1, True)


# ── Unchanged rows ──


def test_what_journy_io_has_like_this_is_not_sent_again(api, write, state):
    lines = [f"a{number},pro" for number in range(20)]
    options = ("--skip-unchanged", "--state", state, "--json")
    first = run("import", write("accounts.csv", "id,plan", *lines), *options, JOURNY_BASE_URL=api.url)
    assert (first.exit_code, json.loads(first.stdout)["delivered"]) == (0, 20)
    changed = write("accounts-2.csv", "id,plan", *lines[:-2], "a18,free", "a19,free")
    second = run("import", changed, *options, JOURNY_BASE_URL=api.url)
    document = json.loads(second.stdout)
    assert second.exit_code == 0
    assert (document["delivered"], document["unchanged"], document["left"]) == (2, 18, 0)
    assert api.counts.by_operation["upsertAccount"] == 22
    table = run("import", changed, "--restart", *options[:-1], JOURNY_BASE_URL=api.url).stdout
    assert "unchanged 20, not sent" in words(table)


def test_the_state_is_that_of_a_sync(api, write, state):
    path = write("accounts.csv", "id,plan", "a1,pro", "a2,free")
    assert run("import", path, "--state", state, JOURNY_BASE_URL=api.url).exit_code == 0  # records what it sends
    journy_track.configure(KEY, base_url=api.url)
    report = journy_track.sync_accounts([("a1", {"plan": "pro"}), ("a2", {"plan": "pro"})], state=state)
    assert journy_track.shutdown(5)
    assert (report.delivered, report.unchanged) == (1, 1)
    ended = run(
        "import", path, "--restart", "--skip-unchanged", "--json",
        JOURNY_BASE_URL=api.url, JOURNY_SKIP_UNCHANGED_STATE=str(state),
    )  # fmt: skip
    document = json.loads(ended.stdout)
    assert (document["delivered"], document["unchanged"]) == (1, 1)


def test_a_user_who_is_unchanged_still_joins_the_account(api, write, state):
    path = write("users.csv", "id,plan,account_id", "u1,pro,acme")
    options = ("--skip-unchanged", "--state", state, "--json", "--restart")
    for _ in range(2):
        document = json.loads(run("import", path, *options, JOURNY_BASE_URL=api.url).stdout)
        assert (document["delivered"], document["unchanged"]) == (1, 0)
    assert (api.counts.by_operation["upsertUser"], api.counts.by_operation["addUserToAccount"]) == (1, 2)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("users.csv", "--skip-unchanged"), "pass --state FILE"),
        (("events.csv", "--skip-unchanged", "--state", "s"), "is for users and accounts"),
    ],
)
def test_what_cannot_be_left_out_is_wrong_usage(api, write, options, what):
    path = write(options[0], "id,name", "u1,x")
    ended = run("import", path, *options[1:], JOURNY_BASE_URL=api.url)
    assert (ended.exit_code, what in words(ended.stderr)) == (2, True)


def test_a_state_that_cannot_be_used_ends_it_before_anything_is_sent(api, write, state):
    state.write_text("not a database, and nothing of ours" * 50)
    os.symlink(state, state.with_name("link"))
    path = write("users.csv", "id", "u1")
    ended = run("import", path, "--state", state.with_name("link"), JOURNY_BASE_URL=api.url)
    assert (ended.exit_code, "The state cannot be used" in words(ended.stderr)) == (1, True)
    assert api.users == []
