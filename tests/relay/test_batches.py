"""A relay with a write key: in batches, in order, without duplicates, with IDs that stay the same across relays."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from .conftest import until
from .test_relay import message, put, waits

PRODUCER = """
import sys
import journy_track
tracker = journy_track.configure(broker=sys.argv[1], queue_size=20_000)
for number in range(int(sys.argv[3])):
    journy_track.track("acted", user=f"{sys.argv[2]}u{number % 50}", number=number)
assert tracker.flush(60)
"""


def test_producers_through_redis_and_one_relay_in_order_and_none_twice(api, broker, relay):
    count = 2_500
    made = relay(write_key="a-write-key")
    producing = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(PRODUCER), broker.url, f"p{number}", str(count)])
        for number in range(4)
    ]
    assert [process.wait(60) for process in producing] == [0] * 4
    until(lambda: len(api.events) == 4 * count and waits(broker) == 0, "all are delivered", timeout=60)
    latest: dict[str, int] = {}
    for event in api.events:
        user, number = event.user["userId"], event.metadata["number"]
        assert number > latest.get(user, -1)
        latest[user] = number
    assert made.status().stats.delivered == 4 * count
    assert api.counts.duplicates == 0
    assert {request.path for request in api.requests} == {"/backend/v1/batch"}
    assert len(api.requests) <= 4 * count / 50


def test_a_second_full_batch_goes_while_the_first_is_on_its_way(api, broker, relay):
    seconds, count = 4.0, 4_000
    api.answer_next(None, delay=seconds, count=100)
    put(broker, *(message("acted", user=f"u{number}") for number in range(count)))
    relay(write_key="a-write-key")
    until(lambda: waits(broker) == 0, "all are delivered")
    first, second, *_ = sorted(api.requests, key=lambda request: request.received_at)
    assert (second.received_at - first.received_at).total_seconds() < seconds
    assert min(len(request.json["batch"]) for request in (first, second)) > 1_000


def test_what_was_cut_off_is_sent_again(api, broker, relay):
    api.answer_next(None, drop=True, count=1)
    put(broker, *(message(f"event_{number}", user=f"u{number}") for number in range(20)))
    relay(write_key="a-write-key")
    until(lambda: waits(broker) == 0, "all are settled")
    assert sorted(event.name for event in api.events) == sorted(f"event_{number}" for number in range(20))


def test_a_relay_says_that_the_write_key_is_refused(api, broker, relay):
    api.answer_next(401, {"success": False}, count=100)
    put(broker, message("x"))
    made = relay(write_key="a-write-key")
    until(lambda: made.status().trouble == "the write key is refused", "the key is refused")
    assert waits(broker) == 1
