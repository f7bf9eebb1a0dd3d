"""The server is down, slow, wrong or replaced: items are delivered later, once, and each is in exactly one count."""

from __future__ import annotations

import json
import socket
from itertools import cycle
from time import monotonic

import pytest
import pytest_journy_track

import journy_track
from journy_track import HttpResponse, MaybeSent, NotSent
from journy_track.inspector import Inspector

from ..delivery.wire import HTML_404, sent, settle, turn, warmed

HTML_502 = HttpResponse(502, {"Content-Type": "text/html"}, b"<html><h1>502 Bad Gateway</h1></html>")
LIMITS = {"X-RateLimit-Limit": "1000000", "X-RateLimit-Remaining": "1000000"}
REFUSED = HttpResponse(429, {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0"}, b"{}")


def balanced(made, captured: int):
    stats = made.ledger.stats()
    ended = stats.delivered + stats.coalesced + stats.throttled + stats.given_up + sum(stats.dropped.values())
    assert stats.captured == captured == ended + stats.queued + stats.in_flight, stats
    return stats


def taken(made) -> list[str]:
    """Return what the server accepted according to its own log: the requests to which it responded with 201."""
    return [request for request, status in made.log if status == 201]


def logged(made) -> None:
    """Let a desk's server keep its own log."""
    made.log, answer = [], made.script.send

    def send(request):
        response = answer(request)
        if not request.url.endswith("/validate"):
            made.log.append((json.loads(request.body)["name"], response.status))
        return response

    made.script.send = send


# ── An outage, according to the server's own log ──

OUTAGES = {
    "refused": [NotSent("the connection was refused")],
    "unresolved": [NotSent("the host name could not be resolved")],
    "500": [500],
    "502 in HTML": [HTML_502],
    "503 in HTML": [HttpResponse(503, {"Retry-After": "30"}, b"<html>down for maintenance</html>")],
    "a proxy's 404": [HTML_404],
    "an empty 404": [HttpResponse(404, {}, b"")],
    "cut": [MaybeSent("the connection broke")],
    "no answer": [MaybeSent("no response in time", timed_out=True)],
    "429": [429],
    "429 for a minute": [HttpResponse(429, {"Retry-After": "60"}, b"{}")],
    "everything in turn": [NotSent("refused"), HTML_502, 500, 429, HTML_404, MaybeSent("cut"), 503, 408, 425],
}


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_ten_minutes_of_an_outage_cost_nothing_and_all_is_sent_in_order(desk, outage):
    # Catches: a status that counts as a verdict; a retry that is forgotten, or that does not hold its ordering lock.
    made = warmed(desk)
    logged(made)
    answer, back, failures = made.script.send, made.clock.now + 600, cycle(outage)

    def send(request):
        made.script.answers[:] = [next(failures)] if made.clock.now < back else []
        return answer(request)

    made.script.send = send
    for number in range(20):
        made.track(f"event_{number:02}", user=f"u{number % 5}")
        made.clock.now += 5
        turn(made)
        balanced(made, number + 2)
    settle(made)
    stats = balanced(made, 21)
    assert (stats.delivered, stats.given_up, stats.dropped) == (21, 0, {})
    arrived = taken(made)
    assert sorted(arrived) == [f"event_{number:02}" for number in range(20)]
    for user in range(5):
        assert [name for name in arrived if int(name[6:]) % 5 == user] == [
            f"event_{n:02}" for n in range(user, 20, 5)
        ]


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_an_outage_longer_than_max_age_loses_what_the_counts_and_on_error_name(desk, outage):
    # Catches: an item that is retried forever, that disappears without a count, or that on_error gets twice.
    told = []
    made = warmed(desk, max_age=600, on_error=told.append)
    made.script.answers = Endless(outage)
    for number in range(20):
        made.track(f"event_{number:02}", user=f"u{number % 5}")
    began = made.clock.now
    while (wait := made.turn()) is not None:
        made.clock.now += min(max(wait, 0.01), 1.0)  # the worker checks every second
        balanced(made, 21)
    stats = balanced(made, 21)
    assert (stats.delivered, stats.given_up) == (1, 20)
    assert sorted(lost.item.name for lost in told) == [f"event_{number:02}" for number in range(20)]
    assert all(lost.reason.startswith("max_age") for lost in told)
    assert made.clock.now - began <= 601


class Endless(list):
    """A script that starts again after its last response."""

    def __init__(self, answers):
        super().__init__(answers)
        self._again = cycle(answers)

    def pop(self, _: int = 0):
        return next(self._again)


def test_an_outage_is_no_storm(desk):
    # Catches: a retry without backoff; a backoff per ordering lock, without a bound on what waits.
    made = warmed(desk)
    made.script.answers = Endless([503])
    for number in range(50):
        made.track("acted", user=f"u{number}")
    began = made.clock.now
    while made.clock.now - began < 600:
        made.clock.now += max(made.turn() or 0, 0.01)
    assert len(sent(made)) <= 50 * 14  # one every 2, 4, 8 … seconds, and then at least one a minute
    balanced(made, 51)


@pytest.mark.parametrize("retry_after", [None, "30", "garbage", "-7", "0", "1e9", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_storm_of_429s_slows_everyone_down_and_loses_nothing(desk, retry_after):
    # Catches: a 429 that delays only its own item, or that counts as a deferral; a Retry-After followed blindly.
    headers = dict(REFUSED.headers) | ({} if retry_after is None else {"Retry-After": retry_after})
    made = warmed(desk)
    made.script.answers = Endless([HttpResponse(429, headers, b"{}")])
    for number in range(50):
        made.track("acted", user=f"u{number}")
    began = made.clock.now
    while made.clock.now - began < 400:
        made.clock.now += max(made.turn() or 0, 0.01)
    assert 1 < len(sent(made)) < 60
    made.script.answers = []
    settle(made)
    stats = balanced(made, 51)
    assert (stats.delivered, stats.given_up) == (51, 0)
    assert made.clock.now - began < 1000


def test_nothing_is_sent_within_retry_after_whoever_it_was_said_to(desk):
    # Catches: a pause that only applies to the ordering lock of the refused item.
    made = warmed(desk, HttpResponse(429, {**LIMITS, "Retry-After": "20"}, b"{}"))
    for number in range(5):
        made.track("acted", user=f"u{number}")
    turn(made)
    refused = made.clock.now
    while len(sent(made)) == 1:
        made.clock.now += max(made.turn() or 0, 0.01)
    assert made.clock.now - refused >= 20
    settle(made)
    assert balanced(made, 6).delivered == 6


# ── Over the wire ──


@pytest.mark.slow
def test_a_server_that_answers_late_wrongly_and_not_at_all_gets_each_event_once(api, tracker, agreed):
    # Catches: an attempt that counts as delivered; an item that is sent again although it was accepted.
    api.answer_next(None, delay=0.1)
    api.answer_next(502, "<html>bad gateway</html>")
    api.answer_next(drop=True, status=500)
    api.answer_next(404, "<html>no such page</html>")
    for number in range(6):
        journy_track.track(f"event_{number}", user="u1")
    assert tracker.flush(20)
    assert [event.name for event in api.events] == [f"event_{number}" for number in range(6)]
    assert tracker.stats().retried == 3
    agreed()


@pytest.mark.slow
@pytest.mark.parametrize(("on_ambiguous", "stored"), [("retry", 2), ("drop", 1)])
def test_an_answer_that_was_lost_after_the_event_was_stored(api, configure, agreed, on_ambiguous, stored):
    # Catches: an ambiguous outcome handled the other way: stored twice or lost, against the setting.
    tracker = configure(on_ambiguous=on_ambiguous, timeout=0.3)
    api.answer_next(None, delay=1.0)  # ends when the client hangs up, and is processed anyway
    journy_track.track("paid", user="u1")
    assert tracker.flush(20)
    api.wait_for(lambda api: len(api.events) == stored)
    stats = tracker.stats()
    assert (stats.delivered, stats.given_up) == ((1, 0) if on_ambiguous == "retry" else (0, 1))
    agreed(lost=1)


@pytest.mark.slow
def test_a_connection_that_is_closed_in_the_middle_of_the_answer(serve, configure, accounts):
    # Catches: requiring a complete body: what the status reports as accepted is sent and stored again.
    def talk(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(b'HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\n{"meta": {"requ')

    server = serve(talk)
    tracker = configure(base_url=server.url)
    journy_track.track("one", user="u1")
    journy_track.track("two", user="u1")
    assert tracker.flush(20)
    assert (tracker.stats().delivered, tracker.stats().retried, len(server.heard)) == (2, 0, 2)


@pytest.mark.slow
def test_a_server_that_comes_back_gets_everything(canary, accounts, seen):
    # Catches: a connection error that ends the sender, or that counts as a verdict.
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    tracker = journy_track.configure(canary, base_url=f"http://127.0.0.1:{port}", on_error=seen)
    for number in range(5):
        journy_track.track(f"event_{number}", user="u1")
    assert not tracker.flush(0.2)
    with Inspector(port=port, limit=1_000_000) as api:
        assert tracker.flush(20)
        assert [event.name for event in api.events] == [f"event_{number}" for number in range(5)]
        accounts.check_against(api)
        tracker.shutdown(5)


@pytest.mark.slow
def test_a_name_that_does_not_resolve_is_waited_for(configure, caplog, monkeypatch):
    # Catches: a DNS failure that counts as "may have been processed", so that on_ambiguous drops the event.
    monkeypatch.setattr(pytest_journy_track, "live", True)  # the name does not resolve
    tracker = configure(base_url="https://no-such-host.invalid", on_ambiguous="drop")
    journy_track.track("one", user="u1")
    assert not tracker.flush(0.5)
    assert (tracker.stats().given_up, tracker.stats().queued + tracker.stats().in_flight) == (0, 1)


# ── A byte a second, and responses without end ──


@pytest.fixture
def drips(serve) -> str:
    """A server that sends one byte at a time, forever."""

    def talk(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(b"HTTP/1.1 201 Created\r\nX-Filler: ")
        while not server.stopping.wait(0.05):
            connection.sendall(b"x")

    server = serve(talk)
    return server.url


def test_a_server_that_answers_a_byte_at_a_time_is_given_the_timeout_and_no_more(drips, configure):
    # Catches: the timeout of requests, which restarts with every byte: the sender would hang forever.
    tracker = configure(base_url=drips, timeout=0.3, on_ambiguous="drop")
    journy_track.track("one", user="u1")
    began = monotonic()
    assert tracker.flush(10)
    assert monotonic() - began < 5
    assert tracker.recent()[0].outcome == "ambiguous: no response in time"


@pytest.mark.slow
@pytest.mark.parametrize("end", ["flush", "shutdown"])
def test_the_wait_for_a_server_that_answers_a_byte_at_a_time_ends_in_time(drips, configure, end):
    # Catches: waiting for the sender itself.
    tracker = configure(base_url=drips, timeout=30)
    journy_track.track("one", user="u1")
    began = monotonic()
    assert not getattr(tracker, end)(0.3)
    assert 0.3 <= monotonic() - began < 2.3


def test_an_answer_larger_than_64_kib_is_not_read_to_its_end(serve, configure):
    # Catches: 100 MB in memory, and a sender that is busy until the timeout.
    def talk(connection: socket.socket) -> None:
        while server.read_request(connection):
            connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 100000000\r\n\r\n")
            while not server.stopping.is_set():
                connection.sendall(b"x" * 65536)

    server = serve(talk)
    tracker = configure(base_url=server.url, on_ambiguous="drop")
    journy_track.track("one", user="u1")
    assert tracker.flush(10)
    assert [receipt.outcome for receipt in tracker.recent()] == [
        "ambiguous: a proxy or another server responded with 201"
    ]
    assert len(server.heard) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_takes_neither_event_nor_key_there(serve, configure, canary, status):
    # Catches: allow_redirects: requests also sends X-Api-Key to the other host, whose 2xx would count as ours.
    other = serve()
    head = (
        f"HTTP/1.1 {status} Elsewhere\r\nLocation: http://localhost:{other.port}/track\r\nContent-Length: 0\r\n\r\n"
    )
    server = serve(head.encode())
    tracker = configure(base_url=server.url)
    journy_track.track("one", user="u1")
    assert tracker.flush(10)
    assert (other.connections, other.heard) == (0, [])
    assert canary.encode() in server.heard[0]
    assert (tracker.stats().given_up, tracker.stats().delivered) == (1, 0)
