"""With a write key: what is sent in batches and what is not, when, in which order, and what each outcome means."""

from __future__ import annotations

import json
import logging
import zlib
from typing import Any

import pytest

from journy_track import AccountIdentified, HttpRequest, HttpResponse, MaybeSent, NotSent, UserIdentified
from journy_track._delivery.ways import MAX_BATCHES
from journy_track._transport.batch import MAX_MESSAGE

from .conftest import ANSWER, PLENTY
from .test_accounting import balanced

KEYS = {"write_key": "a-write-key", "batch_interval": 0.5}


def opened(request: HttpRequest) -> dict[str, Any]:
    """Return the body of a batch."""
    body = request.body or b""
    return json.loads(zlib.decompress(body, 31) if request.headers.get("Content-Encoding") == "gzip" else body)


def batches(made: Any) -> list[list[dict[str, Any]]]:
    """Return the messages of each batch that was sent."""
    return [opened(request)["batch"] for request in made.script.requests if request.url.endswith("/batch")]


def names(made: Any) -> list[list[str]]:
    """Return the names of the events in each batch."""
    return [[message["event"] for message in batch] for batch in batches(made)]


def calls(made: Any) -> list[str]:
    """Return the method and path of each request to the REST API."""
    return [f"{r.method} {r.url.partition('.io')[2]}" for r in made.script.requests if "api.journy" in r.url]


@pytest.fixture
def batching(desk):
    """Makes a desk with a write key and, by default, no API key, that gets these responses."""

    def make(*answers: Any, api_key: str | None = None, **settings: Any) -> Any:
        answers = tuple(taken() if answer == 200 else answer for answer in answers)
        made = desk(*answers, api_key=api_key, **{**KEYS, **settings})
        scripted = made.script.send

        def send(request: HttpRequest) -> HttpResponse:
            if not made.script.answers and request.url.endswith("/batch"):
                made.script.answers.append(taken())
            return scripted(request)

        made.script.send = send
        return made

    return make


def taken() -> HttpResponse:
    return HttpResponse(200, {}, b'{"success": true}')


def refused(status: int, **headers: str) -> HttpResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, named, b'{"success": false, "message": "no"}')


def settle(made: Any, turns: int = 5000) -> None:
    for _ in range(turns):
        wait = made.turn()
        balanced(made)
        if wait is None:
            return
        made.clock.now += max(wait, 0.001)
    raise AssertionError(f"something waits for ever: {made.ledger.stats()}")


def fill(made: Any) -> None:
    """Let enough time pass for a batch to be sent although it is not full."""
    made.turn()
    made.clock.now += 0.5
    made.turn()


# ── When a batch is sent ──


def test_a_batch_waits_to_be_filled_and_takes_all_that_waits(batching):
    made = batching()
    made.put("first")
    assert made.turn() == pytest.approx(0.5)
    made.clock.now += 0.3
    made.put("second")
    assert made.turn() == pytest.approx(0.2)
    assert batches(made) == []
    made.clock.now += 0.2
    assert made.turn() is None
    assert names(made) == [["first", "second"]]


def test_a_full_batch_goes_at_once(batching):
    made = batching()
    made.put_many(made.dispatcher.ways[0].transport.max_jobs)
    made.turn()
    assert len(batches(made)[0]) > 1000


def test_a_batch_does_not_wait_to_be_filled_while_the_queue_fills_up(batching):
    made = batching(queue_size=100)
    made.put_many(49)
    made.turn()
    assert batches(made) == []
    made.put("one_more")
    made.turn()
    assert [len(batch) for batch in batches(made)] == [50]


def test_who_waits_for_it_does_not_wait_for_a_batch_to_be_filled(batching):
    made = batching()
    made.put("waited_for")
    checkpoint = made.ledger.checkpoint()
    made.ledger.add_done_callback(checkpoint, lambda: None)
    assert made.turn() is None
    assert names(made) == [["waited_for"]]


def test_flush_does_not_wait_for_a_batch_to_be_filled(api):
    import journy_track

    tracker = journy_track.configure(write_key="k", base_url=api.url, batch_interval=60)
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    journy_track.track("signed_out", user="u1")
    assert tracker.shutdown(5)
    assert [event.name for event in api.events] == ["signed_in", "signed_out"]
    assert [request.path for request in api.requests] == ["/backend/v1/batch"] * 2


