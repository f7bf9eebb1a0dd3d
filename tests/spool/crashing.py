"""The program that the crash test kills: it forks children that capture, deliver and die.

    python crashing.py FOLDER URL

Reads from stdin one child per line, as JSON, and writes a line for each report of a child. Children are forked from a
process that has imported everything and done nothing, so each starts at once.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any

import journy_track
import journy_track._model.tracing
import journy_track._transport.requests_client
from journy_track._stores.sqlite import files as sources

#: Children look for abandoned files this often, so that they also die during a takeover.
sources.ADOPT = 0.2
USERS = 5
CONNECTIONS = 2


def main(folder: Path, url: str) -> None:
    """Start a child for each line of stdin, until it ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system reaps the children
    for line in sys.stdin:
        told = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                child(folder, url, **told)
            except BaseException as error:
                logging.exception("the child failed")
                tell(told["name"], "failed", type(error).__name__)
            os._exit(0)
        tell(told["name"], "started", pid)


def tell(name: str, what: str, value: Any) -> None:
    """Write one line in one write, so that lines of several processes do not mix."""
    os.write(1, f"{json.dumps([name, what, value])}\n".encode())


def child(folder: Path, url: str, *, name: str, seed: int, kill: dict[str, Any] | None, last: bool) -> None:
    """Capture and deliver until killed; the *last* child delivers what is left and ends by itself."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    dice = random.Random(seed)
    if kill is not None:
        kill_at(**kill)
    tracker = journy_track.configure("a-key", base_url=url, spool=folder, max_connections=CONNECTIONS)
    number = 0
    while not last:
        for _ in range(dice.randint(1, 150) if tracker.stats().spooled < 500 else 0):
            number += 1
            journy_track.track("captured", user=f"{name[:2]}u{dice.randrange(USERS)}", by=name, number=number)
        if dice.random() < 0.5:
            if journy_track.flush(20):
                tell(name, "flushed", number)
        else:
            time.sleep(0.05)
            # If the machine cannot keep up, the library reports it in its stats.
            tell(name, "late" if tracker.stats().queued else "aged", number)
    if last:
        journy_track.track("captured", user="last", by=name, number=1)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            done = journy_track.flush(5, delivered=True) and len(list(folder.glob("*.spool"))) == 1
            if done and not tracker.stats().spooled:
                break
            time.sleep(0.05)
        journy_track.shutdown(10)
        tell(name, "ended", str(tracker.stats()))


def kill_at(statement: str, nth: int, after: float) -> None:
    """Die at the *nth* run of an SQL statement that starts with *statement*, or *after* seconds into that run.

    The statement "unlink" is the removal of a file.
    """
    left = [nth]
    now = threading.Event()
    connect = sqlite3.connect

    def die() -> None:
        now.wait()
        until = time.perf_counter() + after
        while time.perf_counter() < until:
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    def runs(sql: str) -> None:
        if sql.startswith(statement):
            left[0] -= 1
            if left[0] == 0:
                if after == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                now.set()

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(runs)
        return connection

    unlink = Path.unlink

    def unlinked(path: Path, missing_ok: bool = False) -> None:
        runs("unlink")
        unlink(path, missing_ok)

    threading.Thread(target=die, daemon=True).start()
    Path.unlink = unlinked  # type: ignore[method-assign]
    sqlite3.connect = traced  # type: ignore[assignment]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
