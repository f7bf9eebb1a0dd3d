"""The batch API of journy.io's API/SDK connector: journy.io's own path and Segment's."""

import base64
import gzip
import json
import os
import shutil
import subprocess

import pytest
import requests

from journy_track.inspector import Inspector

WRITE_KEY = "write-key-for-tests"
MOMENT = "2024-05-17T09:30:00.000Z"


def message(type_="track", id_="m1", **more):
    filled = {"type": type_, "messageId": id_, "timestamp": MOMENT, "context": {}}
    if type_ == "track":
        filled |= {"event": "signed_in", "userId": "u1"}
    return {name: value for name, value in (filled | more).items() if value is not None}


def tracks(count, start=0):
    return [message(id_=f"m{number}", userId=f"u{number}") for number in range(start, start + count)]


@pytest.fixture
def send(api, caller_of):
    """Return a function that sends a batch, with the write key as the user name of Basic authentication."""
    call = caller_of(api.url, key=None)

    def post(*messages, path="/backend/v1/batch", key=WRITE_KEY, body=None, **more):
        body = {"batch": list(messages), "sentAt": MOMENT} if body is None else body
        return call("POST", path, body, auth=(key, "") if key else None, **more)

    post.call = call
    return post


@pytest.mark.parametrize("path", ["/backend/v1/batch", "/v1/batch"])
def test_a_batch_is_one_request_with_its_messages(api, send, path):
    response = send(message(), message("identify", "m2", userId="u1", traits={"plan": "pro"}), path=path)
    assert (response.status_code, response.json()) == (200, {"success": True})
    [received] = api.requests
    assert (received.operation, received.status, received.key) == ("batch", 200, "…ests")
    assert [(one.type, one.message_id, one.outcome) for one in received.messages] == [
        ("track", "m1", "accepted"),
        ("identify", "m2", "accepted"),
    ]
    assert api.messages == received.messages
    assert (api.counts.requests, api.counts.messages, api.counts.accepted) == (1, 2, 1)
    assert api.counts.by_type == {"track": 1, "identify": 1}


SINGLE = [
    ("track", {"event": "signed_in", "userId": "u1", "properties": {"plan": "pro"}}),
    ("identify", {"userId": "u1", "traits": {"plan": "pro"}}),
    ("group", {"userId": "u1", "groupId": "a1"}),
    ("page", {"userId": "u1", "name": "Home", "properties": {"url": "/"}}),
]


@pytest.mark.parametrize(("type_", "body"), SINGLE)
def test_segments_paths_for_one_message_take_one(api, send, type_, body):
    assert send(path=f"/v1/{type_}", body=body | {"messageId": "m1"}).status_code == 200
    [received] = api.messages
    assert (received.type, received.outcome, received.json["userId"]) == (type_, "accepted", "u1")
    assert [user.user_id for user in api.users] == ["u1"]
    assert [event.metadata for event in api.events] == ([{"plan": "pro"}] if type_ == "track" else [])


def test_a_track_is_an_event_of_its_user_and_account(api, send):
    context = {"groupId": "a1", "traits": {"email": "jane@acme.com"}}
    send(message(context=context, properties={"plan": "pro"}))
    [event] = api.events
    assert (event.name, event.metadata, event.triggered_at) == ("signed_in", {"plan": "pro"}, MOMENT)
    assert (event.user, event.account) == ({"userId": "u1", "email": "jane@acme.com"}, {"accountId": "a1"})
    assert event.message_id == "m1"
    [user], [account] = api.users, api.accounts
    assert (user.email, user.events, account.events) == ("jane@acme.com", 1, 1)


def test_a_track_with_an_anonymous_id_is_an_event_of_its_account_alone(api, send):
    send(message(userId=None, anonymousId="a1", context={"groupId": "a1"}))
    assert [(event.user, event.account) for event in api.events] == [(None, {"accountId": "a1"})]
    assert api.users == []


def test_an_identify_upserts_a_user(api, send):
    send(message("identify", userId="u1", traits={"email": "jane@acme.com", "plan": "pro", "seats": 2}))
    [user] = api.users
    assert (user.user_id, user.email) == ("u1", "jane@acme.com")
    assert user.properties == {"plan": "pro", "seats": 2}


