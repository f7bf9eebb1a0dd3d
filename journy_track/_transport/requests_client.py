"""The HTTP client on requests: kept-alive connections, no redirects, no cookies, no .netrc."""

from __future__ import annotations

import socket
import threading
from functools import lru_cache
from typing import Any, NamedTuple

import requests
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util import Retry, Timeout

from journy_track._model.clock import monotonic
from journy_track._model.config import is_loopback
from journy_track._model.errors import MaybeSent, NotSent, TransportError
from journy_track._model.http import HttpRequest, HttpResponse
from journy_track._transport.deadline import BoundedAdapter, Bounds, bounded

#: Bytes of an answer that are read: the rest is nobody's. A read call's answer may list what a business defined.
MOST_BYTES = 64 * 1024
MOST_BYTES_READ = 8 * 1024 * 1024
#: Bytes that are read at once: what they unpack to is bounded, too.
_CHUNK = 4096
# Servers close idle connections (Node's after 5 s). One that was closed as we wrote is an ambiguous failure.
_IDLE = 3.0
#: Hosts whose connections are kept: ours is one.
_HOSTS = 10
#: No second try and no redirect: what goes wrong is raised as it is.
_ONCE = Retry(False, redirect=False)


class _Route(NamedTuple):
    """How a host is reached: over which connections, and what comes before the path in the request."""

    pool: HTTPConnectionPool
    prefix: str


class RequestsHttpClient:
    """Sends over `requests`. Honours proxies and `REQUESTS_CA_BUNDLE` of the environment, as at the first call.

    *connections* is how many are kept open at most. Thread-safe.
    """

    #: Really sends. While tests run, that is asked for.
    reaches_the_world = True

    def __init__(self, *, connections: int = 8) -> None:
        # requests finds the proxy, the certificates and the connections; the request then goes over them directly.
        # A Session follows redirects (and drops only Authorization on one, so X-Api-Key would travel along), keeps
        # cookies, and reads .netrc and the environment at each call; its Request and Response cost as much as the
        # rest of the exchange.
        self._adapter = BoundedAdapter(pool_connections=_HOSTS, pool_maxsize=connections, max_retries=0)
        self._routes: dict[str, _Route] = {}
        self._lock = threading.Lock()
        self._environment: dict[str, Any] | None = None
        self._busy = 0
        self._closed = False
        self._last_used = monotonic()

    def send(self, request: HttpRequest, /) -> HttpResponse:
        """Send *request*. Raises `NotSent` or `MaybeSent`, without the request in them."""
        most = MOST_BYTES_READ if request.method == "GET" else MOST_BYTES
        bounds = Bounds(monotonic() + request.timeout, most)
        failure: TransportError
        self._begin()
        try:
            with bounded(bounds):
                return self._exchange(request, bounds.deadline, most)
        except Exception as error:  # noqa: BLE001 - handed on in words of ours: its text and frames may hold the key
            failure = _failure(error, sent=bounds.sent)
        finally:
            self._end()
        # Raised out here, so that the original, which holds the headers and so the key, is not its context.
        raise failure

    def close(self) -> None:
        """Close the connections; those in use when their request has ended."""
        with self._lock:
            self._closed = True
            self._close_connections()

    def _exchange(self, request: HttpRequest, deadline: float, most: int) -> HttpResponse:
        origin = "/".join(request.url.split("/", 3)[:3])
        pool, prefix = self._routes.get(origin) or self._route(origin)
        response = pool.urlopen(
            request.method,
            prefix + (request.url[len(origin) :] or "/"),
            request.body,
            dict(request.headers),
            _ONCE,
            redirect=False,
            assert_same_host=False,
            timeout=_timeout(request.timeout),
            preload_content=False,
            decode_content=False,
        )
        try:
            return HttpResponse(response.status, response.headers, _body(response, deadline, most))
        finally:
            response.close()

    def _route(self, origin: str) -> _Route:
        """The way to *origin*, by the proxies and the certificates of the environment."""
        with self._lock:
            if self._environment is None:
                with requests.Session() as session:
                    found = session.merge_environment_settings(origin, {}, None, None, None)
                self._environment = {name: found[name] for name in ("proxies", "verify", "cert")}
            # A proxy has another idea of what 127.0.0.1 is, and would get the key in clear.
            environment = {**self._environment, **({"proxies": {}} if is_loopback(origin) else {})}
            if len(self._routes) >= _HOSTS:  # the adapter closes those of the others
                self._routes.clear()
            route = self._routes[origin] = _Route(
                self._adapter.pool_for(f"{origin}/", **environment),
                self._adapter.target_of(f"{origin}/", environment["proxies"])[:-1],
            )
            return route

    def _begin(self) -> None:
        with self._lock:
            if not self._busy and monotonic() - self._last_used > _IDLE:
                self._close_connections()  # others are opened
            self._busy += 1

    def _end(self) -> None:
        with self._lock:
            self._busy -= 1
            self._last_used = monotonic()
            if self._closed and not self._busy:
                self._close_connections()

    def _close_connections(self) -> None:
        self._routes.clear()
        self._adapter.close()  # also those to a proxy


@lru_cache(maxsize=8)
def _timeout(seconds: float) -> Timeout:
    return Timeout(total=seconds)  # urllib3 counts on a clone of it


def _body(response: Any, deadline: float, most: int) -> bytes:
    """What was answered, as far as it can be read: the status decides, not the body."""
    body = bytearray()
    # read1 answers what is there; read waits for all it was asked for, however slowly that drips.
    # urllib3 has it since 2.2.
    read = getattr(response, "read1", response.read)
    try:
        if response.length_remaining is not None and response.length_remaining <= _CHUNK:
            return bytes(response.read(decode_content=True)[:most])
        while len(body) < most and monotonic() < deadline and (chunk := read(_CHUNK, decode_content=True)):
            body += chunk
    except (HTTPError, OSError, ValueError):
        return b""
    return bytes(body[:most])


def _failure(error: Exception, *, sent: bool) -> TransportError:
    """What went wrong, as one of ours: a name and a reason, never the request.

    *sent*: something of the request was written, so that it may have been processed.
    """
    failed = MaybeSent if sent else NotSent
    cause = error.args[-1] if error.args else None
    late = isinstance(cause, (TimeoutError, ConnectTimeoutError)) and not isinstance(cause, NewConnectionError)
    match error:
        case ProxyError():
            text = "the proxy did not connect in time" if late else "the proxy refused the connection"
            return failed(text, timed_out=late)
        case NewConnectionError():  # before its base: it is a ConnectTimeoutError, too
            unresolved = isinstance(error.__context__, socket.gaierror)  # urllib3 2 has a class of its own for it
            return failed("the host name could not be resolved" if unresolved else "the connection was refused")
        case ConnectTimeoutError():
            return failed("connecting timed out", timed_out=True)
        case ReadTimeoutError() if sent:
            return failed("no answer in time", timed_out=True)
        case ReadTimeoutError():
            proxied = getattr(error.pool, "proxy", None) is not None
            text = "the proxy did not connect in time" if proxied else "the TLS handshake took too long"
            return failed(text, timed_out=True)
        case SSLError() if not sent:
            return failed("the server's certificate or TLS could not be trusted")
        case ProtocolError() if late:
            text = "the request could not be sent in time" if sent else "connecting timed out"
            return failed(text, timed_out=True)
        case ProtocolError() | SSLError():
            return failed("the connection broke")
        case OSError() if not sent:  # urllib3 wraps the network's own
            return failed("the certificates could not be read: check REQUESTS_CA_BUNDLE")
    return failed(type(error).__name__)
