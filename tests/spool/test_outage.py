"""A long outage of journy.io: everything waits on disk, across restarts, and memory use stays flat.

Full size: `JOURNY_OUTAGE_EVENTS=10000 pytest -s tests/spool/test_outage.py`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import defaultdict

import pytest

from journy_track.inspector import Inspector

#: An environment variable, read at import: tests run without it.
EVENTS = int(os.environ.get("JOURNY_OUTAGE_EVENTS", "1500"))
USERS = 20

PROGRAM = """
    import json, os, re, signal, sys, time
    import journy_track

    def peak():
        # Not getrusage: its figure begins with that of the process that started this one.
        try:
            with open("/proc/self/status") as status:
                return int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1])
        except FileNotFoundError:
            return None

    first, beyond, end = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    tracker = journy_track.configure("a-key", shutdown_timeout=0.1)
    peaks = {}
    for number in range(first, beyond):
        journy_track.track("captured", user=f"u{number % 20}", number=number)
        if (number + 1) % 250 == 0:
            assert journy_track.flush(30)
            peaks[number + 1] = peak()
    assert journy_track.flush(30)
    on_disk = tracker.stats().spooled + tracker.stats().in_flight
    print(json.dumps({"on disk": on_disk, "peaks": peaks}), flush=True)
    if end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "delivered":
        sys.stdin.readline()
        assert journy_track.flush(300, delivered=True)
        print(json.dumps({"stats": str(tracker.stats()), "peak": peak()}))
        journy_track.shutdown(10)
"""


@pytest.fixture
def down():
    """The URL of a server that was up and is down: nothing listens on its port."""
    api = Inspector(port=0, limit=10_000_000, keep=2 * EVENTS)
    api.start()
    api.stop()
    yield api
    api.stop()


def test_what_was_captured_while_it_was_down_arrives_in_order_after_two_restarts(
    down, run_program, start_program, tmp_path
):
    environment = {"JOURNY_SPOOL": str(tmp_path / "spool"), "JOURNY_BASE_URL": down.url}
    third = EVENTS // 3
    killed = run_program(PROGRAM, "0", str(third), "killed", **environment)
    assert killed.status == -signal.SIGKILL, killed.err
    ended = run_program(PROGRAM, str(third), str(2 * third), "at once", **environment)
    assert ended.status == 0, ended.err
    assert "could not be delivered" not in ended.err  # nothing was lost, so nothing is logged
    last = start_program(PROGRAM, str(2 * third), str(EVENTS), "delivered", **environment)
    on_disk = json.loads(last.stdout.readline())["on disk"]
    down.start()
    out, err = last.communicate("\n", timeout=300)
    assert last.returncode == 0, err

    arrived = defaultdict(list)
    for event in down.events:
        arrived[event.user["userId"]].append(event.metadata["number"])
    expected = {f"u{user}": list(range(user, EVENTS, USERS)) for user in range(USERS)}
    print(f"\n{EVENTS} events, {on_disk} of them on disk when it came back: {out}")
    assert on_disk == EVENTS
    assert arrived == expected
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of its memory from /proc")
@pytest.mark.parametrize("queue_size", ["1000", "10000"])
def test_memory_is_flat_while_the_spool_grows(down, run_program, tmp_path, queue_size):
    ended = run_program(
        PROGRAM,
        "0",
        "12000",
        "killed",
        JOURNY_SPOOL=str(tmp_path / "spool"),
        JOURNY_BASE_URL=down.url,
        JOURNY_QUEUE_SIZE=queue_size,
    )
    assert ended.status == -signal.SIGKILL, ended.err
    told = json.loads(ended.out)
    assert told["on disk"] == 12_000
    peaks = {int(count): peak / 1024 for count, peak in told["peaks"].items()}
    shown = ", ".join(f"{count}: {peaks[count]:.1f} MiB" for count in (500, 2000, 5000, 10_000, 12_000))
    print(f"\npeak memory with so many on disk, queue_size {queue_size}: {shown}")
    # Only what is read ahead grows: at most half of queue_size, some 3 KB each. The peak also includes what was
    # captured while a busy machine had no time to write it.
    assert peaks[12_000] - peaks[2000] < 6 + int(queue_size) / 2 * 0.003