def test_a_group_upserts_an_account_and_adds_its_user(api, send):
    send(
        message("group", "m1", groupId="a1", anonymousId="a1", traits={"domain": "acme.com", "plan": "pro"}),
        message("group", "m2", groupId="a1", userId="u1"),
        message("group", "m3", groupId="a1", userId="u2", traits={"seats": 3}),
    )
    [account] = api.accounts
    assert (account.account_id, account.domain) == ("a1", "acme.com")
    assert account.properties == {"plan": "pro", "seats": 3}
    assert account.members == ({"userId": "u1"}, {"userId": "u2"})


# ── The key ──


def test_a_write_key_in_the_body_is_enough_and_is_not_kept(api, send):
    secret = "secret-write-key-wxyz"
    assert send(key=None, body={"batch": [message()], "writeKey": secret}).status_code == 200
    [received] = api.requests
    assert received.key == "…wxyz"
    assert received.json["writeKey"] == "…wxyz"
    assert received.messages[0].outcome == "accepted"
    assert "secret" not in repr(received) + repr(vars(api._state))


@pytest.mark.parametrize("text", ['{"writeKey": "secret\\"-key-0123', '{"writeKey" : "secret-key-0123"', "{'a'"])
def test_a_write_key_in_a_body_that_is_not_json_is_not_kept_either(api, send, text):
    assert send.call("POST", "/v1/batch", data=text, auth=("secret-key-0123", "")).status_code == 400
    assert "secret" not in repr(api.requests)


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("invalid", 401), ("disabled", 403)])
def test_without_a_key_that_is_valid_nothing_is_taken(api, send, key, status):
    response = send(message(), key=key)
    assert (response.status_code, response.json()["success"]) == (status, False)
    assert api.events == []
    assert [one.outcome for one in api.messages] == ["refused"]
    assert api.counts.messages == 0


def test_an_api_key_is_not_a_write_key(api, caller_of):
    assert caller_of(api.url, "an-api-key")("POST", "/v1/batch", {"batch": []}).status_code == 401


def test_a_malformed_authorization_is_not_a_key(send):
    for header in ("Basic ???", "Basic " + base64.b64encode(b"\xff:").decode(), "Bearer key", "Basic"):
        assert send.call("POST", "/v1/batch", {"batch": []}, headers={"Authorization": header}).status_code == 401


def test_over_the_limit_is_a_429_that_names_the_wait(caller_of, clock):
    with Inspector(limit=2, window=60, clock=clock) as small:
        call = caller_of(small.url, key=None)
        statuses = []
        for number in range(3):
            last = call("POST", "/v1/batch", {"batch": tracks(5, start=number * 5)}, auth=(WRITE_KEY, ""))
            statuses.append(last.status_code)
            clock.now += 10
        assert statuses == [200, 200, 429]
        assert last.headers["Retry-After"] == "40"
        assert "X-RateLimit-Limit" not in last.headers
        assert (small.counts.accepted, small.counts.refused) == (10, 1)


# ── The body ──


def packed(body):
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    return {"data": gzip.compress(json.dumps(body).encode()), "headers": headers}


def test_a_body_may_be_packed(api, send):
    body = {"batch": tracks(500), "writeKey": WRITE_KEY}
    sent = packed(body)
    assert send.call("POST", "/v1/batch", **sent).status_code == 200
    [received] = api.requests
    assert received.size == len(sent["data"]) < len(received.body)
    assert received.json["batch"] == body["batch"]
    assert len(api.events) == 500


@pytest.mark.parametrize(
    "data", [b"no gzip", gzip.compress(b'{"batch": []}')[:-4], b""], ids=["text", "cut", "empty"]
)
def test_a_body_that_only_claims_to_be_packed_is_refused(send, data):
    headers = {"Content-Encoding": "gzip"}
    assert send.call("POST", "/v1/batch", data=data, headers=headers, auth=(WRITE_KEY, "")).status_code == 400


