"""A deadline for the whole of a request: the timeouts of requests and urllib3 hold for each read."""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool

from journy_track._model.clock import monotonic

#: Bytes that status line and headers may have, on top of the body's.
MOST_HEAD = 64 * 1024
#: Bytes that are sent between two looks at the clock. A record of TLS.
_RECORD = 16 * 1024


class Bounds:
    """What one request may still take: time until *deadline*, and so many bytes of answer; and how far it came."""

    __slots__ = ("bytes_left", "deadline", "sent")

    def __init__(self, deadline: float, most_bytes: int) -> None:
        self.deadline = deadline
        self.bytes_left = most_bytes + MOST_HEAD
        #: Whether anything of the request itself was written to a connection: then it may have been processed.
        self.sent = False

    def seconds_left(self) -> float:
        """Seconds until the deadline. Raises `TimeoutError` when it has come."""
        left = self.deadline - monotonic()
        if left <= 0:
            raise TimeoutError("the time of the request is over")
        return left


# Not an attribute of the adapter or the connection: requests reaches neither, and a greenlet has a context.
_bounds: ContextVar[Bounds | None] = ContextVar("journy_track_request_bounds", default=None)


@contextmanager
def bounded(bounds: Bounds) -> Iterator[None]:
    """What is sent and read in this block, over `BoundedAdapter`, keeps to *bounds*."""
    token = _bounds.set(bounds)
    try:
        yield
    finally:
        _bounds.reset(token)


class BoundedAdapter(HTTPAdapter):
    """requests' adapter, on connections that keep to the bounds, also those to a proxy."""

    def init_poolmanager(self, *arguments: Any, **settings: Any) -> None:
        super().init_poolmanager(*arguments, **settings)
        _bound(self.poolmanager)

    def proxy_manager_for(self, *arguments: Any, **settings: Any) -> Any:
        return _bound(super().proxy_manager_for(*arguments, **settings))

    def pool_for(self, url: str, *, proxies: Any, verify: Any, cert: Any) -> HTTPConnectionPool:
        """The connections over which *url* is reached."""
        request = _bare_request(url)
        if hasattr(self, "get_connection_with_tls_context"):
            pool: Any = self.get_connection_with_tls_context(request, verify, proxies, cert)
        else:  # requests before 2.32
            pool = self.get_connection(url, proxies)
        self.cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]
        found: HTTPConnectionPool = pool
        return found

    def target_of(self, url: str, proxies: Any) -> str:
        """What the request line says for *url*: its path, or all of it to a proxy that is to make the request."""
        return self.request_url(_bare_request(url), proxies)


def _bare_request(url: str) -> PreparedRequest:
    request = PreparedRequest()
    request.url = url
    return request


def _bound(manager: Any) -> Any:
    """*manager*, whose pools make connections that keep to the bounds."""
    manager.pool_classes_by_scheme = {
        scheme: pool
        if issubclass(pool.ConnectionCls, _Bounded)
        else type(pool.__name__, (pool,), {"ConnectionCls": _bounded_class(pool.ConnectionCls)})
        for scheme, pool in manager.pool_classes_by_scheme.items()
    }
    return manager


def _bounded_class(connection: type) -> type:
    return type(connection.__name__, (_Bounded, connection), {})


class _Response(http.client.HTTPResponse):
    """An answer that is read no longer, and no further, than the bounds say."""

    def __init__(self, sock: Any, *arguments: Any, **settings: Any) -> None:
        super().__init__(_Readable(sock), *arguments, **settings)  # type: ignore[arg-type]  # asks for makefile only


class _Bounded:
    """A connection of urllib3 that keeps to the bounds while it connects, sends and reads.

    What is small is held until the answer is asked for: head and body leave in one packet, and not in two.
    """

    response_class = _Response
    auto_open: int
    timeout: Any
    sock: Any
    connect: Callable[[], None]
    _held = b""
    _holds = True

    def _new_conn(self) -> socket.socket:
        bounds = _bounds.get()
        if bounds is not None:
            self.timeout = bounds.seconds_left()
        made: socket.socket = super()._new_conn()  # type: ignore[misc]
        if bounds is not None:
            try:
                made.settimeout(bounds.seconds_left())  # for the handshake
            except TimeoutError:
                made.close()
                raise
        return made

    def _tunnel(self) -> None:
        self._holds = False
        try:
            super()._tunnel()  # type: ignore[misc]
        finally:
            self._holds = True
            bounds = _bounds.get()
            if bounds is not None:
                bounds.sent = False  # that was for the proxy

    def send(self, data: Any) -> None:
        if self.sock is None and self.auto_open:
            self.connect()
        if isinstance(data, bytes) and self._holds:
            data = self._held + data if self._held else data
            self._held = b""
            if len(data) <= _RECORD:
                self._held = data
                return
        held, self._held = self._held, b""
        if held:
            self._send_now(held)
        self._send_now(data)

    def getresponse(self, *arguments: Any, **settings: Any) -> Any:
        held, self._held = self._held, b""
        if held:
            with suppress(BrokenPipeError):  # it may have answered before it hung up
                self._send_now(held)
        return super().getresponse(*arguments, **settings)  # type: ignore[misc]

    def close(self) -> None:
        self._held = b""
        super().close()  # type: ignore[misc]

    def _send_now(self, data: Any) -> None:
        bounds = _bounds.get()
        if bounds is None or not isinstance(data, bytes):
            if bounds is not None:
                bounds.sent = True
            super().send(data)  # type: ignore[misc]
            return
        bounds.sent = True
        for start in range(0, len(data), _RECORD):
            self.sock.settimeout(bounds.seconds_left())
            super().send(data[start : start + _RECORD])  # type: ignore[misc]


class _Readable:
    """A socket, as far as http.client asks for it to read an answer."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._sock))


class _Reader(io.RawIOBase):
    """Before each read the socket's timeout becomes what is left. Out of bytes, the answer has ended."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        # Keeps the socket open until we are closed. It is read directly: what is in between costs at each answer.
        self._file = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        bounds = _bounds.get()
        if bounds is None:
            count: int = self._sock.recv_into(buffer)
            return count
        left = bounds.bytes_left
        if left <= 0:
            return 0
        self._sock.settimeout(bounds.seconds_left())
        count = self._sock.recv_into(buffer if len(buffer) <= left else memoryview(buffer)[:left])
        bounds.bytes_left = left - count
        return count

    def close(self) -> None:
        if not self.closed:
            self._file.close()  # gives the socket back
        super().close()
