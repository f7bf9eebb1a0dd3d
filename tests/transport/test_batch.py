"""A batch on the wire: the message of each item, the content of the request, and the meaning of a response."""

from __future__ import annotations

import base64
import json
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest

from journy_track import (
    AccountIdentified,
    Event,
    HttpRequest,
    HttpResponse,
    MaybeSent,
    NotSent,
    RequestsHttpClient,
    UserIdentified,
)
from journy_track._model.frozendict import FrozenDict
from journy_track._model.items import (
    AddUsersToAccount,
    DeleteAccount,
    DeleteUser,
    Link,
    RemoveUsersFromAccount,
    UpsertAccount,
    UpsertUser,
)
from journy_track._model.outcomes import Deferred, Delivered, Rejected, Split, Unauthorized, Unsendable
from journy_track._model.secret import Secret
from journy_track._stores.store import Job
from journy_track._transport.batch import GZIP_FROM, MAX_BYTES, MAX_MESSAGE, MAX_MESSAGES, BatchTransport, meaning
from journy_track._transport.batch_messages import messages_of
from journy_track._version import __version__

KEY = "a-write-key"
JANE, JOHN = UserIdentified("u1", "jane@acme.com"), UserIdentified("u2")
ACME = AccountIdentified("acme", "acme.com")
AT = datetime(2026, 11, 29, 12, 0, 0, 500_000, tzinfo=UTC)
CAPTURED = "2026-11-29T12:30:00.000Z"
LIBRARY = {"library": {"name": "journy_track", "version": __version__}}


def job(item: Any, number: int = 1) -> Job:
    made = Job(number, 0.0, datetime(2026, 11, 29, 12, 30, tzinfo=UTC).timestamp())
    made.item = item
    made.message_id = f"id-{number}"
    return made


def message(item: Any) -> dict[str, Any]:
    (text,) = messages_of(job(item))
    made = json.loads(text)
    assert isinstance(made, dict)
    return made


class Wire:
    """An HTTP client that records what is sent, and returns or raises the next given result."""

    def __init__(self, *responses: Any) -> None:
        self.responses = list(responses)
        self.requests: list[HttpRequest] = []

    def send(self, request: HttpRequest, /) -> HttpResponse:
        self.requests.append(request)
        response = self.responses.pop(0) if self.responses else HttpResponse(200, {}, b'{"success": true}')
        if isinstance(response, BaseException):
            raise response
        return response

    def close(self) -> None:
        """Do nothing: nothing is open."""


def transport(wire: Any, url: str = "https://analyze.journy.io/backend/v1/batch", **options: Any) -> BatchTransport:
    return BatchTransport(Secret(KEY), url, 5.0, wire, **options)


# ── Messages ──


def test_an_event_of_a_user_in_an_account():
    event = Event("signed_in", JANE, ACME, AT, FrozenDict({"plan": "pro", "seats": 3}))
    assert message(event) == {
        "type": "track",
        "event": "signed_in",
        "properties": {"plan": "pro", "seats": 3},
        "messageId": "id-1",
        "timestamp": "2026-11-29T12:00:00.500Z",
        "context": {**LIBRARY, "groupId": "acme", "traits": {"email": "jane@acme.com"}},
        "userId": "u1",
    }


def test_an_event_of_a_user_alone_and_one_without_a_time():
    assert message(Event("signed_in", JOHN)) == {
        "type": "track",
        "event": "signed_in",
        "properties": {},
        "messageId": "id-1",
        "timestamp": CAPTURED,
        "context": LIBRARY,
        "userId": "u2",
    }


def test_an_event_of_an_account_has_the_account_as_its_visitor():
    made = message(Event("renewed", account=ACME))
    assert (made["anonymousId"], made["context"]["groupId"]) == ("acme", "acme")
    assert "userId" not in made


def test_a_user_is_identified_with_the_email_among_the_traits_and_none_as_it_is():
    made = message(UpsertUser(JANE, FrozenDict({"plan": None, "tags": ("a", "b")})))
    assert (made["type"], made["userId"]) == ("identify", "u1")
    assert made["traits"] == {"plan": None, "tags": ["a", "b"], "email": "jane@acme.com"}


def test_an_account_is_a_group_without_a_user():
    made = message(UpsertAccount(ACME, FrozenDict({"plan": "pro"})))
    assert (made["type"], made["groupId"], made["anonymousId"]) == ("group", "acme", "acme")
    assert made["traits"] == {"plan": "pro", "domain": "acme.com"}
    assert "userId" not in made


def test_a_membership_is_a_group_for_each_user_whose_id_depends_on_the_user_alone():
    first, second = map(json.loads, messages_of(job(AddUsersToAccount(ACME, (JANE, JOHN)))))
    assert [(made["userId"], made["groupId"], made["traits"]) for made in (first, second)] == [
        ("u1", "acme", {}),
        ("u2", "acme", {}),
    ]
    assert first["messageId"] != second["messageId"]
    (alone,) = map(json.loads, messages_of(job(AddUsersToAccount(ACME, (JOHN,)))))
    assert alone["messageId"] == second["messageId"]