def test_a_small_body_that_unpacks_to_a_huge_one_is_refused(api, send):
    data = gzip.compress(b'{"batch": ["' + b"x" * 100_000_000 + b'"]}', compresslevel=1)
    headers = {"Content-Encoding": "gzip"}
    assert send.call("POST", "/v1/batch", data=data, headers=headers, auth=(WRITE_KEY, "")).status_code == 400
    assert len(api.requests[0].body) <= 500_001


def text(length):
    return {"text": "x" * length}


def test_the_limits_are_2500_messages_500_kb_and_32_kb_a_message(api, send):
    assert send(*tracks(2500)).status_code == 200
    assert send(*tracks(2501)).status_code == 400
    large = [message(id_=f"large{number}", properties=text(30_000)) for number in range(17)]
    assert send(*large[:16]).status_code == 200
    assert send(*large).status_code == 400
    room = 32 * 1024 - len(json.dumps(message(id_="full", properties=text(0)), separators=(",", ":")))
    assert send(message(id_="full", properties=text(room))).status_code == 200
    assert send(message(), message(id_="over", properties=text(room + 1))).status_code == 400
    assert "batch.1" in api.requests[-1].answer["errors"]["fields"]
    assert send(path="/v1/track", body=message(id_="alone", properties=text(40_000))).status_code == 400
    assert api.counts.messages == 2500 + 16 + 1


@pytest.mark.parametrize("body", [[], {}, {"batch": {}}, {"batch": ["track"]}, {"batch": [None]}])
def test_a_body_of_another_shape_is_refused(send, body):
    response = send(body=body)
    assert response.status_code == 400
    assert response.json()["success"] is False


def test_another_method_is_refused(send):
    response = send.call("GET", "/v1/batch", auth=(WRITE_KEY, ""))
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


# ── Messages that are invalid by themselves ──

WRONG = [
    (message(type_="trak"), "type"),
    (message(type_=None), "type"),
    (message(event=None), "event"),
    (message(userId=None), "userId"),
    (message(userId=7), "userId"),
    (message(userId=""), "userId"),
    (message(context={"groupId": 7}), "context.groupId"),
    (message("identify", traits={}), "userId"),
    (message("group", userId="u1"), "groupId"),
    (message("alias", userId="u1"), "previousId"),
]


@pytest.mark.parametrize(("wrong", "field"), WRONG)
def test_a_message_that_is_wrong_by_itself_is_ignored_and_not_told_of(api, send, wrong, field):
    response = send(wrong, message(id_="m2"))
    assert (response.status_code, response.json()) == (200, {"success": True})
    ignored, accepted = api.messages
    assert (ignored.outcome, accepted.outcome) == ("ignored", "accepted")
    assert field in ignored.problems
    assert (api.counts.messages, api.counts.ignored, api.counts.accepted) == (2, 1, 1)


PARTLY = [
    (message(properties={"plan": "pro", "nested": {}}), "properties.nested"),
    (message(properties={"plan": "pro", "list": ["a"]}), "properties.list"),
    (message(timestamp="yesterday"), "timestamp"),
    (message(context={"traits": {"email": "jane"}}), "context.traits.email"),
    (message("identify", userId="u1", traits={"nested": {}}), "traits.nested"),
    (message("group", groupId="a1", traits={"domain": 7}), "traits.domain"),
]


@pytest.mark.parametrize(("partly", "field"), PARTLY)
def test_a_wrong_value_is_left_out_and_the_rest_is_taken(api, send, partly, field):
    send(partly)
    [received] = api.messages
    assert (received.outcome, list(received.problems)) == ("accepted", [field])
    assert len(api.events) + len(api.users) + len(api.accounts) > 0
    assert api.counts.ignored == 0


def test_a_trait_of_another_kind_than_before_is_left_out(api, send):
    for id_, value in (("m1", "two"), ("m2", 2)):
        send(message("identify", id_, userId="u1", traits={"seats": value}))
    assert api.users[0].properties == {"seats": "two"}
    assert list(api.messages[-1].problems) == ["traits.seats"]


# ── Repetitions and faults ──


