"""`journy-track relay`: from the broker to journy.io, as the key's only client."""

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
from journy_track.cli.console import duration, err, fail, out

#: Seconds between two lines of numbers.
EVERY = 10.0


def relay(
    broker: Annotated[str, typer.Option(envvar="JOURNY_BROKER_URL", help="Where items wait: redis://host/0.")] = "",
    connections: Annotated[int, typer.Option(min=1, help="Requests in flight at once.")] = 8,
    dead_letter: Annotated[str, typer.Option(help="Name of the queue of given-up items.")] = "",
    health_file: Annotated[
        Path | None, typer.Option(help="Write the state there, as JSON, every second, for a supervisor.")
    ] = None,
    lease: Annotated[float, typer.Option(min=1.0, help="Seconds after which another relay takes over.")] = 10.0,
    retry_dead: Annotated[bool, typer.Option("--retry-dead", help="Put dead letters back, and end.")] = False,
    api_key_file: KeyFile = None,
    base_url: BaseUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON Lines on stdout.")] = False,
) -> None:
    """Deliver what producers handed to a broker. Any number may run: one is active, the others stand by.

    Ends with SIGTERM or Ctrl-C: what is on its way is finished, the rest stays in the broker.
    """
    from journy_track._relay.stream import RelayQueue

    if not broker:
        fail("Say where items wait: --broker redis://host/0, or JOURNY_BROKER_URL.", 2)
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
    _run(queue, config, lease, health_file, as_json)


def _config(key: str | None, base_url: str | None, broker: str, connections: int) -> Config:
    settings: Any = {"base_url": base_url, "broker": broker, "max_connections": connections}
    if not os.environ.get("JOURNY_MAX_AGE"):
        settings["max_age"] = SPOOL_MAX_AGE
    config = Config.load(key, settings)
    if config.api_key is None and not config.loopback:
        raise ConfigurationError("the relay needs the API key: set JOURNY_API_KEY, or use --api-key-file")
    return config


def _run(queue: Any, config: Config, lease: float, health_file: Path | None, as_json: bool) -> None:
    from journy_track._engine import inside, transport_of
    from journy_track._relay.relay import Relay

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    try:
        for concern in queue.concerns():
            _warn(f"Take care: {concern}")
    except BrokerError as error:
        _warn(f"The broker cannot be used yet: {error}. Waiting for it.")
    relay = Relay(queue, config, transport_of(config), inside=inside, lease=lease)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: relay.stop())
    teller = _Teller(relay, health_file, as_json)
    err.print("The relay runs. Ctrl-C ends it.")
    relay.run(teller.turned)
    teller.ended()
    err.print("The relay has ended; what was not delivered waits in the broker.")


class _Teller:
    """Tells people and supervisors what the relay does."""

    def __init__(self, relay: Any, health_file: Path | None, as_json: bool) -> None:
        self._relay = relay
        self._file = health_file
        self._json = as_json
        self._write_at = 0.0
        self._unwritable = False
        self._say_at = time.monotonic() + EVERY
        self._last = (time.monotonic(), 0)

    def turned(self) -> None:
        now = time.monotonic()
        if self._file is not None and now >= self._write_at:
            self._write_at = now + 1.0
            self._write(self._file)
        if now >= self._say_at:
            self._say_at = now + EVERY
            self.say()

    def ended(self) -> None:
        """The last numbers, everywhere."""
        if self._file is not None:
            self._write(self._file)
        self.say()

    def _write(self, path: Path) -> None:
        fresh = path.with_name(path.name + ".new")
        try:
            fresh.write_text(json.dumps(self._told()), encoding="utf-8")
            fresh.replace(path)
            self._unwritable = False
        except OSError as error:
            if not self._unwritable:
                _warn(f"Cannot write {path}: {error.strerror}.")
            self._unwritable = True

    def _told(self) -> dict[str, Any]:
        status = self._relay.status()
        ok = status.trouble is None and status.role != "stopped"
        return {"ok": ok, "at": time.time(), **asdict(status)}

    def say(self) -> None:
        """One line of numbers."""
        told = self._told()
        if self._json:
            out.print_json(json.dumps(told), indent=None)
            return
        stats, (then, before) = told["stats"], self._last
        now = time.monotonic()
        rate = (stats["delivered"] - before) / max(now - then, 0.001)
        self._last = (now, stats["delivered"])
        parts = [
            told["role"],
            f"{stats['delivered']:,} delivered ({rate:,.1f}/s)",
            f"{stats['given_up']:,} given up",
        ]
        if told["broker_waiting"] is not None:
            oldest = told["broker_oldest"]
            age = "" if oldest is None else f", the oldest {duration(oldest)}"
            parts.append(f"{told['broker_waiting']:,} in the broker{age}")
        if stats["calls_limit"] is not None:
            parts.append(f"{stats['calls_remaining']:,} of {stats['calls_limit']:,} calls left")
        if told["trouble"]:
            parts.append(told["trouble"])
        err.print(" · ".join(parts), markup=False, soft_wrap=True)


def _warn(sentence: str) -> None:
    # One line for whoever collects them: there may be no terminal that says how wide it is.
    err.print(sentence, style="yellow", markup=False, soft_wrap=True)


def _retry_dead(queue: Any, as_json: bool) -> None:
    count = queue.retry_dead()
    out.print_json(json.dumps({"retried": count}), indent=None) if as_json else out.print(f"{count} put back.")