def test_text_of_any_kind_is_written_as_json():
    event = Event(
        'say "hi"\n', UserIdentified('u"\\1'), AccountIdentified("ä€😀"), AT, FrozenDict({'k"': "\x00\u2028"})
    )
    made = message(event)
    assert (made["event"], made["userId"], made["context"]["groupId"]) == ('say "hi"\n', 'u"\\1', "ä€😀")
    assert made["properties"] == {'k"': "\x00\u2028"}


@pytest.mark.parametrize(
    "item",
    [
        DeleteUser(JANE),
        DeleteAccount(ACME),
        RemoveUsersFromAccount(ACME, (JANE,)),
        Link("device", JANE),
        Event("x", UserIdentified(email="jane@acme.com")),
        UpsertAccount(AccountIdentified(domain="acme.com")),
        AddUsersToAccount(ACME, (UserIdentified(email="jane@acme.com"),)),
    ],
)
def test_what_has_no_counterpart(item):
    assert transport(Wire()).lacks(item)


def test_a_membership_goes_in_part_where_there_is_no_other_way():
    item = AddUsersToAccount(ACME, (JANE, UserIdentified(email="john@acme.com")))
    assert not transport(Wire()).lacks(item)
    assert transport(Wire(), beside_rest=True).lacks(item)


# ── Requests ──


def test_a_request_has_the_key_twice_the_time_and_its_messages_in_order():
    wire = Wire()
    transport(wire).send([job(Event("first", JOHN), 1), job(Event("second", JOHN), 2)])
    (request,) = wire.requests
    assert (request.method, request.url) == ("POST", "https://analyze.journy.io/backend/v1/batch")
    assert base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")) == b"a-write-key:"
    assert request.headers["Content-Type"] == "application/json"
    body = json.loads(request.body or b"")
    assert [made["event"] for made in body["batch"]] == ["first", "second"]
    assert body["writeKey"] == KEY
    sent = datetime.fromisoformat(body["sentAt"])
    assert abs((datetime.now(UTC) - sent).total_seconds()) < 60


def test_what_is_large_is_compressed():
    wire = Wire()
    jobs = [job(Event("viewed", JOHN, metadata=FrozenDict({"n": n})), n) for n in range(100)]
    transport(wire).send(jobs)
    (request,) = wire.requests
    assert request.headers["Content-Encoding"] == "gzip"
    body = zlib.decompress(request.body or b"", 31)
    assert len(body) > GZIP_FROM > len(request.body or b"")
    assert len(json.loads(body)["batch"]) == 100


def test_as_many_fit_as_the_limits_say():
    batches = transport(Wire())
    small = [job(Event("x", JOHN), n) for n in range(2 * MAX_MESSAGES)]
    assert batches.fits(small) < len(small)
    large = [job(Event("x", JOHN, metadata=FrozenDict({"text": "x" * 30_000})), n) for n in range(50)]
    assert batches.fits(large) == 16
    members = [job(AddUsersToAccount(ACME, tuple(UserIdentified(f"u{n}") for n in range(100))), n) for n in range(50)]
    assert batches.fits(members) <= MAX_MESSAGES / 100


def test_a_full_batch_is_within_the_limits():
    wire = Wire()
    batches = transport(wire)
    jobs = [job(Event("x", JOHN, metadata=FrozenDict({"text": "ü€" * 50})), n) for n in range(4000)]
    batches.send(jobs[: batches.fits(jobs)])
    body = zlib.decompress(wire.requests[0].body or b"", 31)
    assert MAX_BYTES * 0.99 < len(body) <= MAX_BYTES


def test_a_message_above_32_kib_is_not_sent_and_the_others_are():
    wire = Wire()
    large = job(Event("large", JOHN, metadata=FrozenDict({"text": "x" * MAX_MESSAGE})))
    first, refused, last = transport(wire).send([job(Event("a", JOHN)), large, job(Event("b", JOHN))])
    assert isinstance(refused, Unsendable)
    assert refused.reason == "too_large"
    assert isinstance(first, Delivered)
    assert isinstance(last, Delivered)
    assert [made["event"] for made in json.loads(wire.requests[0].body or b"")["batch"]] == ["a", "b"]
    (alone,) = transport(wire).send([large])
    assert isinstance(alone, Unsendable)
    assert len(wire.requests) == 1


