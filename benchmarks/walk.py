"""The way of one event: the functions and files of this library that it passes, on the app's side and the worker's.

    python -m benchmarks.walk            # one line each: in memory, and with a spool
    python -m benchmarks.walk --names    # and every function, in the order of the files

What runs for each event is counted. A function that is called for fewer than 8 of 10 events belongs to the turns of
the worker, or to exceptions. The HTTP client is a fake that takes everything at once, so this is the library alone.
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
#: Part of the events for which a function has to be called, to count.
USUAL = 0.8

Function = tuple[str, str]


class TakesAll:
    """An HTTP client in the place of journy.io."""

    _RESPONSE = HttpResponse(
        201,
        {"X-RateLimit-Limit": "1000000", "X-RateLimit-Remaining": "999000"},
        b'{"message": "The event is tracked.", "meta": {"requestId": "r", "status": 201}}',
    )

    def send(self, request: HttpRequest, /) -> HttpResponse:
        return self._RESPONSE

    def close(self) -> None:
        """Nothing is open."""


class Calls:
    """Counts the calls of this library's functions, by the side on which they run, while it is on."""

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
    """What one event passes. Call it once in a process."""
    calls = Calls()
    threading.setprofile(calls)
    sys.setprofile(calls)
    with tempfile.TemporaryDirectory() as folder:
        spool = f"{folder}/spool" if case == "spool" else None
        tracker = journy_track.configure("a-key", http_client=TakesAll(), spool=spool)
        for number in range(WARM_UP):
            journy_track.track("signed_in", user=f"w{number}", theme="dark")
        assert journy_track.flush(30, delivered=True)
        with tracker._pipeline().worker._lock:  # it takes them all in one turn, however busy the machine is
            calls.on = True
            for number in range(EVENTS):
                journy_track.track("signed_in", user=f"u{number}", theme="dark")
            app = usual(calls.app)  # before this thread waits
        assert journy_track.flush(30, delivered=True)
        calls.on = False
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]  # as sys.setprofile, it takes None
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
    """Those that are called for each event."""
    return {function: count for function, count in counts.items() if count >= USUAL * EVENTS}


def measure(case: str) -> dict[str, Any]:
    """As `walk`, in a process of its own."""
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
