"""The HTTP client: keep-alive connections and a deadline, with the proxies and certificates that requests finds."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from os import getpid

from journy_track._model.clock import monotonic
from journy_track._model.errors import MaybeSent, NotSent, TransportError
from journy_track._model.http import HttpRequest, HttpResponse
from journy_track._transport.concealing import bytes_of
from journy_track._transport.connection import HttpConnection
from journy_track._transport.deadline import Bounds
from journy_track._transport.mocked import active_mock, keeps_inside, send_through
from journy_track._transport.outside import interruption
from journy_track._transport.routes import Route

#: The maximum number of bytes of a response, before and after decompression. Read calls may return long lists.
MAX_BYTES = 64 * 1024
MAX_BYTES_READ = 8 * 1024 * 1024
# Servers close idle connections (Node after 5 s). A connection that is closed while we write fails ambiguously.
_IDLE = 3.0
#: The maximum number of hosts whose connections are kept, including our own.
_HOSTS = 10


class RequestsHttpClient:
    """Sends requests over keep-alive connections, with the environment's proxies and certificates.

    These are found as `requests` does, at the first request to a host. It follows no redirects, keeps no cookies and
    reads no .netrc.
    *connections* is the maximum number of connections kept open per host. Thread-safe. A forked child opens
    connections of its own.
    """

    def __init__(self, *, connections: int = 8) -> None:
        # No Session is used: it follows redirects (and drops only Authorization on one, so X-Api-Key would be sent
        # as well), keeps cookies, reads .netrc and the environment at each call, and its timeout is per read.
        self._connections = connections
        #: By process: a forked child shares its parent's sockets and must not write to them.
        self._pools: dict[int, _Pool] = {}
        self._closed = False
        weakref.finalize(self, _close_all, self._pools)

    def reaches_the_world(self, url: str) -> bool:
        """Whether a request to *url* reaches the network instead of a mock. Called while tests run."""
        package = active_mock()
        return package is None or not keeps_inside(package, url)

    def send(self, request: HttpRequest, /) -> HttpResponse:
        """Send *request*. Raises `NotSent` or `MaybeSent`, which do not contain the request.

        An exception that is unrelated to the request, such as the caller's time limit, is raised unchanged.
        """
        limit = MAX_BYTES_READ if request.method == "GET" else MAX_BYTES
        bounds = Bounds(monotonic() + request.timeout, limit)
        failure: TransportError
        if (package := active_mock()) is not None:
            return send_through(package, request, bounds.deadline, limit)
        try:
            return self._exchange(request, bounds, limit)
        except Exception as error:  # noqa: BLE001 - handed on in words of ours: its text may hold the request
            if (cause := interruption(error, TransportError)) is not None:
                raise cause from None
            failure = _failure(error, sent=bounds.sent)
        # Raised outside the except block, so that the original, whose frames hold the request, is not its context.
        raise failure

    def close(self) -> None:
        """Close the connections. Those in use are closed at the end of their request."""
        self._closed = True
        _close_all(self._pools)

    def _exchange(self, request: HttpRequest, bounds: Bounds, limit: int) -> HttpResponse:
        origin = "/".join(request.url.split("/", 3)[:3])
        pool = self._pools.get(getpid()) or self._new_pool()
        host = pool.hosts.get(origin) or pool.host(origin, self._connections)
        route = host.route
        target = route.prefix + (request.url[len(origin) :] or "/")
        data = bytes_of(request, target, route.host_header, route.proxy_authorization)
        connection = host.take() or route.open(bounds)
        try:
            return connection.exchange(data, request.method, bounds, limit)
        finally:
            if not connection.reusable or self._closed or not host.keep(connection):
                connection.close()

    def _new_pool(self) -> _Pool:
        pid = getpid()
        pool = self._pools.setdefault(pid, _Pool())  # atomic: threads that get here at the same time share one
        for other in [other for other in self._pools.copy() if other != pid]:
            if parents := self._pools.pop(other, None):
                parents.close()  # closes this process's descriptors, and writes nothing
        return pool


class _Pool:
    """The hosts that one process has connections to. Thread-safe."""

    def __init__(self) -> None:
        self.hosts: dict[str, _Host] = {}
        # Re-entrant: a signal handler may send a request, too, while its thread loads the certificates.
        self._lock = threading.RLock()

    def host(self, origin: str, limit: int) -> _Host:
        with self._lock:
            if (known := self.hosts.get(origin)) is not None:
                return known
            route = Route(origin)
            while len(self.hosts) >= _HOSTS:
                self.hosts.pop(next(iter(self.hosts))).close()
            return self.hosts.setdefault(origin, _Host(route, limit))

    def close(self) -> None:
        for host in self.hosts.copy().values():
            host.close()


class _Host:
    """The idle connections to one host, the last used one last. Thread-safe, as a deque's methods are atomic."""

    def __init__(self, route: Route, limit: int) -> None:
        self.route = route
        self._idle: deque[HttpConnection] = deque()
        self._limit = limit

    def take(self) -> HttpConnection | None:
        """Return a recently used connection that the server has kept open, or `None`. Closes the ones it skips."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if monotonic() - connection.idle_since <= _IDLE and connection.is_usable():
                return connection
            connection.close()

    def keep(self, connection: HttpConnection) -> bool:
        """Keep *connection* for another request. Returns false if the limit is reached."""
        if len(self._idle) >= self._limit:
            return False
        connection.idle_since = monotonic()
        self._idle.append(connection)
        return True

    def close(self) -> None:
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return


def _close_all(pools: dict[int, _Pool]) -> None:
    for pool in pools.copy().values():
        pool.close()


def _failure(error: Exception, *, sent: bool) -> TransportError:
    """Convert *error* to one of our own, which has a name and a reason but never contains the request.

    *sent*: part of the request was written, so it may have been processed.
    """
    if isinstance(error, TransportError):
        return type(error)(str(error), timed_out=error.timed_out)  # a new one, without the frames of the original
    return (MaybeSent if sent else NotSent)(type(error).__name__)