# ── Responses ──


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b'{"success": true}', Delivered),
        (200, b"", Delivered),
        (202, b'{"queued": 1}', Delivered),
        (200, b"<html>log in</html>", Deferred),
        (200, b'{"success": false, "message": "no"}', Rejected),
        (400, b"no JSON", Rejected),
        (413, b"<html>too large</html>", Rejected),
        (401, b"", Unauthorized),
        (401, b"<html>", Unauthorized),
        (403, b'{"success": false}', Unauthorized),
        (403, b" <html>firewall</html>", Deferred),
        (404, b"", Deferred),
        (302, b"", Deferred),
        (408, b"", Deferred),
        (429, b"", Deferred),
        (500, b"", Deferred),
        (503, b"<html>", Deferred),
    ],
)
def test_what_a_response_means(status, body, kind):
    outcome = meaning(HttpResponse(status, {}, body))
    assert isinstance(outcome, kind)
    if isinstance(outcome, Deferred):
        assert outcome.ambiguous is (status >= 500 or status == 200)


def test_retry_after_is_read():
    assert getattr(meaning(HttpResponse(429, {"Retry-After": "7"}, b"")), "retry_after", None) == 7.0


@pytest.mark.parametrize(("error", "ambiguous"), [(NotSent("refused"), False), (MaybeSent("reset"), True)])
def test_a_connection_that_fails_defers_all(error, ambiguous):
    outcomes = transport(Wire(error)).send([job(Event("a", JOHN)), job(Event("b", JOHN))])
    assert [getattr(outcome, "ambiguous", None) for outcome in outcomes] == [ambiguous] * 2


def test_a_refused_batch_is_halved_and_a_refused_message_is_rejected():
    wire = Wire(*[HttpResponse(400, {}, b'{"message": "no"}')] * 2)
    batches = transport(wire)
    outcomes = batches.send([job(Event("x", JOHN), n) for n in range(5)])
    assert [getattr(outcome, "together", None) for outcome in outcomes] == [2] * 5
    assert isinstance(outcomes[0], Split)
    (alone,) = batches.send([job(Event("x", JOHN))])
    assert isinstance(alone, Rejected)
    assert alone.reason == "400 no"


LARGE = [job(Event("x", JOHN, metadata=FrozenDict({"text": "x" * 1000})), n) for n in range(10)]


@pytest.mark.parametrize("status", [400, 415])
def test_what_a_server_does_not_unpack_goes_again_as_it_is_and_so_does_the_rest(status):
    wire = Wire(HttpResponse(status, {}, b""))
    batches = transport(wire)
    outcomes = batches.send(LARGE)
    assert [getattr(outcome, "together", None) for outcome in outcomes] == [10] * 10
    for _ in range(2):
        assert all(isinstance(outcome, Delivered) for outcome in batches.send(LARGE))
    assert ["Content-Encoding" in request.headers for request in wire.requests] == [True, False, False]


def test_a_single_large_message_that_a_server_does_not_unpack_is_not_lost():
    wire = Wire(HttpResponse(400, {}, b""))
    batches = transport(wire)
    large = job(Event("x", JOHN, metadata=FrozenDict({"text": "x" * 5000})))
    (again,) = batches.send([large])
    assert isinstance(again, Split)
    assert isinstance(batches.send([large])[0], Delivered)


def test_once_a_server_has_unpacked_a_400_is_about_the_messages():
    wire = Wire(HttpResponse(200, {}, b""), HttpResponse(400, {}, b""))
    batches = transport(wire)
    batches.send(LARGE)
    assert [getattr(outcome, "together", None) for outcome in batches.send(LARGE)] == [5] * 10
    batches.send(LARGE)
    assert ["Content-Encoding" in request.headers for request in wire.requests] == [True, True, True]


def test_where_a_400_comes_both_ways_compression_was_not_at_fault():
    wire = Wire(*[HttpResponse(400, {}, b"")] * 2)
    batches = transport(wire)
    assert [getattr(batches.send(LARGE)[0], "together", None) for _ in range(2)] == [10, 5]
    batches.send(LARGE)
    assert ["Content-Encoding" in request.headers for request in wire.requests] == [True, False, True]


def test_what_is_too_large_for_a_server_halves_what_fits():
    batches = transport(Wire(HttpResponse(413, {}, b"")))
    jobs = [job(Event("x", JOHN, metadata=FrozenDict({"text": "x" * 1000})), n) for n in range(1000)]
    before = batches.fits(jobs)
    batches.send(jobs[:before])
    assert batches.fits(jobs) == pytest.approx(before / 2, abs=2)


def test_a_batch_goes_over_a_socket_to_the_inspector(api):
    batches = transport(RequestsHttpClient(), f"{api.url}/backend/v1/batch")
    (outcome,) = batches.send([job(Event("signed_in", JANE, ACME, AT, FrozenDict({"plan": "pro"})))])
    assert isinstance(outcome, Delivered)
    (event,) = api.events
    assert (event.name, event.metadata) == ("signed_in", {"plan": "pro"})
    assert event.triggered_at == "2026-11-29T12:00:00.500Z"
    assert isinstance(batches.probe(), Delivered)
    batches.close()


def test_the_key_shows_nowhere():
    batches = transport(Wire(RuntimeError(KEY)))
    (outcome,) = batches.send([job(Event("x", JOHN))])
    assert KEY not in repr(outcome)
    assert KEY not in repr(vars(batches))
