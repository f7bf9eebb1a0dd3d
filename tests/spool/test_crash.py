"""`kill -9` at random points: what was acknowledged is delivered, hardly anything twice, and in order.

    JOURNY_CRASH_ROUNDS=200 JOURNY_CRASH_SEED=7 pytest -s tests/spool/test_crash.py

Without a number of rounds it runs as many as fit into a few seconds. The seed is printed.
"""

from __future__ import annotations

import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from journy_track.inspector import Inspector

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")

PROGRAM = Path(__file__).with_name("crashing.py")
#: Environment variables, read at import: tests run without them.
ROUNDS = int(os.environ.get("JOURNY_CRASH_ROUNDS", "0"))
SEED = int(os.environ.get("JOURNY_CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
#: Seconds during which new rounds start, if the number of rounds is not given.
SECONDS = 6.0
PROCESSES = 3
CONNECTIONS = 2

#: Where to die: the statement, how often it runs at most in a short life, and what it belongs to.
POINTS = [
    ("INSERT INTO items", 300, "write"),
    ("COMMIT", 100, "write or delete"),
    ("DELETE FROM items", 100, "delete"),
    ("BEGIN IMMEDIATE", 100, "write or delete"),
    ("BEGIN EXCLUSIVE", 4, "adoption"),
    ("SELECT count(*) FROM sqlite_master", 3, "adoption"),
    ("SELECT value FROM about", 3, "adoption"),
    ("SELECT seq, at, message FROM items", 10, "read"),
    ("PRAGMA", 30, "opening"),
    ("CREATE TABLE", 3, "opening"),
    ("INSERT INTO about", 1, "opening"),
    ("PRAGMA incremental_vacuum", 1, "giving room back"),
    ("PRAGMA wal_checkpoint", 1, "giving room back"),
    ("unlink", 8, "removing a file"),
]


class Crashes:
    """The program, its children's reports, and what arrived."""

    def __init__(self, folder: Path, api: Inspector, said: Any) -> None:
        self._api = api
        self._seen = 0
        self.points: Counter[str] = Counter()
        self.acknowledged: dict[str, int] = defaultdict(int)
        self.told: Counter[str] = Counter()
        #: In order of arrival: the capturing process, the event's number there, and its user.
        self.arrived: list[tuple[str, int, str]] = []
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(folder), api.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        self._lines: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        #: Only of living processes, because the system may reuse a process ID later.
        self._pids: dict[str, int] = {}

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))

    def start(self, name: str, seed: int, kill: dict[str, Any] | None = None, *, last: bool = False) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"name": name, "seed": seed, "kill": kill, "last": last}) + "\n")
        self._process.stdin.flush()
        self.hear(lambda: name in self._pids)

    def hear(self, until: Any, timeout: float = 60.0) -> bool:
        """Process the children's reports until *until* returns true; return whether it did within *timeout*."""
        deadline = monotonic() + timeout
        while not until():
            try:
                name, what, value = self._lines.get(timeout=max(0.0, min(0.1, deadline - monotonic())))
            except queue.Empty:
                if monotonic() >= deadline:
                    return False
                continue
            self.told[what] += 1
            if what == "started":
                self._pids[name] = value
            elif what in ("flushed", "aged"):
                self.acknowledged[name] = max(value, self.acknowledged[name])
        return True

    def lives(self, name: str) -> bool:
        try:
            os.kill(self._pids[name], 0)
        except ProcessLookupError:
            del self._pids[name]
            return False
        return True

    def kill(self, name: str) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._pids[name], signal.SIGKILL)

    def take(self) -> None:
        """Record what arrived since the last call; the inspector keeps only the latest requests."""
        for request in self._api.requests:
            if request.number > self._seen:
                self._seen = request.number
                if request.json is not None and request.json.get("name") == "captured":
                    about = request.json["metadata"]
                    user = request.json["identification"]["user"]["userId"]
                    self.arrived.append((about["by"], about["number"], user))

    def close(self) -> None:
        assert self._process.stdin is not None
        for name in list(self._pids):
            self.kill(name)
        self._process.stdin.close()
        self._process.wait(30)
        self._reader.join(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


def one_round(crashes: Crashes, number: int, dice: random.Random) -> None:
    """Run several processes on one folder, each killed at some point."""
    ends: dict[str, tuple[float, int]] = {}
    where: dict[str, str] = {}
    for slot in range(PROCESSES):
        name = f"p{slot}-{number}"
        kill, where[name] = None, "anywhere"
        if dice.random() < 0.6:
            statement, most, where[name] = dice.choice(POINTS)
            # During the statement, or between it and the previous one.
            after = dice.choice((0.0, dice.uniform(0.0, 0.0003)))
            kill = {"statement": statement, "nth": dice.randint(1, most), "after": after}
        crashes.start(name, dice.randrange(2**30), kill)
        # Seconds to live, and how many events may be acknowledged before it is killed: a few die young.
        seconds = dice.uniform(0.0, 0.3) if dice.random() < 0.1 else 4.0
        ends[name] = monotonic() + seconds, dice.randint(0, 800) if kill is None else 800
    while ends:
        crashes.hear(lambda: False, dice.uniform(0.001, 0.03))
        for name, (end, enough) in list(ends.items()):
            if not crashes.lives(name):
                crashes.points[where[name]] += 1
                del ends[name]
            elif monotonic() >= end or crashes.acknowledged[name] > enough:
                where[name] = "anywhere"  # it never reached its point
                crashes.kill(name)
    crashes.take()


@pytest.mark.slow
def test_what_was_acknowledged_survives_kill_9_and_arrives_in_order(tmp_path):
    folder = tmp_path / "spool"
    dice = random.Random(SEED)
    print(f"\nseed {SEED}")
    stderr = tmp_path / "stderr"
    with Inspector(port=0, limit=10_000_000, keep=20_000) as api, stderr.open("w") as said:
        crashes = Crashes(folder, api, said)
        try:
            began, rounds = monotonic(), 0
            while rounds < ROUNDS if ROUNDS else monotonic() - began < SECONDS:
                one_round(crashes, rounds, dice)
                rounds += 1
            crashes.start("p9-last", 1, last=True)
            ended = crashes.hear(lambda: crashes.told["ended"], 180)
            crashes.take()
        finally:
            crashes.close()
    log = stderr.read_text()
    assert ended, log
    assert crashes.told["failed"] == 0, log

    arrived = Counter((by, number) for by, number, _ in crashes.arrived)
    acknowledged = {(by, n) for by, last in crashes.acknowledged.items() for n in range(1, last + 1)}
    lost = sorted(acknowledged - set(arrived))
    twice = sum(count - 1 for count in arrived.values())
    share = twice / max(1, len(arrived))
    print(
        f"{rounds} rounds, {rounds * PROCESSES} kills ({dict(crashes.points)}), {monotonic() - began:.0f} s: "
        f"{len(acknowledged)} acknowledged ({dict(crashes.told)}), {len(arrived)} arrived, {len(lost)} lost, "
        f"{twice} twice ({share:.2%})"
    )
    assert not lost, f"{len(lost)} of {len(acknowledged)} lost, as {lost[:5]}; {log}"
    assert len(acknowledged) > 10 * rounds
    late = crashes.told["late"] / (crashes.told["late"] + crashes.told["aged"])
    assert late < 0.5, f"after 50 ms something was not on disk, {late:.0%} of the times"
    # Only what was in flight when a process died may be sent again.
    assert twice <= rounds * PROCESSES * CONNECTIONS
    assert share < (0.01 if rounds >= 50 else 0.02)  # with few rounds, a share means little
    assert out_of_order(crashes.arrived) == []
    assert list(folder.iterdir()) == []
    assert "Traceback" not in log


def out_of_order(arrived: list[tuple[str, int, str]]) -> list[tuple[str, int, str]]:
    """Return the events whose first arrival came after a later event of the same process and user."""
    highest: dict[tuple[str, str], int] = defaultdict(int)
    seen: set[tuple[str, int]] = set()
    wrong = []
    for by, number, user in arrived:
        if (by, number) not in seen:
            seen.add((by, number))
            if number < highest[by, user]:
                wrong.append((by, number, user))
            highest[by, user] = max(number, highest[by, user])
    return wrong
