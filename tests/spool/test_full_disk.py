"""A full disk: the app is unaffected, nothing is lost, and the spool is used again once there is room."""

from __future__ import annotations

import json
import sys

import pytest

PROGRAM = """
import json, resource, signal, sys, time
import journy_track

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as on a full disk, the write itself fails
tracker = journy_track.configure("a-key", shutdown_timeout=30)
journy_track.track("first", user="u0")
assert tracker.flush(20)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
for number in range(300):
    journy_track.track("signed_in", user=f"u{number % 5}", number=number, text="x" * 2000)
assert tracker.flush(30, delivered=True)
during = tracker.stats()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
deadline = time.monotonic() + 20
while time.monotonic() < deadline:  # it is tried again after a few seconds
    journy_track.track("afterwards", user="u0")
    assert tracker.flush(20)
    if tracker.stats().spooled:
        break
assert tracker.flush(30, delivered=True)
after = tracker.stats()
waiting = after.queued + after.spooled + after.in_flight
print(json.dumps({
    "captured": after.captured,
    "counted": after.delivered + after.given_up + sum(after.dropped.values()) + waiting,
    "delivered": after.delivered,
    "during": during.delivered,
    "spooled_again": time.monotonic() < deadline,
}))
"""


FROM_THE_START = """
import os, resource, signal
from pathlib import Path
import journy_track
from journy_track._delivery import pipeline
from journy_track._stores.sqlite import folder

tries = []

class Counted(folder.Folder):
    def create(self):
        tries.append(self.path)
        return super().create()

folder.Folder = Counted
pipeline.RETRY = 0.01
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
tracker = journy_track.configure("a-key", shutdown_timeout=30)
while len(tries) < 5:
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(30)
assert tracker.shutdown(30)  # or the next try might be looked at while it is made
print(sorted(path.name for path in Path(os.environ["JOURNY_SPOOL"]).iterdir()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
def test_a_disk_that_was_full_before_is_said_once_and_fills_with_no_files(api, run_program, tmp_path):
    ran = run_program(FROM_THE_START, JOURNY_SPOOL=str(tmp_path / "spool"), JOURNY_BASE_URL=api.url)
    assert (ran.status, ran.out) == (0, "[]\n"), ran.err
    assert ran.err.count("the spool cannot be used") == 1, ran.err


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
@pytest.mark.parametrize("limit", [20_000, 100_000])
def test_beyond_the_size_that_files_may_have_delivery_goes_on_from_memory(api, run_program, tmp_path, limit):
    ran = run_program(PROGRAM, str(limit), JOURNY_SPOOL=str(tmp_path / "spool"), JOURNY_BASE_URL=api.url)
    assert ran.status == 0, ran.err
    told = json.loads(ran.out)
    assert told["captured"] == told["counted"] == told["delivered"]
    assert told["during"] == 301
    assert told["spooled_again"]
    assert ran.err.count("the spool cannot be used") == 1, ran.err
    numbers = [event.metadata["number"] for event in api.events if event.name == "signed_in"]
    assert sorted(numbers) == list(range(300))  # each once
    for user in range(5):
        mine = [number for number in numbers if number % 5 == user]
        assert mine == sorted(mine)