def test_a_message_id_that_is_known_is_taken_once(api, send):
    send(*tracks(3))
    send(*tracks(5))
    assert [event.message_id for event in api.events] == ["m0", "m1", "m2", "m3", "m4"]
    assert [one.outcome for one in api.requests[1].messages] == ["duplicate"] * 3 + ["accepted"] * 2
    assert (api.counts.messages, api.counts.duplicates, api.counts.accepted) == (5, 3, 5)


def test_the_same_id_twice_in_one_batch_is_taken_once(api, send):
    send(message(), message())
    assert [one.outcome for one in api.messages] == ["accepted", "duplicate"]


def test_messages_without_an_id_are_all_taken(api, send):
    send(message(id_=None), message(id_=None))
    assert api.counts.accepted == 2


def test_a_reset_forgets_the_message_ids(api, send):
    send(message())
    api.reset()
    send(message())
    assert (api.counts.accepted, api.counts.duplicates) == (1, 0)


@pytest.mark.parametrize("status", [400, 413, 429, 500, 503])
def test_a_fault_refuses_the_whole_batch_and_what_comes_again_is_another_attempt(api, send, status):
    api.answer_next(status)
    assert send(*tracks(4)).status_code == status
    assert api.events == []
    assert [one.outcome for one in api.messages] == ["refused"] * 4
    send(*tracks(2), message(id_="new"))  # half of the batch, and another message
    send(*tracks(2, start=2))
    send(message(id_="new2"))
    assert [received.attempt for received in api.requests] == [1, 2, 2, 1]
    assert [received.first for received in api.requests] == [1, 2, 3, 4]
    assert [received.part_of for received in api.requests] == [0, 1, 1, 0]
    assert (api.counts.messages, api.counts.duplicates) == (6, 0)


def test_a_batch_that_comes_again_whole_is_no_part_and_a_part_that_does_stays_one(api, send):
    api.answer_next(503)
    send(*tracks(4))
    api.answer_next(413)
    send(*reversed(tracks(4)))
    api.answer_next(503)
    send(*tracks(2))
    send(*tracks(2))
    assert [(one.attempt, one.first, one.part_of) for one in api.requests] == [
        (1, 1, 0),
        (2, 1, 0),
        (3, 3, 1),
        (4, 3, 1),
    ]


def test_a_response_that_is_lost_leaves_the_messages_taken(api, send):
    api.answer_next(None, drop=True)
    with pytest.raises(requests.ConnectionError):
        send(message())
    assert (api.requests[0].status, api.messages[0].outcome) == (0, "accepted")
    send(message())
    assert (api.requests[1].attempt, api.messages[1].outcome) == (2, "duplicate")
    assert (api.counts.accepted, api.counts.duplicates) == (1, 1)


def test_a_fault_may_wait_for_a_message(api, send):
    api.answer_next(400, count=2, containing='"m7"')
    api.answer_next(503)
    statuses = [send(*tracks(5)).status_code, send(*tracks(5)).status_code]
    statuses += [send(*tracks(5, start=5)).status_code for _ in range(3)]
    assert statuses == [503, 200, 400, 400, 200]


def test_a_fault_may_wait_for_a_message_in_a_packed_body(api, send):
    api.answer_next(400, containing='"m7"')
    assert send.call("POST", "/v1/batch", auth=(WRITE_KEY, ""), **packed({"batch": tracks(9)})).status_code == 400


# ── What a hostile sender tries ──


@pytest.mark.parametrize("type_", [["track"], {"a": 1}, 7, "\ud800"])
def test_a_type_may_be_anything(api, send, type_):
    assert send(message(type_=type_, id_="\ud800")).status_code == 200
    assert api.counts.by_type == {"other": 1}
    assert api.messages[0].outcome == "ignored"


def test_types_without_end_are_counted_as_one(api, send):
    send(*(message(type_=f"type-{number}", id_=str(number)) for number in range(100)))
    assert api.counts.by_type == {"other": 100}


# ── What the page reads ──


