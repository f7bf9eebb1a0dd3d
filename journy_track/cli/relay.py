"""`journy-track relay`: delivers from the broker to journy.io, as the only client of the key."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from journy_track._model.broker import BrokerError
from journy_track._model.config import SPOOL_MAX_AGE, Config
from journy_track._model.errors import ConfigurationError
from journy_track._model.secret import Secret
from journy_track.cli.connection import BaseUrl, KeyFile, key_of
from journy_track.cli.console import TERMINATE, counted, duration, err, fail, out, warn
from journy_track.cli.files import replace_file
from journy_track.cli.monitor import Monitor, address_of
from journy_track.cli.outside import json_text

#: Seconds between two lines of statistics.
EVERY = 10.0


def relay(
    broker: Annotated[
        str, typer.Option(metavar="URL", envvar="JOURNY_BROKER_URL", help="URL of the broker: redis://host/0.")
    ] = "",
    connections: Annotated[int, typer.Option(metavar="N", min=1, help="Requests in flight at once.")] = 8,
    dead_letter: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the queue for items that were given up.")
    ] = "",
    health_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the state to this file every second, as JSON, for a supervisor."),
    ] = None,
    http: Annotated[
        str,
        typer.Option(
            metavar="[HOST:]PORT",
            help="Serve /live, /ready and /metrics at this address; without a host, only to this machine.",
        ),
    ] = "",
    lease: Annotated[
        float, typer.Option(metavar="SECONDS", min=1.0, help="Time after which another relay takes over.")
    ] = 10.0,
    retry_dead: Annotated[
        bool, typer.Option("--retry-dead", help="Put dead letters back into the queue, and exit.")
    ] = False,
    api_key_file: KeyFile = None,
    base_url: BaseUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON Lines on stdout.")] = False,
) -> None:
    """Deliver what producers handed to a broker.

    Any number may run: one is active, the others stand by. Stop it with SIGTERM or Ctrl-C: requests in flight are
    finished, the rest stays in the broker.
    """
    from journy_track._stores.redis.stream import RelayQueue

    if not broker:
        fail("Pass the broker's URL: --broker redis://host/0, or set JOURNY_BROKER_URL.", 2)
    address = _address(http)
    key = key_of(api_key_file)
    try:
        config = _config(key, base_url, broker, connections)
        assert isinstance(config.broker, Secret), "it was given as text"
        queue = RelayQueue(config.broker, lease=lease, dead_letter=dead_letter or None)
        if retry_dead:
            _retry_dead(queue, as_json)
            return
    except ConfigurationError as error:
        fail(f"{error}.", 2)
    except BrokerError as error:
        fail(f"The broker cannot be used: {error}.", 1)
    _run(queue, config, lease, health_file, _monitor(address), as_json)


def _address(http: str) -> tuple[str, int] | None:
    try:
        return address_of(http) if http else None
    except ValueError:
        fail(f"--http must be a port, or a host and a port such as 127.0.0.1:9090, not {http!r}.", 2)


def _monitor(address: tuple[str, int] | None) -> Monitor | None:
    """Start a monitor that serves at *address*; `None` without an address."""
    if address is None:
        return None
    try:
        monitor = Monitor(address)
    except OSError as error:
        fail(f"Cannot listen at {address[0]}, port {address[1]}: {error.strerror}. Pass another port to --http.", 1)
    monitor.start()
    err.print(f"/live, /ready and /metrics are at {monitor.url}", markup=False, soft_wrap=True)
    return monitor


def _config(key: Secret | None, base_url: str | None, broker: str, connections: int) -> Config:
    settings: Any = {"base_url": base_url, "broker": broker, "max_connections": connections}
    if not os.environ.get("JOURNY_MAX_AGE"):
        settings["max_age"] = SPOOL_MAX_AGE
    config = Config.load(key, settings)
    if config.api_key is None and config.write_key is None and not config.loopback:
        raise ConfigurationError(
            "the relay needs the API key or a write key: set JOURNY_API_KEY or JOURNY_WRITE_KEY, or --api-key-file"
        )
    return config


def _run(
    queue: Any, config: Config, lease: float, health_file: Path | None, monitor: Monitor | None, as_json: bool
) -> None:
    from journy_track._delivery.pipeline import mark_internal
    from journy_track._relay.relay import Relay

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    checked = _checked(queue, first=True)
    on_request = None if monitor is None else monitor.durations.add
    relay = Relay(queue, config, mark_internal=mark_internal, lease=lease, on_request=on_request)
    for number in (*TERMINATE, signal.SIGINT):
        signal.signal(number, lambda *_: relay.stop())
    teller = _Teller(relay, health_file, monitor, as_json)
    err.print("The relay is running. Ctrl-C stops it.")

    def turned() -> None:
        nonlocal checked
        teller.turned()
        if not checked and relay.status().trouble is None:
            checked = _checked(queue)

    relay.run(turned)
    teller.ended()
    err.print("The relay has ended; what was not delivered waits in the broker.")


def _checked(queue: Any, *, first: bool = False) -> bool:
    """Warn about broker settings that may lose messages. Returns false if the broker could not be reached."""
    from journy_track._stores.redis.connection import Unfit

    try:
        for concern in queue.concerns():
            warn(concern)
    except Unfit as error:
        fail(f"The broker cannot be used: {error}.", 2)
    except BrokerError as error:
        if first:
            warn(f"The broker cannot be used yet: {error}. Waiting for it.")
        return False
    return True


class _Teller:
    """Reports what the relay does, to people and supervisors."""

    def __init__(self, relay: Any, health_file: Path | None, monitor: Monitor | None, as_json: bool) -> None:
        self._relay = relay
        self._file = health_file
        self._monitor = monitor
        self._json = as_json
        self._write_at = 0.0
        self._unwritable = False
        self._say_at = time.monotonic() + EVERY
        self._last = (time.monotonic(), 0)

    def turned(self) -> None:
        """Report after a turn of the relay, at the given intervals."""
        if self._monitor is not None:
            self._monitor.turned(self._relay)
        now = time.monotonic()
        if self._file is not None and now >= self._write_at:
            self._write_at = now + 1.0
            self._write(self._file)
        if now >= self._say_at:
            self._say_at = now + EVERY
            self.print_numbers()

    def ended(self) -> None:
        """Report the final numbers, and stop the monitor."""
        if self._file is not None:
            self._write(self._file)
        if self._monitor is not None:
            self._monitor.close()
        self.print_numbers()

    def _write(self, path: Path) -> None:
        try:
            replace_file(path, json.dumps(self._now()).encode(), durable=False)
            self._unwritable = False
        except OSError as error:
            if not self._unwritable:
                warn(f"Cannot write {path}: {error.strerror}.")
            self._unwritable = True

    def _now(self) -> dict[str, Any]:
        status = self._relay.status()
        ok = status.trouble is None and status.role != "stopped"
        return {"ok": ok, "at": time.time(), **asdict(status)}

    def print_numbers(self) -> None:
        """Print one line of statistics."""
        numbers = self._now()
        if self._json:
            typer.echo(json_text(numbers, indent=None))
            return
        stats, (then, before) = numbers["stats"], self._last
        now = time.monotonic()
        rate = (stats["delivered"] - before) / max(now - then, 0.001)
        self._last = (now, stats["delivered"])
        parts = [
            numbers["role"],
            f"{stats['delivered']:,} delivered ({rate:,.1f}/s)",
            f"{stats['given_up']:,} given up",
        ]
        if numbers["broker_waiting"] is not None:
            oldest = numbers["broker_oldest"]
            age = "" if oldest is None else f", the oldest {duration(oldest)}"
            parts.append(f"{numbers['broker_waiting']:,} in the broker{age}")
        if stats["calls_limit"] is not None:
            parts.append(f"{stats['calls_remaining']:,} of {stats['calls_limit']:,} calls left")
        if numbers["trouble"]:
            parts.append(numbers["trouble"])
        err.print(" · ".join(parts), markup=False, soft_wrap=True)


def _retry_dead(queue: Any, as_json: bool) -> None:
    count = queue.retry_dead()
    if as_json:
        typer.echo(json_text({"retried": count}, indent=None))
    else:
        out.print(f"{counted(count, 'item')} put back.")
