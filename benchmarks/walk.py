"""The path of one event: the functions and files of this library that it passes, in the app and in the worker.

    python -m benchmarks.walk            # one line each: in memory, and with a spool
    python -m benchmarks.walk --names    # and every function, in the order of the files

Counts what runs for each event. A function that is called for fewer than 8 of 10 events is attributed to the worker's
turns, or to exceptional cases. The HTTP client is a fake that accepts everything at once, so only this library runs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import journy_track
from journy_track import HttpRequest, HttpResponse

PACKAGE = Path(journy_track.__file__).parent
EVENTS, WARM_UP = 100, 30
CASES = ("memory", "spool")
#: The share of events for which a function must be called to count.
USUAL = 0.8

Function = tuple[str, str]


class TakesAll:
    """An HTTP client that replaces journy.io."""

    _RESPONSE = HttpResponse(
        201,
        {"X-RateLimit-Limit": "1000000", "X-RateLimit-Remaining": "999000"},
        b'{"message": "The event is tracked.", "meta": {"requestId": "r", "status": 201}}',
    )

    def send(self, request: HttpRequest, /) -> HttpResponse:
        return self._RESPONSE

    def close(self) -> None:
        """Do nothing: nothing is open."""


class Calls:
    """While switched on, counts the calls of this library's functions, separately for the app and the worker."""

    def __init__(self) -> None:
        self.on = False
        self.app: Counter[Function] = Counter()
        self.worker: Counter[Function] = Counter()
        self._app_thread = threading.get_ident()
        self._inside = f"{PACKAGE}/"

    def __call__(self, frame: Any, event: str, _: Any) -> None:
        code = frame.f_code
        if self.on and event == "call" and code.co_filename.startswith(self._inside):
            side = self.app if threading.get_ident() == self._app_thread else self.worker
            side[code.co_filename.removeprefix(self._inside), code.co_qualname] += 1


def walk(case: str) -> dict[str, Any]:
    """Return what one event passes. Call it only once per process."""
    calls = Calls()
    threading.setprofile(calls)
    sys.setprofile(calls)
    with tempfile.TemporaryDirectory() as folder:
        spool = f"{folder}/spool" if case == "spool" else None
        tracker = journy_track.configure("a-key", http_client=TakesAll(), spool=spool)
        for number in range(WARM_UP):
            journy_track.track("signed_in", user=f"w{number}", theme="dark")
        assert journy_track.flush(30, delivered=True)
        with tracker._pipeline().worker._lock:  # the worker takes them all in one turn, however busy the machine is
            calls.on = True
            for number in range(EVENTS):
                journy_track.track("signed_in", user=f"u{number}", theme="dark")
            app = usual(calls.app)  # before this thread waits
        assert journy_track.flush(30, delivered=True)
        calls.on = False
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]  # like sys.setprofile, it accepts None
        worker = usual(calls.worker)
        assert journy_track.shutdown(30)
    return {
        "case": case,
        "app_calls": sum(app.values()) / EVENTS,
        "app_files": len({file for file, _ in app}),
        "worker_calls": sum(worker.values()) / EVENTS,
        "worker_functions": len(worker),
        "worker_files": len({file for file, _ in worker}),
        "files": len({file for file, _ in (*app, *worker)}),
        "names": sorted(f"{file}: {name}" for file, name in (*app, *worker)),
    }


def usual(counts: Counter[Function]) -> dict[Function, int]:
    """Return the functions that are called for each event."""
    return {function: count for function, count in counts.items() if count >= USUAL * EVENTS}


def measure(case: str) -> dict[str, Any]:
    """Like `walk`, in a separate process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.walk", "--case", case],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--case", choices=CASES, help="this one alone, in this process, as JSON")
    parser.add_argument("--names", action="store_true", help="print the functions, too")
    options = parser.parse_args()
    if options.case:
        print(json.dumps(walk(options.case)))
        return
    for case in CASES:
        found = measure(case)
        print(
            f"{case}: app {found['app_calls']:.0f} calls in {found['app_files']} files; "
            f"worker {found['worker_calls']:.0f} calls of {found['worker_functions']} functions in "
            f"{found['worker_files']} files; {found['files']} files in all"
        )
        if options.names:
            print(*(f"    {name}" for name in found["names"]), sep="\n")


if __name__ == "__main__":
    main()
