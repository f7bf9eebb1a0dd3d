"""A command that is run with the inspector around it, and pointed at it."""

from __future__ import annotations

import os
import signal
import subprocess
from types import FrameType
from typing import TYPE_CHECKING

from journy_track.cli.console import TERMINATE, err, fail, wait_for_ctrl_c
from journy_track.cli.outside import styled

if TYPE_CHECKING:
    from journy_track.inspector import Inspector

# Never the real one: what is sent to the inspector is looked at.
KEY = "development"
#: Settings that would take what is tracked elsewhere, keep it back, or pace it for processes that are not there.
#: The others are the app's: what is looked at is sent as it will be.
ELSEWHERE = ("JOURNY_BROKER_URL", "JOURNY_SPOOL", "JOURNY_ENABLED", "JOURNY_SHARE")


def run_pointed_at(inspector: Inspector, command: list[str], *, stay: bool) -> int:
    """Run `command` until it ends, and return its exit code, as a shell would for one that a signal ended.

    `stay` keeps the page up until Ctrl-C. Raises OSError when the inspector's port is taken.
    """
    with inspector:
        err.print(styled("The inspector listens at ", (inspector.url, "bold"), "; your command is pointed at it."))
        err.print()
        environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
        environment["JOURNY_BASE_URL"] = inspector.url
        environment["JOURNY_BATCH_URL"] = f"{inspector.url}/backend/v1/batch"
        # Of the keys that it has: with an API key that it has not, batches would lack nothing here.
        has = [name for name in ("JOURNY_API_KEY", "JOURNY_WRITE_KEY") if environment.get(name)]
        environment |= dict.fromkeys(has or ["JOURNY_API_KEY"], KEY)
        code = _run(command, environment)
        counts = inspector.counts
        by_status = sorted(counts.by_status.items())
        responses = ", ".join(f"{times} × {status or 'dropped'}" for status, times in by_status)
        err.print()
        err.print(f"The command ended with {code}. Requests: {responses or 'none'}. Events: {counts.accepted}.")
        if stay:
            wait_for_ctrl_c(styled("The page stays up at ", (inspector.url, "bold"), "  (Ctrl-C ends it)"))
    return code


def _run(command: list[str], environment: dict[str, str]) -> int:
    child: subprocess.Popen[bytes] | None = None

    def hand_on(number: int, frame: FrameType | None) -> None:
        if child is not None and child.poll() is None:
            child.send_signal(number)

    # Ctrl-C, and on Windows Ctrl-Break, reach the child from the terminal, which decides for itself what to do;
    # whoever ends us means the child as well.
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