def test_a_batch_has_at_most_500_kb_and_what_does_not_fit_goes_next_in_order(batching):
    made = batching()
    for number in range(60):
        made.track("large", {"number": number, "text": "x" * 20_000}, user=f"u{number % 3}")
    settle(made)
    sizes = [len(json.dumps(opened(r), separators=(",", ":"))) for r in made.script.requests]
    assert len(sizes) >= 3
    assert max(sizes) <= 500_000
    assert min(sizes[:-1]) > 450_000
    assert [message["properties"]["number"] for batch in batches(made) for message in batch] == [*range(60)]


def test_a_large_body_is_compressed_and_a_small_one_is_not(batching):
    made = batching()
    made.put("small")
    settle(made)
    made.put_many(100)
    settle(made)
    small, large = made.script.requests
    assert "Content-Encoding" not in small.headers
    assert large.headers["Content-Encoding"] == "gzip"
    assert len(large.body) < 10_000


# ── What is sent in batches, and what by the REST API ──


def everything(made: Any) -> None:
    made.track("acted", user="u1", account="acme")
    made.upsert_user(user="u1", plan="pro")
    made.upsert_account(account="acme", plan="pro")
    made.add_users_to_account("acme", ["u1", "u2"])
    made.link("device", user="u1")
    made.remove_users_from_account("acme", ["u2"])
    made.delete_user("u9")
    made.delete_account("globex")


def test_without_an_api_key_what_has_no_counterpart_is_counted_and_logged_once_with_the_remedy(batching, caplog):
    made = batching()
    for _ in range(2):
        everything(made)
    settle(made)
    stats = made.ledger.stats()
    assert (stats.delivered, stats.dropped) == (8, {"no_counterpart": 8})
    lines = [record.getMessage() for record in caplog.records if "no counterpart" in record.getMessage()]
    assert len(lines) == 4
    assert all("Set JOURNY_API_KEY as well as the write key" in line for line in lines)
    assert calls(made) == []


def test_with_an_api_key_it_goes_by_the_rest_api_in_order_with_the_rest(batching):
    made = batching(api_key="a-key")
    everything(made)
    settle(made)
    stats = made.ledger.stats()
    assert (stats.delivered, stats.dropped) == (8, {})
    assert sorted(calls(made)) == ["DELETE /accounts", "DELETE /users", "POST /accounts/users/remove", "POST /link"]
    types = [message["type"] for batch in batches(made) for message in batch]
    assert types == ["track", "identify", "group", "group", "group"]
    order = [request.url.rpartition("/")[2] for request in made.script.requests]
    assert order.index("batch") < order.index("link")
    assert order.index("batch") < order.index("remove")


def test_items_of_one_user_keep_their_order_across_both_ways(batching):
    made = batching(api_key="a-key")
    for number in range(3):
        made.track(f"before_{number}", user="u1")
        made.link(f"device_{number}", user="u1")
    made.track("of_another", user="u2")
    settle(made)
    flow = [
        [message["event"] for message in opened(r)["batch"] if message["userId"] == "u1"]
        if r.url.endswith("/batch")
        else json.loads(r.body)["deviceId"]
        for r in made.script.requests
    ]
    flow = [step for step in flow if step]
    assert flow == [["before_0"], "device_0", ["before_1"], "device_1", ["before_2"], "device_2"]


JANE, ACME = UserIdentified(email="jane@acme.com"), AccountIdentified(domain="acme.com")
WITHOUT_ID = {
    "event of a user": lambda made: made.track("acted", user=JANE),
    "event of an account": lambda made: made.track("acted", user=None, account=ACME),
    "event in an account": lambda made: made.track("acted", user="u1", account=ACME),
    "user": lambda made: made.upsert_user(user=JANE, plan="pro"),
    "account": lambda made: made.upsert_account(account=ACME, plan="pro"),
    "members": lambda made: made.add_users_to_account("acme", [JANE]),
    "members of": lambda made: made.add_users_to_account(ACME, ["u1"]),
}


@pytest.mark.parametrize("what", WITHOUT_ID)
def test_what_has_no_id_is_counted_unless_there_is_an_api_key(batching, what, caplog):
    made = batching()
    WITHOUT_ID[what](made)
    settle(made)
    assert made.ledger.stats().dropped == {"no_counterpart": 1}
    assert "Pass the ID, or set JOURNY_API_KEY as well as the write key" in caplog.text
    assert made.script.requests == []
    made = batching(api_key="a-key")
    WITHOUT_ID[what](made)
    settle(made)
    assert (made.ledger.stats().delivered, len(calls(made))) == (1, 1)