def test_a_batch_is_summed_up_with_its_messages(api, send):
    context = {"groupId": "a1", "traits": {"email": "jane@acme.com"}}
    send(
        message(context=context, properties={"plan": "pro", "nested": {}}),
        message("group", "m2", userId="u1", groupId="a1", traits={"seats": 3}),
        message("page", "m3", userId="u1", name="Pricing"),
        message(),
    )
    [item] = send.call("GET", "/__inspector/requests").json()["requests"]
    track, group, page, known = item.pop("messages")
    assert (item["operation"], item["status"], item["users"]) == ("batch", 200, [])
    assert track == {
        "position": 0,
        "id": "m1",
        "type": "track",
        "operation": "trackEvent",
        "name": "signed_in",
        "triggered": MOMENT,
        "users": [{"id": "u1", "alias": "jane@acme.com"}],
        "account": {"id": "a1"},
        "values": {"plan": "pro", "nested": "{…}"},
        "outcome": "accepted",
        "wrong": 1,
    }
    assert (group["operation"], group["users"], group["account"]) == (
        "addUserToAccount",
        [{"id": "u1"}],
        {"id": "a1"},
    )
    assert (page["type"], page["name"], page["users"]) == ("page", "Pricing", [{"id": "u1"}])
    assert known["outcome"] == "duplicate"
    one = send.call("GET", "/__inspector/requests/1").json()
    assert one["messages"][0]["problems"] == {
        "properties.nested": "Expected a string, a boolean or a number but found an object."
    }
    assert [result["id"] for result in one["messages"]] == ["m1", "m2", "m3", "m1"]


def test_a_list_of_huge_batches_comes_in_parts(api, send):
    for number in range(6):
        send(*tracks(2500, start=number * 2500))
    newest = send.call("GET", "/__inspector/requests?limit=1000").json()["requests"]
    assert 1 <= len(newest) < 6
    assert newest[-1]["number"] == 6
    seen, before = [], 7
    while before > 1:
        part = send.call("GET", f"/__inspector/requests?limit=1000&before={before}").json()["requests"]
        seen = [item["number"] for item in part] + seen
        before = part[0]["number"]
    assert seen == [1, 2, 3, 4, 5, 6]


def test_a_stream_brings_huge_batches_one_after_the_other(api, send):
    for number in range(6):
        send(*tracks(2500, start=number * 2500))
    stream = send.call("GET", "/__inspector/stream", stream=True)
    seen = []
    for line in stream.iter_lines():
        if line.startswith(b"data: "):
            seen += [item["number"] for item in json.loads(line[6:])["requests"]]
        if len(seen) >= 6:
            break
    stream.close()
    assert seen == [1, 2, 3, 4, 5, 6]


def test_a_batch_that_is_copied_names_the_variable_of_the_write_key(api, send):
    send(message(), body={"batch": [message()], "writeKey": WRITE_KEY})
    send(*tracks(2000))
    for number in (1, 2):
        copied = send.call("GET", f"/__inspector/requests/{number}").json()
        assert '-u "$JOURNY_WRITE_KEY:"' in copied["curl"]
        assert 'auth=(os.environ["JOURNY_WRITE_KEY"], "")' in copied["python"]
        assert WRITE_KEY not in json.dumps(copied)
        compile(copied["python"], "copied", "exec")


@pytest.mark.skipif(not shutil.which("curl"), reason="this machine has no curl")
def test_a_batch_that_is_copied_does_the_same_again(api, send):
    send.call("POST", "/v1/batch", **packed({"batch": tracks(20), "writeKey": WRITE_KEY}))
    copied = send.call("GET", "/__inspector/requests/1").json()["curl"]
    environment = {**os.environ, "JOURNY_WRITE_KEY": WRITE_KEY, "NO_PROXY": "*"}
    subprocess.run(["sh", "-c", copied], env=environment, check=True, capture_output=True, timeout=60)
    first, second = api.requests
    assert (first.json["batch"], first.key, first.status) == (second.json["batch"], second.key, second.status)
    assert [one.outcome for one in second.messages] == ["duplicate"] * 20


def test_the_export_holds_what_became_of_each_message(api, send):
    send(*tracks(2))
    [line] = send.call("GET", "/__inspector/export").text.splitlines()
    assert [result["outcome"] for result in json.loads(line)["messages"]] == ["accepted", "accepted"]
