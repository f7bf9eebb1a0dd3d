"""`kill -9` with a spool and a write key: what is sent again has the same ID, so a server accepts it only once."""

from __future__ import annotations

import random
import sys
from collections import Counter
from time import monotonic

import pytest

from journy_track.inspector import Inspector

from .test_crash import SEED, Crashes, one_round, out_of_order

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")
#: Seconds during which new rounds start.
SECONDS = 8.0


class BatchCrashes(Crashes):
    """What arrived, after the server has dropped the duplicates by ID."""

    def take(self) -> None:
        events = self._api.events
        for event in events[self._seen :]:
            assert event.user is not None
            self.arrived.append((event.metadata["by"], event.metadata["number"], event.user["userId"]))
        self._seen = len(events)


@pytest.mark.slow
def test_what_was_acknowledged_survives_kill_9_and_a_server_that_knows_ids_takes_it_once(tmp_path, monkeypatch):
    monkeypatch.setenv("JOURNY_WRITE_KEY", "a-write-key")
    folder, stderr = tmp_path / "spool", tmp_path / "stderr"
    dice = random.Random(SEED)
    print(f"\nseed {SEED}")
    with Inspector(port=0, limit=10_000_000, keep=1_000_000) as api, stderr.open("w") as said:
        crashes = BatchCrashes(folder, api, said)
        try:
            began, rounds = monotonic(), 0
            while monotonic() - began < SECONDS:
                one_round(crashes, rounds, dice)
                rounds += 1
            crashes.start("p9-last", 1, last=True)
            ended = crashes.hear(lambda: crashes.told["ended"], 180)
            crashes.take()
        finally:
            crashes.close()
        paths, repeated = {request.path for request in api.requests}, api.counts.duplicates
    log = stderr.read_text()
    assert ended, log
    assert crashes.told["failed"] == 0, log
    arrived = Counter((by, number) for by, number, _ in crashes.arrived)
    acknowledged = {(by, n) for by, last in crashes.acknowledged.items() for n in range(1, last + 1)}
    print(f"{rounds} rounds, {len(acknowledged)} acknowledged, {len(arrived)} arrived, {repeated} came again")
    assert paths == {"/backend/v1/batch"}
    assert sorted(acknowledged - set(arrived)) == []
    assert [captured for captured, times in arrived.items() if times > 1] == []
    assert repeated > 0  # otherwise deduplication was not tested
    assert len(acknowledged) > 10 * rounds
    assert out_of_order(crashes.arrived) == []
    assert list(folder.iterdir()) == []
    assert "Traceback" not in log
