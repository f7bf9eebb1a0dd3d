"""The commands with a write key: what they send, what they can find out, and what they print."""

from __future__ import annotations

import json

import pytest

from .commands import KEY, run, words

WRITE_KEY = "a-write-key-0123456789"


def only(api, **variables: str) -> dict[str, str]:
    """Return an environment with a write key only. The REST API is elsewhere, and must not be called."""
    return {
        "JOURNY_API_KEY": "",
        "JOURNY_WRITE_KEY": WRITE_KEY,
        "JOURNY_BATCH_URL": f"{api.url}/backend/v1/batch",
        **variables,
    }


def test_check_says_what_can_be_known(api):
    ended = run("check", **only(api))
    assert ended.exit_code == 0, ended.stderr
    remedy = "send an event, and look for it at journy.io"
    assert f"not refused, but no call can verify it: {remedy}" in words(ended.stdout)
    assert "an empty batch; the response was 200" in words(ended.stdout)
    assert WRITE_KEY not in ended.stdout
    assert [request.path for request in api.requests] == ["/backend/v1/batch"]


def test_check_shows_both_keys(api):
    ended = run("check", "--json", **only(api, JOURNY_API_KEY=KEY, JOURNY_BASE_URL=api.url))
    document = json.loads(ended.stdout)
    assert (ended.exit_code, document["ok"]) == (0, True)
    assert "TrackData" in document["permissions"]
    assert (document["batches"]["status"], document["batches"]["problem"]) == (200, None)


@pytest.mark.parametrize("command", ["check", "doctor"])
@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_takes_no_empty_batch_has_refused_neither_address_nor_key(api, command, status):
    api.answer_next(status, {"success": False})
    ended = run(command, **only(api))
    assert ended.exit_code == 0, ended.stderr
    assert str(status) in words(ended.stdout)


def test_import_goes_on_where_a_server_takes_no_empty_batch(api, tmp_path):
    file = tmp_path / "users.csv"
    file.write_text("user_id\nu1\n")
    api.answer_next(400, {"success": False})
    assert run("import", str(file), **only(api)).exit_code == 0
    assert len(api.users) == 1


@pytest.mark.parametrize(
    ("scripted", "said"),
    [
        ({"status": 401, "body": {"success": False}}, "refuses this write key (401)"),
        ({"status": 503}, "did not accept the batch: the server responded with 503"),
        ({"status": 429, "headers": {"Retry-After": "7"}}, "too many requests. Try again in 7 s."),
        ({"status": 404}, "check batch_url"),
        ({"drop": True}, "Cannot reach"),
    ],
    ids=["401", "503", "429", "404", "dropped"],
)
def test_check_says_why_batches_are_not_taken(api, scripted, said):
    api.answer_next(**scripted)
    ended = run("check", **only(api))
    assert ended.exit_code == 1
    assert said in words(ended.stderr)
    assert WRITE_KEY not in ended.stderr


def test_doctor_looks_at_the_way_of_batches_and_does_not_show_the_key(api):
    ended = run("doctor", "--json", **only(api))
    findings = {finding["name"]: finding for finding in json.loads(ended.stdout)["findings"]}
    assert findings["write_key"]["value"] == "set (not shown)"
    assert findings["batch_interval"]["value"] == "0.5 s"
    assert findings["batch_url"]["value"] == f"{api.url}/backend/v1/batch"
    assert "respond to an empty batch (200)" in findings["batches"]["value"]
    assert "API" not in findings
    assert WRITE_KEY not in ended.stdout
    assert ended.exit_code == 0


def test_track_sends_a_batch_of_one(api):
    ended = run("track", "signed_in", "plan=pro", "--user", "u1", "--account", "acme", **only(api))
    assert ended.exit_code == 0, ended.stderr
    assert "sent signed_in user u1, account acme, in a batch" in words(ended.stdout)
    (event,) = api.events
    assert (event.name, event.metadata) == ("signed_in", {"plan": "pro"})


