"""`journy-track demo --jobs`: one click in a shop of three processes, shown on one timeline."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, TypeVar

from rich.table import Table

from journy_track.cli.console import TERMINATE, complain, err, fail, out

if TYPE_CHECKING:
    from journy_track.inspector import Inspector
    from journy_track.inspector.values import ReceivedEvent

T = TypeVar("T")

#: The shop's folder, in the wheel or in a checkout.
SHOP = next(
    folder
    for folder in (Path(__file__).parent / "_shop", Path(__file__).parents[2] / "examples" / "shop_jobs")
    if folder.is_dir()
)
#: The events that one click leads to, in order, each with the process that tracks it.
EVENTS = {"placed_order": "web", "created_invoice": "billing", "packed_order": "worker"}
USER, ACCOUNT = "jane", "acme"
#: Seconds for a process to start or end, and for the events to arrive. Generous, because a loaded machine is slow.
PATIENCE = 30.0


@contextmanager
def shop(inspector: Inspector) -> Iterator[str]:
    """Run the shop with its own Redis, and yield the URL of its page. All processes are ended on exit.

    Exits with the remedy if fork, RQ or redis-server is not available.
    """
    if not hasattr(os, "fork"):
        fail(
            "demo --jobs runs an RQ worker, which forks, and Windows does not. Use WSL, or demo without --jobs.",
            2,
        )
    if find_spec("rq") is None:
        fail("demo --jobs runs RQ, which is not installed: pip install rq", 2)
    redis_server = shutil.which("redis-server") or shutil.which("valkey-server")
    if redis_server is None:
        fail(
            "demo --jobs starts a Redis of its own, and there is no redis-server on the PATH: "
            "apt-get install redis-server, or brew install redis.",
            2,
        )
    with _ended_by_signals(), tempfile.TemporaryDirectory(prefix="journy-") as name, ExitStack() as stack:
        folder = Path(name)
        # A socket in a private folder, not a port: RQ unpickles what is in its queue, and any user of this machine
        # could write to a port.
        socket = folder / "redis"
        redis_url = f"unix://{socket}"
        environment = _environment(inspector) | {"REDIS_URL": redis_url}

        def start(service: str, *command: str, **more: str) -> _Process:
            return stack.enter_context(
                _running(service, folder / f"{service}.log", command, environment | {"SERVICE": service} | more)
            )

        redis = start(
            "redis", redis_server, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)
        )
        server = (sys.executable, "-m", "uvicorn", "--port", "0")
        billing = start("billing", *server, "billing:app")
        web = start("web", *server, "web:app")
        redis.wait_for(socket.exists)
        billing_url = billing.wait_for(billing.url)
        worker = start(
            "worker", sys.executable, "-m", "rq.cli", "worker", "--url", redis_url, BILLING_URL=billing_url
        )
        url = web.wait_for(web.url)
        worker.wait_for(lambda: "Listening on" in worker.said())
        out.print(f"A shop of three processes: web {web.pid}, RQ worker {worker.pid}, billing {billing.pid}.")
        yield url


def click(inspector: Inspector, url: str) -> bool:
    """Buy something as Jane, and print the resulting timeline. Returns whether all events arrived and are hers."""
    import requests

    with requests.Session() as browser:
        browser.trust_env = False  # a proxy cannot reach this machine
        browser.get(f"{url}/", params={"as": USER}, timeout=PATIENCE).raise_for_status()
        browser.post(f"{url}/orders", timeout=PATIENCE).raise_for_status()
    out.print(f"{USER} of {ACCOUNT} clicks Buy. The web process enqueues a job, and the job calls billing:")
    out.print()
    with suppress(TimeoutError):  # missing events are reported below
        inspector.wait_for(lambda api: len(api.events) >= len(EVENTS), PATIENCE)
    order = list(EVENTS)  # for events in the same millisecond
    events = sorted(inspector.events, key=lambda event: (event.triggered_at or "", order.index(event.name)))
    out.print(_timeline(events))
    complete = [(event.name, event.metadata.get("service")) for event in events] == list(EVENTS.items()) and all(
        event.user == {"userId": USER} and event.account == {"accountId": ACCOUNT} for event in events
    )
    conclusion = f"{len(events)} of {len(EVENTS)} events arrived"
    if complete:
        out.print(f"{conclusion}, from three processes, all of {USER} at {ACCOUNT}.", style="bold green")
    else:
        complain(f"Something is wrong: {conclusion}; all should be of {USER} at {ACCOUNT}.")
    return complete


def _timeline(events: list[ReceivedEvent]) -> Table:
    table = Table("After", "Service", "Event", "User", "Account")
    table.columns[0].justify = "right"
    moments = [datetime.fromisoformat(event.triggered_at) for event in events if event.triggered_at]
    for event, moment in zip(events, moments, strict=True):
        table.add_row(
            f"{(moment - moments[0]).total_seconds() * 1000:.0f} ms",
            str(event.metadata.get("service", "")),
            event.name,
            (event.user or {}).get("userId", "nobody"),
            (event.account or {}).get("accountId", "none"),
        )
    return table


def _environment(inspector: Inspector) -> dict[str, str]:
    """The environment for all processes. The settings of a real project have been removed already."""
    return os.environ | {
        "JOURNY_BASE_URL": inspector.url,
        "JOURNY_CARRIER_SECRET": secrets.token_hex(),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",  # macOS: RQ forks for each job
    }


@dataclass(frozen=True)
class _Process:
    name: str
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def url(self) -> str | None:
        """The URL at which uvicorn listens; `None` before it does."""
        found = re.search(r"running on (http://\S+)", self.said())
        return found and found[1]

    def wait_for(self, ready: Callable[[], T | None]) -> T:
        """Wait until *ready* returns something truthy, and return that.

        Exits with the last lines of the process's log if the process ends or takes too long.
        """
        deadline = monotonic() + PATIENCE
        while not (found := ready()):
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)
                self._fail("ended")
            if monotonic() > deadline:
                self._fail("does not start")
        return found

    def _fail(self, what: str) -> NoReturn:
        for line in self.said().splitlines()[-10:]:
            err.print(line)
        fail(f"The shop's {self.name} process {what}: see above.")


@contextmanager
def _running(name: str, log: Path, command: tuple[str, ...], environment: dict[str, str]) -> Iterator[_Process]:
    with log.open("wb") as output:
        # In the shop's folder, because `python -m` would find a web.py in the current folder first.
        process = subprocess.Popen(  # noqa: S603 - our own commands
            command, cwd=SHOP, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield _Process(name, log, process)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except BaseException:  # too long, or a second Ctrl-C
            process.kill()
            process.wait()
            raise


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let a termination signal exit the block, as Ctrl-C does, so that all processes are ended."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    numbers = {*TERMINATE, getattr(signal, "SIGHUP", signal.SIGTERM)}  # Windows has no SIGHUP
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