def test_of_a_membership_those_with_an_id_go_and_it_is_counted_for_the_others(batching, caplog):
    made = batching()
    made.add_users_to_account("acme", ["u1", JANE, "u2"])
    made.track("acted", user="u3")
    settle(made)
    assert [message.get("userId") for message in batches(made)[0]] == ["u1", "u2", "u3"]
    stats = made.ledger.stats()
    assert (stats.delivered, stats.dropped, stats.responses) == (1, {"no_counterpart": 1}, {200: 1})
    assert "without its users known by e-mail alone" in caplog.text
    assert "set JOURNY_API_KEY as well as the write key" in caplog.text


def test_a_message_above_32_kb_is_refused_before_and_holds_nobody_up(batching):
    made = batching()
    made.put("before")
    made.put("large", text="x" * MAX_MESSAGE)
    made.put("after")
    settle(made)
    assert names(made) == [["before", "after"]]
    assert made.ledger.stats().dropped == {"too_large": 1}


def test_nothing_is_merged_in_batches(batching):
    made = batching()
    for plan in ("free", "pro"):
        made.upsert_user(user="u1", plan=plan)
    settle(made)
    assert [message["traits"] for message in batches(made)[0]] == [{"plan": "free"}, {"plan": "pro"}]
    assert made.ledger.stats().delivered == 2


def test_a_delete_removes_what_waits_for_a_batch(batching):
    made = batching(api_key="a-key")
    made.track("mine", user="u1")
    made.track("theirs", user="u2")
    made.turn()
    made.delete_user("u1")
    settle(made)
    assert names(made) == [["theirs"]]
    assert made.ledger.stats().dropped == {"deleted": 1}


# ── What an outcome means ──


@pytest.mark.parametrize(
    "fault", [refused(503), refused(429), MaybeSent("reset"), NotSent("refused")], ids=["503", "429", "reset", "none"]
)
def test_a_batch_that_failed_goes_again_with_the_same_message_ids(batching, fault):
    made = batching(fault)
    for number in range(5):
        made.track(f"event_{number}", user=f"u{number}")
    settle(made)
    first, second = batches(made)
    assert first == second
    assert len({message["messageId"] for message in first}) == 5
    stats = made.ledger.stats()
    assert (stats.delivered, stats.retried) == (5, 5)


def test_retry_after_is_honoured(batching):
    made = batching(refused(429, Retry_After="17"))
    made.put()
    fill(made)
    made.clock.now += 16.9
    made.turn()
    assert len(batches(made)) == 1
    made.clock.now += 0.2
    made.turn()
    assert len(batches(made)) == 2


class Picky:
    """A server that refuses, with *status*, each request that contains one of the *bad* events."""

    def __init__(self, made: Any, *bad: str, status: int = 400) -> None:
        self.taken: list[str] = []
        self._made, self._bad, self._status = made, bad, status
        made.script.send = self.send

    def send(self, request: HttpRequest) -> HttpResponse:
        self._made.script.requests.append(request)
        events = [message["event"] for message in opened(request)["batch"]]
        if set(events) & set(self._bad):
            return refused(self._status)
        self.taken += events
        return taken()


def test_a_refused_batch_is_split_until_the_message_at_fault_stands_alone(batching, caplog):
    made = batching()
    server = Picky(made, "event_37", "event_38")
    for number in range(100):
        made.track(f"event_{number}", user=f"u{number % 3}")
    settle(made)
    assert sorted(server.taken) == sorted(f"event_{n}" for n in range(100) if n not in (37, 38))
    for user in range(3):
        mine = [int(name.partition("_")[2]) for name in server.taken if int(name.partition("_")[2]) % 3 == user]
        assert mine == sorted(mine)
    assert len(made.script.requests) <= 25
    stats = made.ledger.stats()
    assert (stats.delivered, stats.given_up) == (98, 2)
    assert "event 'event_37' was given up: 400 no" in caplog.text


class Club:
    """A server that refuses requests with one of the *bad* users, and requests that *at_fault* lists by number."""

    def __init__(self, made: Any, *bad: str, status: int = 400, at_fault: dict[int, int] | None = None) -> None:
        self.taken: dict[str, str] = {}
        self.twice: list[str] = []
        self._made, self._bad, self._status, self._at_fault = made, bad, status, at_fault or {}
        made.script.send = self.send

    def send(self, request: HttpRequest) -> HttpResponse:
        self._made.script.requests.append(request)
        messages = opened(request)["batch"]
        if (fault := self._at_fault.pop(len(self._made.script.requests), None)) is not None:
            return refused(fault)
        if {message.get("userId") for message in messages} & set(self._bad):
            return refused(self._status)
        for message in messages:
            self.twice += [message["messageId"]] * (message["messageId"] in self.taken)
            self.taken[message["messageId"]] = message["userId"]
        return taken()


