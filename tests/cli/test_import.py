"""`journy-track import`: what arrives, what is rejected, and how an import resumes."""

from __future__ import annotations

import json
import signal
import sys

import pytest

from ..docs.reading import page
from .commands import run, started, words

AT = "2026-01-01T00:00:00Z"


@pytest.fixture
def write(tmp_path):
    def write(name: str, *lines: str | dict, encoding: str = "utf-8"):  # type: ignore[no-untyped-def]
        path = tmp_path / name
        text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        path.write_bytes(text.encode(encoding))
        return path

    return write


def events(*users: str) -> list[str]:
    return ["name,user_id,happened_at", *(f"signed_in,{user},{AT}" for user in users)]


def rejected(path):
    lines = path.with_name(path.name + ".rejected.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_users_with_properties_and_accounts_arrive(api, write):
    path = write("users.csv", "id,email,age,plan,account_id", "u1,a@b.c,41,pro,acme", "u2,,17,,acme")
    ended = run("import", path, "--type", "age:int", JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 0, ended.stderr
    assert {user.user_id: user.properties for user in api.users} == {
        "u1": {"age": 41, "plan": "pro"},
        "u2": {"age": 17},
    }
    (account,) = api.accounts
    assert sorted(member["userId"] for member in account.members) == ["u1", "u2"]
    assert "2 of 2 rows" in words(ended.stdout)


@pytest.mark.slow
def test_accounts_and_events_of_json_lines_arrive(api, write):
    accounts = write("accounts.jsonl", {"account_id": "acme", "mrr": 399.5, "tags": ["a"]}, "", {"domain": "x.com"})
    assert run("import", accounts, JOURNY_BASE_URL=api.url).exit_code == 0
    assert [account.properties for account in api.accounts] == [{"mrr": 399.5, "tags": ["a"]}, {}]
    happened = write("events.ndjson", {"name": "paid", "user_id": 7, "happened_at": AT, "metadata": {"amount": 3}})
    assert run("import", happened, JOURNY_BASE_URL=api.url).exit_code == 0
    assert [(e.name, e.user, dict(e.metadata)) for e in api.events] == [("paid", {"userId": "7"}, {"amount": 3})]


@pytest.mark.slow
def test_memberships_of_an_account_are_merged_into_few_calls(api, write):
    path = write("users.csv", "id,account_id", *(f"u{n},acme" for n in range(120)))
    assert run("import", path, JOURNY_BASE_URL=api.url).exit_code == 0
    assert len(api.accounts[0].members) == 120
    assert api.counts.by_operation["addUserToAccount"] < 60


@pytest.mark.slow
def test_what_csv_files_look_like_in_the_world(api, write):
    path = write("users.csv", "\ufeffid;name;note", 'u1;Zoë;"two', 'lines; and ""quotes"""', "", "u2;Ünal;x")
    ended = run("import", path, "--delimiter", ";", JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 0, ended.stderr
    assert [user.properties["name"] for user in api.users] == ["Zoë", "Ünal"]
    assert api.users[0].properties["note"] == 'two\nlines; and "quotes"'
    latin = write("users-latin.csv", "id,name", "u3,Zoë", encoding="latin-1")
    ended = run("import", latin, JOURNY_BASE_URL=api.url)
    assert (ended.exit_code, "not valid in this encoding" in words(ended.stderr)) == (1, True)
    assert run("import", latin, "--encoding", "latin-1", JOURNY_BASE_URL=api.url).exit_code == 0
    assert api.users[-1].properties["name"] == "Zoë"


FAULTS = ("id,email,age", "u1,nope,3", "u2,a@b.c,x", ",,4", "u3,,5,6", 'u4,"a"b,7', "u5,,7")


def test_a_dry_run_names_the_rows_at_fault_needs_no_key_and_sends_nothing(api, write):
    path = write("users.csv", *FAULTS)
    ended = run("import", path, "--type", "age:int", "--dry-run", JOURNY_BASE_URL=api.url, JOURNY_API_KEY="")
    assert ended.exit_code == 1
    faults = {"2": "malformed", "3": "whole number", "4": "neither", "5": "4 cells", "6": "is not CSV"}
    for line, why in faults.items():
        assert any(row.split()[:1] == [line] and why in row for row in ended.stdout.splitlines()), ended.stdout
    assert "5 of 6 rows are invalid" in words(ended.stderr)
    ended = run("import", path, "--type", "age:int", "--dry-run", "--json")
    document = json.loads(ended.stdout)
    assert (document["rows"], document["at_fault"]) == (6, 5)
    assert document["faults"][0] == {"line": 2, "reason": "'email' is malformed: 'nope'"}
    assert api.requests == []
    assert [file.name for file in path.parent.iterdir()] == ["users.csv"]


@pytest.mark.slow
def test_one_row_is_a_row(api, write):
    path = write("users.csv", "id", "u1")
    assert words(run("import", path, "--dry-run").stdout) == "1 row is ready to be imported. Nothing was sent."
    wrong = write("events.csv", *events("")[:2])
    assert "1 of 1 row is invalid" in words(run("import", wrong, "--dry-run").stderr)
    assert "Correct it, or send the others" in words(run("import", wrong, JOURNY_BASE_URL=api.url).stderr)
    ended = run("import", path, JOURNY_BASE_URL=api.url)
    assert "1 of 1 row took" in words(ended.stdout)
    assert words(ended.stdout).endswith(", 1 request")


@pytest.mark.slow
def test_while_rows_are_at_fault_nothing_is_sent_unless_they_are_skipped(api, write):
    path = write("users.csv", *FAULTS)
    ended = run("import", path, "--type", "age:int", JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 1
    assert "--skip-invalid" in words(ended.stderr)
    assert api.requests == []
    assert [file.name for file in path.parent.iterdir()] == ["users.csv"]
    ended = run("import", path, "--type", "age:int", "--skip-invalid", JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 1
    assert [user.user_id for user in api.users] == ["u5"]
    assert [row["line"] for row in rejected(path)] == [2, 3, 4, 5, 6]
    assert rejected(path)[0]["row"] == {"id": "u1", "email": "nope", "age": "3"}


@pytest.mark.slow
def test_what_the_api_refuses_goes_to_a_file_with_the_reason(api, write):
    path = write("events.csv", *events("u1", "u2", "u3"))
    body = {"message": "Some fields are wrong.", "meta": {"requestId": "r-1"}, "errors": {"fields": {"name": "No."}}}
    api.answer_next(None)  # the check of the key comes first
    api.answer_next(400, body)
    ended = run("import", path, "--json", JOURNY_BASE_URL=api.url)
    document = json.loads(ended.stdout)
    assert (ended.exit_code, document["delivered"], document["rejected"], document["left"]) == (1, 2, 1, 0)
    (row,) = rejected(path)
    assert (row["status"], row["request_id"], row["fields"]) == (400, "r-1", {"name": "No."})
    assert row["row"]["user_id"] in ("u1", "u2", "u3")
    assert document["rejected_file"] == str(path) + ".rejected.jsonl"


@pytest.mark.slow
def test_a_rejected_property_is_reported_with_its_row_though_that_was_delivered(api, write):
    path = write("users.csv", "id,plan,other", "u1,pro,x")
    api.answer_next(None)
    api.answer_next(201, {"meta": {"requestId": "r"}, "rejected": {"plan": "Expected a number."}})
    ended = run("import", path, JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 1
    assert "1 of 1 row in part 1 of those delivered" in words(ended.stdout)
    assert "the property 'plan'" in words(ended.stderr)
    assert rejected(path)[0]["fields"] == {"plan": "Expected a number."}


@pytest.mark.slow
def test_what_fails_for_a_while_is_tried_again(api, write):
    path = write("events.csv", *events("u1", "u2"))
    api.answer_next(None)
    api.answer_next(503, count=2)
    assert run("import", path, JOURNY_BASE_URL=api.url).exit_code == 0
    assert sorted(event.user["userId"] for event in api.events) == ["u1", "u2"]


@pytest.mark.slow
def test_a_file_that_was_imported_is_not_sent_again_without_restart(api, write):
    path = write("events.csv", *events("u1"))
    assert run("import", path, JOURNY_BASE_URL=api.url).exit_code == 0
    again = run("import", path, JOURNY_BASE_URL=api.url)
    assert (again.exit_code, "was imported already" in words(again.stderr)) == (0, True)
    assert len(api.events) == 1
    assert run("import", path, "--restart", JOURNY_BASE_URL=api.url).exit_code == 0
    assert len(api.events) == 2


@pytest.mark.slow
def test_a_state_of_another_content_or_of_other_options_is_not_gone_on_with(api, write):
    path = write("events.csv", *events("u1"))
    assert run("import", path, JOURNY_BASE_URL=api.url).exit_code == 0
    other = run("import", path, "--map", "name=name", JOURNY_BASE_URL=api.url)
    assert (other.exit_code, "different options" in words(other.stderr)) == (2, True)
    path.write_text(path.read_text() + f"signed_in,u2,{AT}\n")
    other = run("import", path, JOURNY_BASE_URL=api.url)
    assert (other.exit_code, "different file contents" in words(other.stderr)) == (2, True)
    path.with_name("events.csv.import.json").write_text("{")
    other = run("import", path, JOURNY_BASE_URL=api.url)
    assert (other.exit_code, "is not the state of an import" in words(other.stderr)) == (2, True)
    assert len(api.events) == 1


@pytest.mark.slow
def test_a_key_that_is_refused_ends_it_before_and_also_in_the_middle(api, write):
    path = write("events.csv", *events("u1", "u2"))
    ended = run("import", path, JOURNY_BASE_URL=api.url, JOURNY_API_KEY="invalid")
    assert (ended.exit_code, "does not know this key" in words(ended.stderr)) == (1, True)
    api.answer_next(None)
    api.answer_next(401, count=100)
    ended = run("import", path, JOURNY_BASE_URL=api.url)
    assert (ended.exit_code, "refuses the API key" in words(ended.stderr)) == (1, True)
    assert "To resume: " in words(ended.stderr)
    api.reset()
    assert run("import", path, JOURNY_BASE_URL=api.url).exit_code == 0
    assert sorted(event.user["userId"] for event in api.events) == ["u1", "u2"]


def test_a_key_that_lacks_the_permission_ends_it_and_rejects_no_row(api, write):
    path = write("events.csv", *events("u1", "u2"))
    api.answer_next(None)
    api.answer_next(403)
    api.answer_next(None)  # the key itself is valid
    ended = run("import", path, JOURNY_BASE_URL=api.url)
    assert (ended.exit_code, "lacks the permission" in words(ended.stderr)) == (1, True)
    assert not path.with_name("events.csv.rejected.jsonl").exists()


@pytest.mark.slow
def test_when_nothing_is_settled_for_too_long_it_stops_and_can_go_on(api, write):
    path = write("events.csv", *events("u1", "u2"))
    api.answer_next(None)
    api.answer_next(503, count=1000)
    ended = run("import", path, "--patience", "0.5", JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 1
    assert "No row was delivered or rejected" in words(ended.stderr)
    assert "2 rows wait" in words(ended.stderr)
    api.reset()
    assert run("import", path, JOURNY_BASE_URL=api.url).exit_code == 0
    assert sorted(event.user["userId"] for event in api.events) == ["u1", "u2"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "signal")]
)
def test_stopped_it_prints_how_to_go_on_and_then_sends_what_is_left(api, write, number, code, said):
    users = [f"u{n}" for n in range(40)]
    path = write("events.csv", *events(*users))
    api.answer_next(None, count=11)
    api.answer_next(None, delay=60, count=1000)  # all other requests are slow
    with started("import", path, JOURNY_BASE_URL=api.url) as process:
        api.wait_for(lambda seen: seen.counts.accepted >= 10, timeout=60)
        process.send_signal(number)
        out, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert said in errors
    assert f"To resume: journy-track import {path}" in errors
    assert "Traceback" not in errors
    assert "left" in out
    arrived = {event.user["userId"] for event in api.events}
    api.reset()
    ended = run("import", path, JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 0, ended.stderr
    arrived_again = {event.user["userId"] for event in api.events}
    assert "Resuming: " in words(ended.stderr)
    assert len(arrived_again) < 40
    assert arrived | arrived_again == set(users)


def test_two_imports_of_one_file_do_not_run_at_once(api, write):
    path = write("events.csv", *events("u1"))
    fcntl = pytest.importorskip("fcntl")
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        ended = run("import", path, JOURNY_BASE_URL=api.url)
    assert (ended.exit_code, "Another import" in words(ended.stderr)) == (1, True)
    assert api.events == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("users.txt", [], "pass --format with one of csv, jsonl, parquet, rejected"),
        ("people.csv", [], "pass --kind users, --kind accounts or --kind events."),
        ("users.csv", ["--map", "nope=email"], "there is no such column"),
        ("users.csv", ["--map", "email"], "write --map column=field"),
        ("users.csv", ["--map", "id=user_id", "--map", "plan=user_id"], "two columns go to 'user_id'"),
        ("users.csv", ["--type", "age:number"], "'number' is not a type"),
        ("users.csv", ["--type", "nope:int"], "there is no such column"),
        ("users.csv", ["--empty", "maybe"], "--empty takes one of"),
        ("events.csv", ["--empty", "delete"], "--empty is for users and accounts"),
        ("users.csv", ["--timezone", "Mars/Base"], "is not known"),
        ("users.csv", ["--encoding", "utf-16"], "convert the file"),
        ("users.csv", ["--encoding", "klingon"], "is not known"),
        ("users.csv", ["--delimiter", "ab"], "one character"),
        ("users.csv", ["--patience", "-1"], "--patience -1 is not a time to wait: pass seconds above 0"),
        ("users.csv", ["--patience", "0"], "--patience 0 is not a time"),
        ("users.csv", ["--patience", "nan"], "--patience nan is not a time"),
    ],
)
def test_wrong_options_are_wrong_usage(api, write, name, options, said):
    path = write(name, "id,plan,age", "u1,pro,3")
    ended = run("import", path, *options, JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 2
    assert said in words(ended.stderr)
    assert api.requests == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "has no header"),
        (["id,,x"], "Column 2 of users.csv has no name"),
        (["id,id"], "The column 'id' appears twice"),
        (["id", "x" * 1_100_000], "longer than 1024 KiB"),
    ],
)
def test_a_file_that_is_of_no_use_is_said_to_be_so(api, write, lines, said):
    ended = run("import", write("users.csv", *lines), JOURNY_BASE_URL=api.url)
    assert (ended.exit_code, said in words(ended.stderr)) == (1, True), ended.stderr


@pytest.mark.parametrize(
    "content", [b"user_id,pr\xe9nom\nl7,Rene\n", b"\xff\xfe\x00", b"\xff\xfeu\x00\n\x001\x00\n\x00"]
)
def test_a_header_in_another_encoding_is_refused_and_not_sent_garbled(api, tmp_path, content):
    path = tmp_path / "users.csv"
    path.write_bytes(content)
    ended = run("import", path, JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 1
    said = "Error: The header of users.csv has bytes that are not valid in this encoding (see --encoding)."
    assert words(ended.stderr) == said
    assert api.requests == []


def test_a_header_is_read_in_the_encoding_that_is_said(api, write):
    path = write("users.csv", "id,prénom", "u1,René", encoding="latin-1")
    assert run("import", path, "--encoding", "latin-1", JOURNY_BASE_URL=api.url).exit_code == 0
    assert api.users[0].properties == {"prénom": "René"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], ". does not end in .csv, .jsonl or .parquet: "),
        (["--format", "csv"], "The name of . does not say what it holds: "),
        (["--format", "csv", "--kind", "users"], "Cannot read .: "),
    ],
)
def test_a_folder_is_named_as_it_was_typed(options, said):
    ended = run("import", ".", *options)
    assert (ended.exit_code, words(ended.stderr).startswith(f"Error: {said}")) == (2, True), ended.stderr


