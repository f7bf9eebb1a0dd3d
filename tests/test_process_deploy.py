"""A deploy: processes with one key get SIGTERM while they work, and nothing is lost while the server responds."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from journy_track.inspector import Inspector

from .timing import eventually

PROCESSES, A_SECOND = 8, 27.0

WORKS = """
import atexit, itertools, json, random, signal, sys, time
import journy_track

url, name, rate = sys.argv[1], sys.argv[2], float(sys.argv[3])


def tell():  # registered first, so called last
    stats = journy_track.stats()
    print(json.dumps([stats.captured, stats.delivered, dict(stats.dropped)]))


def end(*_):
    for number in range(20):  # what waits when the end comes
        journy_track.track("ended", user=f"{name}-end-{number}")
    sys.exit(0)


atexit.register(tell)
signal.signal(signal.SIGTERM, end)
journy_track.configure("a-key", base_url=url)
for number in itertools.count():
    time.sleep(random.expovariate(rate))
    journy_track.track("worked", user=f"{name}-{number}")
"""


@pytest.fixture
def key() -> Iterator[Inspector]:
    """A separate inspector with the rate limit of a key."""
    with Inspector(port=0, limit=1800) as api:
        yield api


def captured_by(processes) -> int:
    """Return how many events they captured in all, after checking that they count each as delivered."""
    captured = 0
    for process in processes:
        out, err = process.communicate(timeout=40)
        own, delivered, dropped = json.loads(out)
        assert (process.returncode, delivered, dropped, err) == (0, own, {}, "")
        captured += own
    return captured


def test_a_rolling_deploy_and_an_end_of_all_at_once_lose_nothing(key, start_program):
    def start(number: int):
        return start_program(WORKS, key.url, f"p{number}", str(A_SECOND / PROCESSES))

    def works(number: int) -> bool:
        return any(event.user["userId"].startswith(f"p{number}-") for event in key.events)

    old = [start(number) for number in range(PROCESSES)]
    eventually(lambda: all(works(number) for number in range(PROCESSES)))
    new = [start(PROCESSES + number) for number in range(PROCESSES)]
    for process in old:  # one after another
        process.send_signal(signal.SIGTERM)
        process.wait(40)
    eventually(lambda: all(works(PROCESSES + number) for number in range(PROCESSES)))
    for process in new:  # all at once
        process.send_signal(signal.SIGTERM)
    captured = captured_by(old + new)
    assert captured > 21 * len(old + new)
    assert Counter(event.user["userId"] for event in key.events).most_common(1)[0][1] == 1
    assert len(key.events) == captured