@pytest.mark.parametrize("status", [400, 413])
def test_a_refused_membership_goes_user_by_user_until_the_one_at_fault_stands_alone(batching, status):
    lost: list[Any] = []
    made = batching(on_error=lost.append)
    club = Club(made, "bad", status=status)
    made.add_users_to_account("acme", ["u1", "bad", "u2"])
    made.track("acted", user="u2", account="acme")
    settle(made)
    assert list(club.taken.values()) == ["u1", "u2", "u2"]
    stats = made.ledger.stats()
    assert (stats.delivered, stats.given_up) == (1, 1)
    assert [(one.item.users, one.status) for one in lost] == [((UserIdentified("bad"),), status)]


def test_a_membership_that_goes_user_by_user_is_delivered_where_each_is_taken(batching):
    made = batching()
    club = Club(made, at_fault={1: 400, 3: 503, 5: 429})
    made.add_users_to_account("acme", ["u1", "u2", "u3"])
    settle(made)
    assert (list(club.taken.values()), club.twice) == (["u1", "u2", "u3"], [])
    assert (made.ledger.stats().delivered, made.ledger.stats().given_up) == (1, 0)
    ids = {message["userId"]: message["messageId"] for message in batches(made)[0]}
    assert {user: known for known, user in club.taken.items()} == ids


def test_a_delete_while_a_membership_goes_user_by_user_takes_that_user_out(batching):
    made = batching(api_key="a-key")
    club = Club(made, at_fault={1: 400, 3: 503})
    made.add_users_to_account("acme", ["u1", "u2", "u3"])
    for _ in range(100):
        if len(made.script.requests) == 3:  # u1 was sent, and u2 was deferred
            break
        made.clock.now += max(made.turn() or 0.0, 0.001)
    batched, rest = made.script.send, []

    def send(request: HttpRequest) -> HttpResponse:
        if request.url.endswith("/batch"):
            return batched(request)
        rest.append(request.method)
        return HttpResponse(202, PLENTY, ANSWER)

    made.script.send = send
    made.delete_user("u2")
    settle(made)
    assert (list(club.taken.values()), rest) == (["u1", "u3"], ["DELETE"])
    assert made.ledger.stats().delivered == 2


def test_a_membership_that_is_refused_for_each_of_its_users_ends_with_all_of_them(batching):
    lost: list[Any] = []
    made = batching(on_error=lost.append)
    Club(made, "u1", "u2")
    made.add_users_to_account("acme", ["u1", JANE, "u2"])
    settle(made)
    assert (made.ledger.stats().given_up, made.ledger.stats().dropped) == (1, {})
    assert [one.item.users for one in lost] == [(UserIdentified("u1"), JANE, UserIdentified("u2"))]


def test_a_server_that_takes_less_gets_smaller_batches_from_then_on(batching):
    made = batching(*[refused(413)] * 2)
    made.put_many(400)
    settle(made)
    sizes = [len(batch) for batch in batches(made)]
    assert sizes[0] == 400
    assert 190 <= sizes[1] <= 200
    assert 90 <= sizes[2] <= 100
    assert sum(sizes[2:]) == 400
    made.script.requests.clear()
    made.put_many(800)
    settle(made)
    assert max(len(batch) for batch in batches(made)) < 350


def test_one_message_that_is_refused_as_too_large_is_given_up(batching):
    made = batching(refused(413))
    made.put()
    settle(made)
    assert made.ledger.stats().given_up == 1


def test_a_message_at_which_the_server_fails_does_not_keep_the_others_back(batching):
    made = batching(max_age=3600)
    server = Picky(made, "poison", status=500)
    for number in range(32):
        made.track("poison" if number == 20 else f"event_{number}", user=f"u{number}")
    for _ in range(400):
        made.clock.now += max(made.turn() or 0.0, 0.001)
        if len(server.taken) == 31:
            break
    assert len(server.taken) == 31
    assert made.ledger.stats().delivered == 31


def test_a_page_of_something_in_between_delivers_nothing(batching):
    page = HttpResponse(200, {}, b"<html>log in</html>")
    made = batching(page, refused(404), HttpResponse(302, {"Location": "/"}, b""))
    made.put()
    settle(made)
    stats = made.ledger.stats()
    assert (stats.delivered, stats.retried, stats.given_up) == (1, 3, 0)


