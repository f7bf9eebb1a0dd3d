"""Relays in separate processes, paused, killed and stopped: nothing is lost, and the order per user is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from time import monotonic

import pytest

import journy_track
from journy_track.inspector import Inspector

from .conftest import NAMES, ROOT, until

#: The number of events in the budget test, and the calls per minute that its server allows: fewer than the events, so
#: that a relay that does not pace is refused. Full size: JOURNY_RELAY_EVENTS=20000 JOURNY_RELAY_LIMIT=12000, which
#: takes some minutes, until all are sent. Otherwise what is left after some seconds is sent to a server without a
#: limit, because a budget per minute takes minutes to refill.
EVENTS = int(os.environ.get("JOURNY_RELAY_EVENTS", "400"))
LIMIT = int(os.environ.get("JOURNY_RELAY_LIMIT", "150"))
PACED = 60 + EVENTS / LIMIT * 120 if "JOURNY_RELAY_EVENTS" in os.environ else 6.0
PRODUCERS, USERS = 4, 7


#: What runs on each host. Its arguments: the host's number, the number of events, and the number of users.
PRODUCER = """
import sys, journy_track
host, count, users = map(int, sys.argv[1:])
tracker = journy_track.configure()
for number in range(count):
    journy_track.track(f"event_{number}", user=f"u{host}.{number % users}")
assert tracker.flush(60)
"""


def publish(count: int) -> None:
    """Publish *count* events of some users to the broker."""
    for number in range(count):
        journy_track.track(f"event_{number}", user=f"u{number % USERS}")
    assert journy_track.flush(20)


def first_seen(*apis: Inspector) -> list[tuple[str, int]]:
    """Return the user and number of each event, in order of first arrival."""
    events = [event for api in apis for event in api.events]
    return list(dict.fromkeys((event.user["userId"], int(event.name.rpartition("_")[2])) for event in events))


def check(api: Inspector, count: int, most_twice: int) -> None:
    """Check that all arrived, in order per user, with at most *most_twice* duplicates."""
    seen = first_seen(api)
    assert sorted(number for _, number in seen) == list(range(count))
    for user in range(USERS):
        assert [number for name, number in seen if name == f"u{user}"] == list(range(user, count, USERS))
    assert len(api.events) - count <= most_twice


def balanced(health: dict) -> dict:
    """Check that each item is in one count, and that only an active relay holds any; return the counts."""
    stats = health["stats"]
    settled = stats["delivered"] + stats["coalesced"] + stats["given_up"] + sum(stats["dropped"].values())
    assert stats["adopted"] == settled + stats["spooled"] + stats["in_flight"], stats
    assert health["role"] == "active" or (stats["spooled"], stats["in_flight"]) == (0, 0)
    return stats


def roles(*relays) -> list[str]:
    return sorted(str(relay.health["role"]) for relay in relays)


@pytest.fixture
def slow(api):
    """Delay the local journy.io's responses, so that some requests are always in flight."""
    api.answer_next(None, delay=0.05, count=100_000)
    return api


def test_a_relay_that_is_killed_is_followed_by_the_one_that_stands_by(slow, broker, run_relay):
    active = run_relay()
    active.waits_to_be("active")
    standby = run_relay()
    standby.waits_to_be("standby")
    journy_track.configure(broker=broker.url)
    publish(300)
    until(lambda: len(slow.events) > 20, "some are delivered")
    active.send(signal.SIGKILL)
    killed = monotonic()
    standby.waits_to_be("active")
    assert monotonic() - killed < 20
    until(lambda: broker.client.xlen(NAMES.stream) == 0, "all are delivered")
    check(slow, 300, most_twice=24)  # in flight, one per connection, or delivered and not yet acknowledged


