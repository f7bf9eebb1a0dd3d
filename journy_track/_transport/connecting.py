"""Connects to a host with several addresses, some of which may be unreachable: "happy eyeballs", RFC 8305.

An address that drops packets (IPv6 that is enabled but not routed, a machine that is down) would use up the whole
time of the request. Therefore the next address is tried while the attempt on the first is still pending.
"""

from __future__ import annotations

import os
import selectors
import socket
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from urllib3.util import connection

from journy_track._model.clock import monotonic

#: Seconds by which an attempt starts before the next one, as recommended in RFC 8305.
HEAD_START = 0.25
#: Seconds for which an address that did not connect is tried after the others.
AVOIDED = 600.0
_MAX_AVOIDED = 100
#: The maximum number of addresses to try: each may use a socket, and a name server can return thousands.
MAX_ADDRESSES = 16

#: For each address that failed or was overtaken: the time until which it is tried after the others.
_avoided: dict[Any, float] = {}


class Address(NamedTuple):
    """One address of a host, as `socket.getaddrinfo` returns it."""

    family: int
    kind: int
    protocol: int
    where: Any


class Endpoint(NamedTuple):
    """The host to connect to, and how to set up the socket, with the same parameters as in urllib3."""

    host: str
    port: int
    source: Any = None
    options: Sequence[Any] | None = None

    def connect(self, seconds_left: Callable[[], float]) -> socket.socket:
        """Return a socket that is connected to the address that responds first.

        *seconds_left* raises `TimeoutError` after the deadline. Raises `socket.gaierror` for an unknown host, and
        `OSError` if no address can be connected to.
        """
        addresses = _in_order(self._addresses())
        if not addresses:
            raise socket.gaierror(f"{self.host} has no address")
        if len(addresses) > 1:
            return _Race(self, addresses, seconds_left).run()
        made = self.open(addresses[0])
        try:
            made.settimeout(seconds_left())
            made.connect(addresses[0].where)
        except BaseException:
            made.close()
            raise
        return made

    def open(self, address: Address) -> socket.socket:
        """Return a socket for *address* that is not connected yet."""
        made = socket.socket(address.family, address.kind, address.protocol)
        try:
            for option in self.options or ():
                made.setsockopt(*option)
            if self.source:
                made.bind(self.source)
        except BaseException:
            made.close()
            raise
        return made

    def _addresses(self) -> list[Address]:
        family = connection.allowed_gai_family()  # looked up at each call: apps replace it to disable IPv6
        try:
            found = socket.getaddrinfo(self.host.strip("[]"), self.port, family, socket.SOCK_STREAM)
        except UnicodeError as error:
            raise socket.gaierror(f"{self.host!r} is not a host name") from error
        return [Address(family, kind, protocol, where) for family, kind, protocol, _, where in found]


def _in_order(addresses: Iterable[Address]) -> list[Address]:
    """Alternate between address families, starting with the resolver's first choice; recent failures come last."""
    by_family: dict[int, list[Address]] = {}
    for address in addresses:
        by_family.setdefault(address.family, []).append(address)
    mixed = [address for address in chain(*zip_longest(*by_family.values())) if address is not None]
    now = monotonic()
    return sorted(mixed, key=lambda address: _avoided.get(address.where, now) > now)[:MAX_ADDRESSES]


class _Race:
    """Concurrent attempts to connect, each with a head start on the next."""

    def __init__(self, endpoint: Endpoint, addresses: list[Address], seconds_left: Callable[[], float]) -> None:
        self._endpoint = endpoint
        self._waiting = deque(addresses)
        self._seconds_left = seconds_left
        # Short enough that all attempts have started once half of the remaining time has passed.
        self._head_start = min(HEAD_START, seconds_left() / (2 * len(addresses)))
        self._next_start = monotonic()
        self._running: dict[socket.socket, Address] = {}
        self._failure = OSError("no address can be connected to")
        # Looked up at each call: gevent and eventlet replace it.
        self._selector = selectors.DefaultSelector()

    def run(self) -> socket.socket:
        """Return the first socket that connects. The others are closed, even if this is interrupted."""
        winner = None
        try:
            while winner is None:
                if not self._waiting and not self._running:
                    raise self._failure
                winner = self._start_next() or self._first_connected()
            return winner
        finally:
            self._selector.close()
            for loser in self._running:
                loser.close()

    def _start_next(self) -> socket.socket | None:
        """Start the next attempt if it is time. Returns its socket if it is connected at once."""
        if not self._waiting or (self._running and monotonic() < self._next_start):
            return None
        address = self._waiting.popleft()
        self._next_start = monotonic() + self._head_start
        try:
            made = self._endpoint.open(address)
        except OSError as error:  # this family, or the source address in it, is not available here
            self._failed(address, error)
            return None
        self._running[made] = address
        try:
            made.setblocking(False)
            made.connect(address.where)
        except BlockingIOError:
            self._selector.register(made, selectors.EVENT_WRITE)
            return None
        except OSError as error:
            self._failed(self._drop(made), error)
            return None
        return self._won(made)

    def _first_connected(self) -> socket.socket | None:
        """Wait until an attempt has ended, or the next one may start."""
        if not self._running:
            return None
        left = self._seconds_left()
        wait = min(left, max(0.0, self._next_start - monotonic())) if self._waiting else left
        for key, _ in self._selector.select(wait):
            made: Any = key.fileobj
            self._selector.unregister(made)
            error = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not error:
                return self._won(made)
            self._failed(self._drop(made), OSError(error, os.strerror(error)))
        return None

    def _drop(self, made: socket.socket) -> Address:
        made.close()
        return self._running.pop(made)

    def _failed(self, address: Address, error: OSError) -> None:
        self._failure = error
        self._next_start = monotonic()  # nothing to wait for
        _avoid(address)

    def _won(self, made: socket.socket) -> socket.socket:
        for tried in self._running:  # in the order in which they started
            if tried is made:
                break
            _avoid(self._running[tried])  # it had a head start
        del self._running[made]
        return made


def _avoid(address: Address) -> None:
    if len(_avoided) >= _MAX_AVOIDED:
        _avoided.clear()
    _avoided[address.where] = monotonic() + AVOIDED
