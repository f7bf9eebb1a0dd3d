"""Ensures that only one sync at a time uses a state, and reports which one that is."""

from __future__ import annotations

import logging
import os
import socket
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Protocol

from journy_track._model.logs import log
from journy_track._stores.store import StoreError

#: Seconds for which a sync holds a state in Redis without renewing its lease. A killed sync blocks the next one for
#: that long.
LEASE = 30.0
_TAKEN_OVER = (
    "a sync could not renew its lease of the state, and another sync took over: both send the same rows, and nothing "
    "is lost. The other one is %s"
)


class Alone(Protocol):
    """Lets one process use a state. The claim ends with the process that holds it, however that ends."""

    def take(self) -> str | None:
        """Claim the state. Returns `None` on success, else the current holder. Raises `StoreError` on failure."""

    def release(self) -> None:
        """Release the state."""


def myself() -> str:
    """Return a description of this process, for syncs that have to wait for it."""
    return f"process {os.getpid()} on {socket.gethostname()}, since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


class AloneWithFile:
    """Claims a state with an operating system lock on a file beside it."""

    def __init__(self, state: Path, what: str) -> None:
        self._path = state.with_name(f"{state.name}.{what}.lock")
        self._release = _nothing

    def take(self) -> str | None:
        from journy_track._stores.sqlite.errors import Owned
        from journy_track._stores.sqlite.lock import OwnerLock, note_of

        try:
            lock = OwnerLock(self._path, myself())
        except Owned:
            return note_of(self._path) or "another process"
        self._release = lambda: lock.release(remove=True)
        return None

    def release(self) -> None:
        release, self._release = self._release, _nothing
        release()


class Leases(Protocol):
    """Keeps named leases."""

    def lease(self, what: str, mine: str, seconds: float) -> str | None:
        """Take or renew the lease *what*. Returns the holder if that is not *mine*. Raises `StoreError`."""

    def end_lease(self, what: str, mine: str) -> None:
        """Give the lease back if *mine* still holds it. Raises `StoreError`."""

    def close(self) -> None:
        """Close the underlying resources."""


class AloneInRedis:
    """Claims a state with a lease beside the digests, which a thread renews."""

    def __init__(self, leases: Leases, what: str, seconds: float = LEASE) -> None:
        self._leases = leases
        self._what = what
        self._seconds = seconds
        self._mine = f"{token_hex(8)} {myself()}"
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self) -> str | None:
        holder = self._leases.lease(self._what, self._mine, self._seconds)
        if holder is not None:
            return holder.partition(" ")[2] or "another process"
        self._thread = threading.Thread(target=self._renew, name="journy_track state", daemon=True)
        self._thread.start()
        return None

    def release(self) -> None:
        if self._thread is not None:
            self._ended.set()
            self._thread.join()
            with suppress(StoreError):  # the lease expires anyway
                self._leases.end_lease(self._what, self._mine)
        self._leases.close()

    def _renew(self) -> None:
        while not self._ended.wait(self._seconds / 3):
            try:
                holder = self._leases.lease(self._what, self._mine, self._seconds)
            except StoreError:
                continue  # using the digests reports the failure, and the next attempt may succeed
            if holder is not None:
                log(logging.WARNING, _TAKEN_OVER, holder.partition(" ")[2])
                return


def _nothing() -> None:
    """Do nothing: there is nothing to release."""
