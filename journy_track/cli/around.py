"""Runs a command with its settings pointed at an inspector."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
from types import FrameType
from typing import TYPE_CHECKING, Literal

from journy_track.cli.console import TERMINATE, err, fail, wait_for_ctrl_c
from journy_track.cli.outside import styled
from journy_track.cli.request_lines import request_lines

if TYPE_CHECKING:
    from journy_track.inspector import Inspector

# Never the real key, because the inspector shows what is sent to it.
KEY = "development"
#: Settings that would send data elsewhere, hold it back, or pace it for processes that do not run here. All other
#: settings stay as the app has them, so that the inspector receives data as it will be sent.
ELSEWHERE = ("JOURNY_BROKER_URL", "JOURNY_SPOOL", "JOURNY_ENABLED", "JOURNY_SHARE")


def who_listens(host: str, port: int) -> Literal["inspector", "another program"] | None:
    """What listens on that port of this machine; `None` if nothing does."""
    # A direct connection: no proxy, no redirect.
    connection = http.client.HTTPConnection(host, port, timeout=3.0)  # Windows needs 2 to find a port closed
    try:
        connection.connect()
    except OSError:
        return None
    try:
        connection.sock.settimeout(1.0)
        connection.request("GET", "/__inspector/reports")
        response = connection.getresponse()
        is_inspector = response.status == 200 and response.read(100).startswith(b'{"reports":')
    except (OSError, http.client.HTTPException):
        return "another program"
    finally:
        connection.close()
    return "inspector" if is_inspector else "another program"


def run_with(inspector: Inspector, command: list[str], *, stay: bool, quiet: bool) -> int:
    """Run `command` until it ends, and return its exit code: as in a shell, 128 plus the signal if one ended it.

    `stay` keeps the page up until Ctrl-C. Raises OSError if the inspector's port is in use.
    """
    with inspector:
        err.print(styled("The inspector listens at ", (inspector.url, "bold"), "; your command is pointed at it."))
        err.print()
        with request_lines(inspector, err, quiet=quiet):
            code = _run(command, _pointed_at(inspector.url))
        counts = inspector.counts
        by_status = sorted(counts.by_status.items())
        responses = ", ".join(f"{times} × {status or 'dropped'}" for status, times in by_status)
        err.print()
        err.print(f"The command ended with {code}. Requests: {responses or 'none'}. Events: {counts.accepted}.")
        if stay:
            with request_lines(inspector, err, quiet=quiet):
                wait_for_ctrl_c(styled("The page stays up at ", (inspector.url, "bold"), "  (Ctrl-C ends it)"))
    return code


def run_beside(url: str, command: list[str]) -> int:
    """Run `command` like `run_with`, but with the inspector that already runs at *url*."""
    err.print(styled("Your command is pointed at the inspector that runs at ", (url, "bold")))
    err.print()
    code = _run(command, _pointed_at(url))
    err.print()
    err.print(f"The command ended with {code}. What it sent is at {url}")
    return code


def _pointed_at(url: str) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    environment["JOURNY_BASE_URL"] = url
    environment["JOURNY_BATCH_URL"] = f"{url}/backend/v1/batch"
    # Replace only the keys that are set: an additional API key would hide what batches do not support.
    has = [name for name in ("JOURNY_API_KEY", "JOURNY_WRITE_KEY") if environment.get(name)]
    return environment | dict.fromkeys(has or ["JOURNY_API_KEY"], KEY)


def _run(command: list[str], environment: dict[str, str]) -> int:
    child: subprocess.Popen[bytes] | None = None

    def hand_on(number: int, frame: FrameType | None) -> None:
        if child is not None and child.poll() is None:
            child.send_signal(number)

    # The terminal sends Ctrl-C, and on Windows Ctrl-Break, to the child too, which decides how to handle it. Signals
    # that end this process are passed on to the child.
    handlers = {
        number: signal.signal(number, lambda number, frame: None)
        for number in (signal.SIGINT, *(TERMINATE - {signal.SIGTERM}))
    }
    for number in {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:  # Windows has no SIGHUP
        handlers[number] = signal.signal(number, hand_on)
    try:
        child = subprocess.Popen(command, env=environment)  # noqa: S603 - the user's own command line
        code = child.wait()
    except OSError as error:
        fail(f"Cannot run {command[0]}: {error.strerror or error}.", 2)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code
