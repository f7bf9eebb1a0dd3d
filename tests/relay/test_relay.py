"""One relay: what it delivers, acknowledges and survives."""

from __future__ import annotations

import json
import signal
from time import time

import pytest

import journy_track
from journy_track._delivery import feed
from journy_track._delivery.dispatcher import Dispatcher
from journy_track._delivery.ways import transport_of
from journy_track._model.broker import BrokerError
from journy_track._model.config import Config
from journy_track._model.identity import UserIdentified
from journy_track._model.items import DeleteUser
from journy_track._model.messages import MAX_BYTES, read
from journy_track._model.outcomes import Deferred
from journy_track._model.secret import Secret
from journy_track._relay import relay as relays
from journy_track._relay.leased import Leased
from journy_track._state.sqlite import SqliteDigests
from journy_track._stores.redis.stream import MAX_READ, RelayQueue, Settled
from journy_track._stores.store import Job
from journy_track._transport.rest import RestTransport

from ..conftest import KEY
from .conftest import NAMES, RedisServer, until


def message(name: str, user: str = "u1", **more) -> str:
    body = {"name": name, "identification": {"user": {"userId": user}}}
    return json.dumps({"v": 1, "operation": "track", "body": body, **more})


def put(broker: RedisServer, *texts: str) -> None:
    client = broker.client
    for text in texts:
        client.xadd(NAMES.stream, {"m": text})


def waits(broker: RedisServer) -> int:
    return broker.client.xlen(NAMES.stream)


def test_what_was_published_is_delivered_in_order_and_leaves_the_broker(api, broker, relay):
    tracker = journy_track.configure(broker=broker.url)
    for number in range(60):
        journy_track.track(f"event_{number}", user=f"u{number % 3}")
    journy_track.upsert_user(user="u0", plan="pro")
    relay()
    assert tracker.flush(30, delivered=True)
    assert waits(broker) == 0
    for user in range(3):
        of_user = [event.name for event in api.events if event.user == {"userId": f"u{user}"}]
        assert of_user == [f"event_{number}" for number in range(user, 60, 3)]
    assert api.users[0].properties == {"plan": "pro"}


def test_an_event_keeps_the_time_at_which_it_was_captured(api, broker, relay):
    tracker = journy_track.configure(broker=broker.url)
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(20)
    said = broker.messages()[0]["captured_at"]
    relay()
    assert tracker.flush(20, delivered=True)
    assert api.events[0].triggered_at == said


def test_a_relay_that_starts_while_redis_has_no_memory_left_leads_and_makes_room(api, broker, relay):
    put(broker, *(message(f"event_{number}") for number in range(20)))
    broker.client.config_set("maxmemory", "1")
    relay()
    until(lambda: waits(broker) == 0, "all are delivered")
    assert len(api.events) == 20


def test_what_journy_io_refuses_becomes_a_dead_letter_with_the_reason(api, broker, relay):
    fields = {"fields": {"name": "is unknown"}}
    api.answer_next(400, {"message": "bad", "errors": fields, "meta": {"requestId": "r1", "status": 400}})
    put(broker, message("refused"), message("good"))
    relay()
    until(lambda: waits(broker) == 0, "both are settled")
    assert [event.name for event in api.events] == ["good"]
    (letter,) = broker.letters()
    died, sent = letter.pop("died"), json.loads(letter.pop("message"))
    assert abs(time() - died) < 60
    assert sent["body"]["name"] == "refused"
    assert letter == {
        "reason": "400 bad",
        "status": 400,
        "request_id": "r1",
        "fields": {"name": "is unknown"},
        "attempts": 1,
    }


