"""The HTTP client: kept-alive connections and a deadline, with the proxies and certificates that requests finds."""

from __future__ import annotations

import threading
import weakref
from collections import deque

from journy_track._model.clock import monotonic
from journy_track._model.errors import MaybeSent, NotSent, TransportError
from journy_track._model.http import HttpRequest, HttpResponse
from journy_track._transport.concealing import bytes_of
from journy_track._transport.connection import HttpConnection
from journy_track._transport.deadline import Bounds
from journy_track._transport.mocked import active_mock, keeps_inside, send_through
from journy_track._transport.outside import interruption
from journy_track._transport.routes import Route

#: Bytes of a response that are read, and that they may unpack to. A read call's may list what a business defined.
MAX_BYTES = 64 * 1024
MAX_BYTES_READ = 8 * 1024 * 1024
# Servers close idle connections (Node's after 5 s). One that was closed as we wrote is an ambiguous failure.
_IDLE = 3.0
#: Hosts whose connections are kept: ours is one.
_HOSTS = 10


class RequestsHttpClient:
    """Sends over connections that are kept open, with the proxies and certificates of the environment, as `requests`.

    They are looked up at the first request to a host. No redirect is followed, no cookie kept, no .netrc read.
    *connections* is how many are kept open at most. Thread-safe.
    """

    def __init__(self, *, connections: int = 8) -> None:
        # Not over a Session: it follows redirects (and drops only Authorization on one, so X-Api-Key would be sent
        # along), keeps cookies, reads .netrc and the environment at each call, and its timeout holds for each read.
        self._connections = connections
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()
        self._closed = False
        weakref.finalize(self, _close_all, self._hosts)

    def reaches_the_world(self, url: str) -> bool:
        """Whether a request to *url* is really sent, and not kept inside by a mock. Asked while tests run."""
        package = active_mock()
        return package is None or not keeps_inside(package, url)

    def send(self, request: HttpRequest, /) -> HttpResponse:
        """Send *request*. Raises `NotSent` or `MaybeSent`, without the request in them.

        What has nothing to do with the request, as a time limit of the caller's, is raised as it is.
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
        # Raised out here, so that the original, whose frames hold the request, is not its context.
        raise failure

    def close(self) -> None:
        """Close the connections; those in use when their request has ended."""
        with self._lock:
            self._closed = True
            _close_all(self._hosts)

    def _exchange(self, request: HttpRequest, bounds: Bounds, limit: int) -> HttpResponse:
        origin = "/".join(request.url.split("/", 3)[:3])
        host = self._hosts.get(origin) or self._host(origin)
        route = host.route
        target = route.prefix + (request.url[len(origin) :] or "/")
        data = bytes_of(request, target, route.host_header, route.proxy_authorization)
        connection = host.take() or route.open(bounds)
        try:
            return connection.exchange(data, request.method, bounds, limit)
        finally:
            if not connection.reusable or self._closed or not host.keep(connection):
                connection.close()

    def _host(self, origin: str) -> _Host:
        with self._lock:
            while len(self._hosts) >= _HOSTS:
                self._hosts.pop(next(iter(self._hosts))).close()
            return self._hosts.setdefault(origin, _Host(Route(origin), self._connections))


class _Host:
    """The idle connections to one host, the one last used at the end. Thread-safe: a deque's methods are atomic."""

    def __init__(self, route: Route, limit: int) -> None:
        self.route = route
        self._idle: deque[HttpConnection] = deque()
        self._limit = limit

    def take(self) -> HttpConnection | None:
        """A connection that was used lately and that the server has kept open. The others are closed."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if monotonic() - connection.idle_since <= _IDLE and connection.is_usable():
                return connection
            connection.close()

    def keep(self, connection: HttpConnection) -> bool:
        """Keep *connection* for another request. Returns false if there are enough."""
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


def _close_all(hosts: dict[str, _Host]) -> None:
    for host in list(hosts.values()):
        host.close()


def _failure(error: Exception, *, sent: bool) -> TransportError:
    """What went wrong, as one of ours: a name and a reason, never the request.

    *sent*: something of the request was written, so that it may have been processed.
    """
    if isinstance(error, TransportError):
        return type(error)(str(error), timed_out=error.timed_out)  # without the frames of the first
    return (MaybeSent if sent else NotSent)(type(error).__name__)