def test_a_relay_that_slept_beyond_its_lease_sends_nothing_when_it_wakes(slow, broker, run_relay):
    first, second = run_relay(), run_relay()
    until(lambda: roles(first, second) == ["active", "standby"], "one leads")
    active, standby = (first, second) if first.health["role"] == "active" else (second, first)
    journy_track.configure(broker=broker.url)
    publish(300)
    until(lambda: len(slow.events) > 20, "some are delivered")
    active.send(signal.SIGSTOP)
    standby.waits_to_be("active")
    before = len(slow.events)
    until(lambda: len(slow.events) > before + 20, "the other delivers")
    active.send(signal.SIGCONT)
    active.waits_to_be("standby")
    until(lambda: broker.client.xlen(NAMES.stream) == 0, "all are delivered")
    assert active.health["terms"] == 1
    assert balanced(active.health)["delivered"] > 20
    check(slow, 300, most_twice=16)  # in flight when it was paused: they had been sent, or are sent when it resumes


def test_both_killed_the_broker_too_nothing_is_lost(slow, broker, run_relay):
    active = run_relay()
    active.waits_to_be("active")
    journy_track.configure(broker=broker.url)
    publish(200)
    until(lambda: len(slow.events) > 20, "some are delivered")
    active.send(signal.SIGKILL)
    broker.kill()
    broker.start()
    run_relay()
    until(lambda: broker.client.xlen(NAMES.stream) == 0, "all are delivered")
    # Includes what was delivered since the last settling.
    check(slow, 200, most_twice=40)


def test_sigterm_finishes_what_is_on_its_way_and_lets_another_lead_at_once(slow, broker, run_relay):
    active = run_relay("--json", lease="30")
    active.waits_to_be("active")
    standby = run_relay("--json", lease="30")
    standby.waits_to_be("standby")
    journy_track.configure(broker=broker.url)
    publish(200)
    until(lambda: len(slow.events) > 20, "some are delivered")
    out, err = active.end(signal.SIGTERM)
    assert active.process.returncode == 0
    ended = monotonic()
    standby.waits_to_be("active")
    assert monotonic() - ended < 20  # does not wait for the lease to expire
    until(lambda: broker.client.xlen(NAMES.stream) == 0, "all are delivered")
    check(slow, 200, most_twice=0)
    last = json.loads(out.splitlines()[-1])
    assert (last["role"], last["ok"]) == ("stopped", False)
    assert balanced(last)["delivered"] > 20
    assert "ended" in err
    assert active.health["role"] == "stopped"


def test_producers_on_hosts_of_their_own_share_one_budget(broker, run_relay):
    count = EVENTS // PRODUCERS
    with (
        Inspector(limit=LIMIT, keep=EVENTS + 1000) as api,
        Inspector(limit=1_000_000, keep=EVENTS + 1000) as unlimited,
    ):
        relays = [run_relay(url=api.url, lease="10") for _ in range(2)]
        environment = {**os.environ, "JOURNY_BROKER_URL": broker.url}
        hosts = [
            subprocess.Popen([sys.executable, "-c", PRODUCER, str(host), str(count), "25"], env=environment, cwd=ROOT)
            for host in range(PRODUCERS)
        ]
        assert [host.wait(120) for host in hosts] == [0] * PRODUCERS
        until(lambda: len(api.events) > LIMIT / 10, "some are delivered within the budget", timeout=120)
        done = monotonic() + PACED
        until(lambda: broker.client.xlen(NAMES.stream) == 0 or monotonic() > done, "its time is over", PACED + 30)
        for relay in relays:
            relay.end()
        paced, left = len(api.events), broker.client.xlen(NAMES.stream)
        run_relay(url=unlimited.url, lease="10")
        until(lambda: broker.client.xlen(NAMES.stream) == 0, "all are delivered", timeout=60 + left / 50)
        counts, seen = api.counts, first_seen(api, unlimited)
        twice = paced + len(unlimited.events) - len(seen)
        print(f"{paced} paced, {left} beyond, {twice} twice; {dict(Counter(counts.by_status))}, ", end="")
        print(f"{counts.refused / counts.requests:.4%} refused")
        for host in range(PRODUCERS):
            for user in range(25):
                numbers = [number for name, number in seen if name == f"u{host}.{user}"]
                assert numbers == list(range(user, count, 25))
        assert counts.refused <= counts.requests / 1000
        assert twice <= 8  # after a late response it is sent again: one per connection
