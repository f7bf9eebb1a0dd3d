"""An import that is killed half-way and started again: every row arrives, once or twice.

`IMPORT_ROWS=100000` runs it at full size and prints time, memory and duplicates (with -s).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from time import monotonic

import pytest

from journy_track.inspector import Inspector

from .commands import environment

ROWS = int(os.environ.get("IMPORT_ROWS", "1500"))
#: The memory in kB that an import may use, whatever the size of the file. The interpreter and imports use most of it.
MAX_MEMORY = 100_000


def write(path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("name,user_id,happened_at,plan,note\n")
        for number in range(ROWS):
            file.write(f'signed_in,u{number},2026-01-01T00:00:00Z,pro,"a note, with\na second line"\n')


#: The command, which writes its own memory use at exit. (The peak that wait4() returns starts with the parent's.)
PROGRAM = """
import atexit, pathlib, sys
from journy_track.cli import main
status = pathlib.Path("/proc/self/status")
atexit.register(lambda: pathlib.Path("memory").write_text(status.read_text()))
sys.argv = ["journy-track", "import", "events.csv"]
main()
"""


def start(folder: Path, url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment(JOURNY_BASE_URL=url),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def peak(status: Path) -> int:
    """Return the peak memory of a process, in kB."""
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads a process's memory from /proc, as on Linux")
def test_killed_at_half_and_started_again_every_row_is_there_once_or_twice(tmp_path):
    path = tmp_path / "events.csv"
    write(path)
    with Inspector(port=0, limit=10_000_000, keep=3 * ROWS) as api:
        began = monotonic()
        first = start(tmp_path, api.url)
        api.wait_for(lambda seen: seen.counts.accepted >= ROWS // 2, timeout=3600)
        memory = [peak(Path(f"/proc/{first.pid}/status"))]
        first.send_signal(signal.SIGKILL)
        assert first.wait(60) == -signal.SIGKILL
        at_half = api.counts.accepted
        second = start(tmp_path, api.url)
        assert second.wait(3600) == 0
        memory.append(peak(tmp_path / "memory"))
        seconds = monotonic() - began
        arrived = Counter(event.user["userId"] for event in api.events)
    duplicates = sum(1 for times in arrived.values() if times == 2)
    print(
        f"\n{ROWS} rows in {seconds:.0f} s, killed at {at_half}: {duplicates} rows arrived twice; "
        f"peak memory {memory[0] // 1024} and {memory[1] // 1024} MiB"
    )
    assert set(arrived) == {f"u{number}" for number in range(ROWS)}
    assert set(arrived.values()) <= {1, 2}
    assert max(memory) < MAX_MEMORY
    position = json.loads((tmp_path / "events.csv.import.json").read_text())["position"]
    assert (position["delivered"], position["rejected"], position["done"]) == (ROWS, 0, True)