POISON = {
    "no JSON": "{",
    "nothing": "",
    "a list": "[]",
    "another version": message("x").replace('"v": 1', '"v": 2'),
    "another call": message("x").replace('"track"', '"fly"'),
    "nobody": message("x").replace('"userId"', '"nobody"'),
    "not a number": message("x").replace('"x"', "NaN"),
    "a number beyond all": message("x").replace('"name"', '"metadata": {"n": 1e999}, "name"'),
    "a name that is none": message("x").replace('"x"', '{"a": []}'),
    "a user that is a list": message("x").replace('"u1"', "[1]"),
    "deep": "[" * 60_000,
    "no body": '{"v": 1, "operation": "upsert_user", "body": null}',
    "properties in a list": '{"v": 1, "operation": "upsert_user", "body": {"identification": {"userId": "u"}, '
    '"properties": [1]}}',
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_a_message_that_cannot_be_read_is_a_dead_letter_and_holds_nobody_up(api, broker, relay, poison):
    put(broker, message("before"), poison, message("behind"))
    made = relay()
    until(lambda: waits(broker) == 0, "all are settled")
    assert [event.name for event in api.events] == ["before", "behind"]
    (letter,) = broker.letters()
    assert letter["message"] == poison
    assert letter["reason"].startswith("unreadable")
    stats = made.status().stats
    assert (stats.delivered, stats.dropped) == (2, {"unreadable": 1})


def test_a_time_of_capture_that_is_none_hurts_nobody(api, broker, relay):
    times = ["yesterday", 7, None, "0001-01-01T00:00:00", "9999-12-31T23:59:59-12:00"]
    put(broker, *(message(f"event_{number}", captured_at=at) for number, at in enumerate(times)))
    relay()
    until(lambda: waits(broker) == 0, "all are settled")
    assert "event_0" in [event.name for event in api.events]


def test_a_time_of_capture_that_cannot_be_written_again_is_taken_as_unsaid(api, broker, relay):
    put(broker, message("poison", captured_at="0001-01-01T00:00:00+14:00"), message("behind"))
    made = relay()
    until(lambda: waits(broker) == 0, "both are settled")
    assert [event.name for event in api.events] == ["poison", "behind"]
    assert made.status().stats.delivered == 2


def test_a_message_whose_id_is_no_time_becomes_a_dead_letter_as_others_do(api, broker, relay):
    api.answer_next(400, {"message": "bad", "meta": {"requestId": "r1", "status": 400}})
    broker.client.xadd(NAMES.stream, {"m": message("refused")}, id="18446744073709551615-1")
    relay()
    until(lambda: waits(broker) == 0, "it is settled")
    (letter,) = broker.letters()
    assert json.loads(letter["message"])["body"]["name"] == "refused"


@pytest.mark.parametrize("at", ["read", "put", "after put"])
def test_a_mistake_of_ours_about_one_message_is_a_dead_letter_and_holds_nobody_up(
    api, broker, relay, monkeypatch, caplog, at
):
    place, name = (Dispatcher, "put") if "put" in at else (feed, at)
    works = getattr(place, name)

    def breaks(*arguments):
        poison = "poison" in (arguments[1].item.name if name == "put" else arguments[0])
        done = None if poison and at == "put" else works(*arguments)
        if poison:
            raise LookupError
        return done

    monkeypatch.setattr(place, name, breaks)
    put(broker, message("before"), message("poison"), message("behind"))
    made = relay()
    until(lambda: waits(broker) == 0, "all are settled")
    assert [event.name for event in api.events] == ["before", "behind"]
    (letter,) = broker.letters()
    assert (letter["message"], letter["reason"]) == (message("poison"), "internal_error: LookupError")
    stats = made.status().stats
    assert (stats.delivered, stats.dropped, stats.spooled) == (2, {"internal_error": 1}, 0)
    assert "an item could not be prepared: LookupError" in caplog.text


def test_a_dead_letter_that_cannot_be_written_says_so_and_ends_nothing(api, broker, relay, monkeypatch, caplog):
    def breaks(item, at, message_id):
        raise RecursionError

    monkeypatch.setattr(feed, "message_of", breaks)
    put(broker, message("old", captured_at="2020-01-01T00:00:00Z"), message("behind"))
    made = relay()
    until(lambda: waits(broker) == 0, "both are settled")
    assert [event.name for event in api.events] == ["behind"]
    (letter,) = broker.letters()
    assert (letter["message"], letter["reason"]) == ("", "max_age; its message could not be written: RecursionError")
    assert (made.status().stats.delivered, made.status().stats.given_up) == (1, 1)
    assert "event 'old' could not be written: RecursionError" in caplog.text


def test_what_is_not_a_message_of_ours_is_a_dead_letter(broker, relay):
    broker.client.xadd(NAMES.stream, {"foreign": "1"})
    relay()
    until(lambda: waits(broker) == 0, "it is settled")
    assert broker.letters()[0]["message"] == ""


def test_dead_letters_go_back_once_and_are_not_too_old(api, broker, relay):
    old = message("old", captured_at="2020-01-01T00:00:00.000Z")
    put(broker, old)
    broker.client.xadd(NAMES.dead, {"m": "not ours"})
    relay()
    until(lambda: broker.client.xlen(NAMES.dead) == 2, "it died of age")
    queue = RelayQueue(Secret(broker.url), lease=1)
    assert queue.retry_dead() == 1
    until(lambda: [event.name for event in api.events] == ["old"], "it is delivered")
    assert [text for _, text in broker.client.xrange(NAMES.dead)] == [{"m": "not ours"}]
    queue.close()


def test_putting_dead_letters_back_ends_though_they_fail_again(api, broker, relay):
    put(broker, *["[]"] * 250)
    relay()
    until(lambda: len(broker.letters()) == 250, "all died")
    queue = RelayQueue(Secret(broker.url), lease=1)
    assert queue.retry_dead() == 250
    queue.close()


def test_a_queue_that_somebody_emptied_is_gone_on_with(api, broker, relay):
    relay()
    put(broker, message("first"))
    until(lambda: len(api.events) == 1, "the first is delivered")
    broker.client.flushall()  # including the lease
    put(broker, message("second"))
    until(lambda: len(api.events) == 2, "the second is delivered")


def test_a_message_with_an_older_id_is_found_too(api, broker, relay):
    # As after a failover to a replica that lacked the last messages and has a slow clock.
    relay()
    put(broker, message("first"))
    until(lambda: waits(broker) == 0, "the first is delivered")
    broker.client.delete(NAMES.stream)
    broker.client.xadd(NAMES.stream, {"m": message("second", captured_at="2999-01-01T00:00:00Z")}, id="1-1")
    until(lambda: waits(broker) == 0, "the second is delivered")
    assert [event.name for event in api.events] == ["first", "second"]


def test_what_was_delivered_while_the_broker_was_away_is_not_sent_again(api, broker, relay):
    api.answer_next(None, delay=0.4, count=10)
    put(broker, *(message(f"event_{number}", user=f"u{number}") for number in range(5)))
    made = relay(lease=1.0)
    until(lambda: made.status().stats.in_flight, "requests are on their way")
    broker.send(signal.SIGSTOP)
    until(lambda: made.status().role == "standby", "the lease is lost")
    assert made.status().trouble
    delivered = len(api.events)
    assert delivered
    broker.send(signal.SIGCONT)
    until(lambda: waits(broker) == 0, "all are settled")
    assert sorted(event.name for event in api.events) == [f"event_{number}" for number in range(5)]
    until(lambda: made.status().trouble is None, "all is well again")
    assert made.status().terms == 2
    stats = made.status().stats
    # Each is in one count, although it was read in both terms.
    assert (stats.adopted, stats.delivered, stats.spooled, stats.in_flight) == (5, 5, 0, 0)
    assert stats.responses == {201: 5}


def test_a_relay_that_no_longer_leads_closes_the_state_of_what_was_confirmed(
    api, broker, relay, monkeypatch, tmp_path
):
    closed, close = [], SqliteDigests.close

    def noted(digests):
        close(digests)
        closed.append(digests)

    monkeypatch.setattr(SqliteDigests, "close", noted)
    made = relay(lease=1.0, skip_unchanged_state=tmp_path / "state")
    until(lambda: made.status().role == "active", "it leads")
    broker.send(signal.SIGSTOP)
    until(lambda: made.status().role == "standby", "the lease is lost")
    broker.send(signal.SIGCONT)
    assert len(closed) == 1


def test_a_relay_survives_a_kill_of_the_broker(api, broker, relay):
    made = relay(lease=1.0)
    put(broker, *(message(f"event_{number}", user=f"u{number}") for number in range(20)))
    until(lambda: len(api.events) > 5, "some are delivered")
    broker.kill()
    until(lambda: made.status().trouble, "it is noticed")
    broker.start()
    until(lambda: waits(broker) == 0, "all are settled")
    names = [event.name for event in api.events]
    assert len(set(names)) == 20


def test_without_a_lease_that_surely_holds_nothing_is_sent_with_it_each_request_has_its_time():
    class Transport:
        key, in_turn, merges, is_idempotent, try_key = "", False, True, False, None
        timeouts: list = []  # noqa: RUF012

        def send(self, jobs, timeout=None):
            self.timeouts.append(timeout)
            return ["sent"]

    lease = {"holds": True}
    leased = Leased(Transport(), lambda: lease["holds"])
    assert [leased.send([None]), leased.send([None], 9.0)] == [["sent"]] * 2
    assert Transport.timeouts == [None, 9.0]
    lease["holds"] = False
    (outcome,) = leased.send([None])
    assert isinstance(outcome, Deferred)
    assert not outcome.ambiguous
    assert len(Transport.timeouts) == 2


def test_a_lease_that_ended_while_the_connection_was_made_sends_nothing(api):
    looks = iter([True, False, False])
    config = Config.load(KEY, {"base_url": api.url}, environ={})
    leased = Leased(RestTransport(transport_of(config)), lambda: next(looks))
    job = Job(1, 0.0, 0.0)
    job.item = DeleteUser(UserIdentified("u1"))
    (outcome,) = leased.send([job])
    assert (outcome.reason, outcome.ambiguous) == ("this relay no longer leads", False)
    assert api.requests == []
    leased.close()


def test_a_response_that_takes_longer_than_the_lease_is_waited_for_while_it_is_renewed(api, broker, relay):
    api.answer_next(None, delay=2.5)
    put(broker, message("slow"))
    made = relay(lease=1.0)
    until(lambda: waits(broker) == 0, "it is delivered")
    assert [event.name for event in api.events] == ["slow"]
    assert (made.status().terms, made.status().stats.retried) == (1, 0)


def test_who_does_not_hold_the_lease_settles_nothing(broker):
    put(broker, message("x"))
    first, second = (RelayQueue(Secret(broker.url), lease=5) for _ in range(2))
    assert first.acquire()
    assert first.acquire()  # the response to the first call may have been lost
    assert not second.acquire()
    (entry,) = second.read("", 10)
    assert not second.settle([Settled([entry.id], '{"message": "x"}')])
    assert (waits(broker), broker.letters()) == (1, [])
    second.release()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    assert not first.renew()
    for _ in range(2):  # the response may be lost, and the call repeated
        assert second.settle([Settled([entry.id, "1-1"], '{"message": "x"}')])
    assert (waits(broker), broker.letters()) == (0, [{"message": "x"}])
    first.close(), second.close()


def test_a_refused_key_is_trouble_that_the_supervisor_sees(api, broker, relay):
    api.answer_next(401, {"message": "unauthorized", "meta": {"requestId": "r", "status": 401}}, count=100)
    put(broker, message("x"))
    made = relay()
    until(lambda: made.status().trouble == "the API key is refused", "the key is refused")
    assert waits(broker) == 1


def concerns_of(broker: RedisServer, user: str = "") -> list[str]:
    queue = RelayQueue(Secret(broker.url.replace("//", f"//{user}")), lease=1)
    found = queue.concerns()
    queue.close()
    return found


def test_settings_of_the_broker_that_lose_messages_are_told(broker):
    assert concerns_of(broker) == []
    broker.client.config_set("appendonly", "no")
    broker.client.config_set("maxmemory-policy", "allkeys-lru")
    off, evicts = concerns_of(broker)
    assert "appendonly" in off
    assert "allkeys-lru: Redis may evict the whole queue" in evicts


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-ttl", "volatile-lfu", "volatile-random"])
def test_a_policy_that_evicts_the_lease_is_told(broker, policy):
    broker.client.config_set("maxmemory-policy", policy)
    (evicts,) = concerns_of(broker)
    assert f"{policy}: short of memory, Redis evicts keys that expire, such as the relay's lease" in evicts


def test_a_redis_that_does_not_permit_info_works_and_what_was_not_checked_is_told(api, broker, relay):
    broker.client.execute_command("ACL", "SETUSER", "shop", "on", ">pw", "~journy:*", "+@all", "-info", "-@dangerous")
    (unseen,) = concerns_of(broker, "shop:pw@")
    assert unseen == (
        "could not check whether Redis may lose messages: INFO is not permitted (appendonly, maxmemory-policy)."
    )
    url = broker.url.replace("//", "//shop:pw@")
    tracker = journy_track.configure(broker=url)
    journy_track.track("paid", user="u1")
    relay(url=url)
    assert tracker.flush(20, delivered=True)
    assert [event.name for event in api.events] == ["paid"]


def sized(size: int) -> str:
    """Return a valid message of *size* bytes."""
    made = message("large", text="")
    return made.replace('"text": ""', f'"text": "{"x" * (size - len(made))}"')


def test_a_message_above_64_kib_is_a_dead_letter_and_is_not_parsed(api, broker, relay, monkeypatch):
    parsed = []
    monkeypatch.setattr(feed, "read", lambda text: parsed.append(len(text)) or read(text))
    put(broker, sized(MAX_BYTES + 1), sized(MAX_BYTES), message("ü" * (MAX_BYTES // 2)), message("behind"))
    made = relay()
    until(lambda: waits(broker) == 0, "all are settled")
    assert [event.name for event in api.events] == ["large", "behind"]
    assert max(parsed) == MAX_BYTES
    assert [letter["reason"].split(":")[0] for letter in broker.letters()] == ["too_large", "too_large"]
    assert broker.letters()[0]["message"] == sized(MAX_BYTES + 1)
    assert made.status().stats.dropped == {"too_large": 2}


def test_of_a_message_that_is_far_too_large_a_relay_reads_the_first_mib(broker, relay):
    put(broker, "x" * (20 * MAX_READ))
    relay()
    until(lambda: waits(broker) == 0, "it is settled")
    (letter,) = broker.letters()
    assert len(letter["message"]) == MAX_READ
    assert str(20 * MAX_READ) in letter["reason"]


def test_a_producer_drops_what_no_relay_would_read_and_delivers_the_rest(api, broker, relay, balance):
    tracker = journy_track.configure(broker=broker.url)
    journy_track.track("large", user="u1", text="x" * (MAX_BYTES - 150))  # body within 64 KiB, message beyond
    journy_track.track("small", user="u1")
    relay()
    assert tracker.flush(20, delivered=True)
    assert balance(tracker, captured=2).dropped == {"too_large": 1}
    assert [event.name for event in api.events] == ["small"]
    assert broker.letters() == []


class ComesAndGoes:
    """A queue whose broker is away every second time, and whose lease is lost right after it is acquired."""

    def __init__(self) -> None:
        self.asked = 0

    def acquire(self) -> bool:
        self.asked += 1
        if self.asked % 2:
            raise BrokerError("away")
        return True

    def renew(self) -> bool:
        return False

    def settle(self, settled) -> None:
        return None

    def read(self, after, count) -> list:
        return []

    def depth(self):
        return 0, None, 0

    def release(self) -> None:
        """Do nothing: no other relay waits."""

    def close(self) -> None:
        """Do nothing: nothing is open."""


def test_a_broker_that_comes_and_goes_is_logged_once_a_minute(api, monkeypatch, caplog):
    monkeypatch.setattr(relays, "AGAIN", 0.0)
    config = Config.load(KEY, {"base_url": api.url}, environ={})
    queue = ComesAndGoes()
    made = relays.Relay(queue, config, transport_of(config), mark_internal=lambda: None, lease=0.001)
    made.run(lambda: made.stop() if queue.asked > 100 else None)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3, lines
    assert {line.split()[1] for line in lines} == {"broker", "relay"}