def test_track_of_a_large_event_reaches_a_server_that_does_not_unpack(api):
    api.answer_next(415, {"success": False})
    ended = run("track", "signed_in", f"text={'x' * 5000}", "--user", "u1", **only(api))
    assert ended.exit_code == 0, ended.stderr
    assert ["content-encoding" in request.headers for request in api.requests] == [True, False]


def test_track_without_an_id_needs_the_api_key(api):
    ended = run("track", "signed_in", "--email", "jane@acme.com", **only(api))
    assert (ended.exit_code, api.requests) == (2, [])
    assert "Batches need IDs: pass --user, or" in words(ended.stderr)
    both = only(api, JOURNY_API_KEY=KEY, JOURNY_BASE_URL=api.url)
    ended = run("track", "signed_in", "--email", "jane@acme.com", **both)
    assert (ended.exit_code, [request.path for request in api.requests]) == (0, ["/track"])


def test_import_goes_in_batches_and_names_the_rows_that_cannot(api, tmp_path):
    file = tmp_path / "users.csv"
    rows = "".join(f"u{number},user{number}@acme.com,pro\n" for number in range(1000))
    file.write_text(f"user_id,email,plan\n{rows},nobody@acme.com,pro\n")
    ended = run("import", str(file), "--json", "--skip-invalid", **only(api))
    document = json.loads(ended.stdout)
    assert (ended.exit_code, document["delivered"], document["rejected"]) == (1, 1000, 1)
    assert "without an ID" in (tmp_path / "users.csv.rejected.jsonl").read_text()
    assert len(api.users) == 1000
    assert len(api.requests) <= 4


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["import", "dry run"])
@pytest.mark.parametrize(
    "row", [",jane@acme.com,", "u1,,globex.com", ",jane@acme.com,globex.com"], ids=["email", "domain", "both"]
)
def test_a_row_without_an_id_is_at_fault_before_anything_is_sent(api, tmp_path, row, options):
    file = tmp_path / "users.csv"
    file.write_text(f"user_id,email,account_domain\nu0,,\n{row}\n")
    ended = run("import", str(file), *options, **only(api))
    assert (ended.exit_code, api.requests) == (1, [])
    assert "names a user or an account without an ID" in words(ended.stdout + ended.stderr)
    both = only(api, JOURNY_API_KEY=KEY, JOURNY_BASE_URL=api.url)
    assert run("import", str(file), *options, **both).exit_code == 0


def test_an_import_that_stopped_sends_its_rows_again_under_the_same_ids(api, tmp_path):
    file = tmp_path / "events.csv"
    rows = "".join(f"u{number},signed_in,2026-11-29T12:00:00Z\n" for number in range(20))
    file.write_text(f"user_id,event,happened_at\n{rows}")
    api.answer_next(200, {"success": True})  # the probe
    api.answer_next(503, containing="messageId", count=1000)
    stopped = run("import", str(file), "--patience", "1", **only(api))
    assert stopped.exit_code == 1
    sent = {message.json["messageId"] for message in api.messages}
    assert len(sent) == 20
    api.reset()
    assert run("import", str(file), **only(api)).exit_code == 0
    assert {message.json["messageId"] for message in api.messages} == sent
    api.reset()
    assert run("import", str(file), "--restart", **only(api)).exit_code == 0
    assert {message.json["messageId"] for message in api.messages}.isdisjoint(sent)


def test_import_stops_where_the_write_key_is_refused(api, tmp_path):
    file = tmp_path / "users.csv"
    file.write_text("user_id\nu1\n")
    api.answer_next(401, {"success": False})
    ended = run("import", str(file), **only(api))
    assert ended.exit_code == 1
    assert "refuses this write key" in words(ended.stderr)


def test_without_any_key_both_are_named(api):
    ended = run("check", JOURNY_API_KEY="")
    assert ended.exit_code == 2
    assert "JOURNY_API_KEY" in words(ended.stderr)
    assert "JOURNY_WRITE_KEY" in words(ended.stderr)
