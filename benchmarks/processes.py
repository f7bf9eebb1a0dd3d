"""Real processes, real clocks, one key: do they stay under its limit together, and do they use it?

    python -m benchmarks.processes [--processes 4] [--limit 600] [--minutes 5]

Each process has an endless backlog. The figures are the server's own: its responses in each minute.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from datetime import timedelta

from journy_track.inspector import Inspector

BACKLOG = """
import sys, time
import journy_track

tracker = journy_track.configure("benchmark-key", base_url=sys.argv[1], shutdown_timeout=0)
deadline, number = time.monotonic() + float(sys.argv[2]), 0
while time.monotonic() < deadline:
    while tracker.stats().queued < 200:
        number += 1
        journy_track.track("benchmarked", user=f"u{number}")
    time.sleep(0.2)
"""


def main() -> None:
    """Run the processes and print the server's log, minute by minute."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--limit", type=int, default=600, help="requests a minute")
    parser.add_argument("--minutes", type=float, default=5)
    options = parser.parse_args()
    with Inspector(limit=options.limit, keep=1_000_000) as api:
        command = [sys.executable, "-c", BACKLOG, api.url, str(options.minutes * 60)]
        children = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(options.processes)]
        for child in children:
            child.wait()
        requests = api.requests
    start = requests[0].received_at
    accepted: Counter[int] = Counter()
    refused: Counter[int] = Counter()
    for request in requests:
        minute = (request.received_at - start) // timedelta(minutes=1)
        (refused if request.status == 429 else accepted)[minute] += 1
    print(f"{options.processes} processes, {options.limit} requests a minute")
    for minute in range(int(options.minutes)):
        used = 100 * accepted[minute] / options.limit
        print(f"minute {minute + 1}: {accepted[minute]:5} accepted ({used:.1f} % used), {refused[minute]} refused")


if __name__ == "__main__":
    main()