@pytest.mark.parametrize("name", ["users-not-there.csv", "customers.csv", "customers"])
def test_a_file_that_is_not_there_is_wrong_usage_whatever_its_name(name):
    ended = run("import", name)
    assert (ended.exit_code, "No such file" in words(ended.stderr)) == (2, True)


def test_settings_of_the_app_do_not_reach_into_an_import(api, write, tmp_path):
    path = write("events.csv", *events("u1", "u2", "u3"))
    spool = tmp_path / "spool"
    ended = run(
        "import", path, JOURNY_BASE_URL=api.url, JOURNY_SPOOL=str(spool), JOURNY_ENABLED="0", JOURNY_QUEUE_SIZE="1"
    )
    assert ended.exit_code == 0
    assert len(api.events) == 3
    assert not spool.exists()


def test_a_state_that_cannot_be_written_is_said_before_anything_is_sent(api, write):
    path = write("events.csv", *events("u1"))
    path.with_name("events.csv.import.json.new").mkdir()
    ended = run("import", path, JOURNY_BASE_URL=api.url)
    assert (ended.exit_code, "Cannot write beside" in words(ended.stderr)) == (1, True)
    assert api.events == []


@pytest.mark.parametrize("word", ["--kind", "--skip-invalid", "--restart", "FILE.import.json", "FILE.rejected.jsonl"])
def test_the_guide_names_what_a_first_import_meets(word):
    assert f"`{word}`" in page("guides/command-line")


def test_parquet_without_its_extra_names_what_to_install(api, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "users.parquet"
    path.write_bytes(b"PAR1")
    ended = run("import", path, JOURNY_BASE_URL=api.url)
    assert (ended.exit_code, "pip install 'journy-track[parquet]'" in words(ended.stderr)) == (2, True)