def test_a_refused_write_key_keeps_what_waits_and_is_tried_with_one_job(batching, caplog):
    made = batching(refused(401), refused(401))
    made.put_many(10)
    fill(made)
    assert (made.dispatcher.circuit, made.pipeline.health().reason) == ("open", "the write key is refused")
    assert "journy.io refuses the write key" in caplog.text
    assert "JOURNY_WRITE_KEY" in caplog.text
    made.clock.now += 4.9
    made.turn()
    assert len(batches(made)) == 1
    settle(made)
    assert [len(batch) for batch in batches(made)] == [10, 1, 1, 9]
    assert made.ledger.stats().delivered == 10
    assert made.dispatcher.circuit == "closed"
    assert "journy.io accepts the write key again" in caplog.text


def test_a_membership_that_was_sent_in_part_has_tried_the_key(batching):
    made = batching(refused(401))
    made.add_users_to_account("acme", ["u1", JANE])
    fill(made)
    assert made.dispatcher.circuit == "open"
    made.clock.now += 5.1
    made.turn()
    assert made.dispatcher.circuit == "closed"
    assert made.ledger.stats().dropped == {"no_counterpart": 1}


def test_a_refused_write_key_does_not_stop_the_rest_api(batching):
    made = batching(refused(401), api_key="a-key")
    made.track("acted", user="u1")
    fill(made)
    made.link("device", user="u2")
    made.turn()
    assert calls(made) == ["POST /link"]
    assert made.dispatcher.circuit == "open"


def test_a_refused_api_key_does_not_stop_batches(batching):
    made = batching(HttpResponse(401, PLENTY, ANSWER), HttpResponse(401, PLENTY, ANSWER), api_key="a-key")
    made.link("device", user="u2")
    made.turn()
    assert made.pipeline.health().reason == "the API key is refused"
    made.track("acted", user="u1")
    fill(made)
    assert names(made) == [["acted"]]


def test_an_outage_of_one_way_is_not_one_of_the_other(batching):
    made = batching(api_key="a-key")
    script = made.script.send

    def send(request: HttpRequest) -> HttpResponse:
        if "api.journy" in request.url:
            made.script.requests.append(request)
            raise NotSent("refused")
        return script(request)

    made.script.send = send
    for number in range(5):
        made.link(f"device_{number}", user=f"u{number}")
        made.turn()
        made.clock.now += 2.0
    rest = made.dispatcher.ways[1]
    assert rest.budget.outage == "refused"
    made.track("acted", user="u9")
    fill(made)
    assert names(made) == [["acted"]]
    assert made.pipeline.health().waits_for == "outage"


def test_at_most_once_is_kept_for_events_of_a_batch(batching):
    made = batching(MaybeSent("reset"), on_ambiguous="drop")
    made.put("counted_once")
    made.upsert_user(user="u2", plan="pro")
    settle(made)
    assert [message["type"] for message in batches(made)[1]] == ["identify"]
    assert made.ledger.stats().given_up == 1


def test_what_is_too_old_does_not_go_with_the_others(batching):
    made = batching(refused(503), max_age=10)
    made.put("old")
    fill(made)
    made.clock.now += 60
    made.put("young")
    settle(made)
    assert names(made)[1:] == [["young"]]
    assert made.ledger.stats().given_up == 1


def test_a_batch_that_waits_to_be_filled_says_so(batching):
    made = batching()
    made.put()
    made.turn()
    assert made.pipeline.stats().waits_for == "batch"
    assert made.pipeline.health().ok


def test_a_fast_server_is_not_called_slow_because_its_connections_are_in_use_just_now(batching, caplog):
    made = batching()
    made.put()
    made.turn()
    way = made.dispatcher.ways[0]
    way.in_flight, way.latency, way.began_at = way.connections, 0.002, made.clock.now
    made.dispatcher.explain(11.0)
    assert "held back by the key's rate limit" in caplog.text
    assert "slow" not in caplog.text


def test_two_batches_are_on_their_way_at_most(gate):
    import journy_track

    tracker = journy_track.configure(write_key="k", http_client=gate, batch_interval=0)
    for number in range(20_000 // 8):
        journy_track.track("acted", {"text": "x" * 2000}, user=f"u{number}")
    assert gate.entered.wait(5)
    busy = tracker._pipeline().dispatcher.ways[0]
    assert busy.connections == MAX_BATCHES
    assert busy.in_flight <= MAX_BATCHES
    gate.opened.set()
    assert tracker.flush(20)


def test_the_log_of_a_flood_of_refused_messages_is_bounded(batching, caplog):
    made = batching()
    Picky(made, *(f"event_{n}" for n in range(64)))
    for number in range(64):
        made.track(f"event_{number}", user="u1")
    settle(made)
    assert made.ledger.stats().given_up == 64
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) < 20
