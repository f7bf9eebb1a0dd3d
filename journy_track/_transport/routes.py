"""Determines the proxy and certificates for a host, and opens connections to it within the request's deadline."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_auth_from_url, prepend_scheme_if_needed, select_proxy
from urllib3.util import connection as urllib3_connection

from journy_track._model.clock import monotonic
from journy_track._model.config import is_loopback
from journy_track._model.errors import NotSent
from journy_track._model.forks import importing
from journy_track._model.http import HttpRequest
from journy_track._model.secret import Secret
from journy_track._transport.concealing import bytes_of
from journy_track._transport.connecting import Endpoint
from journy_track._transport.connection import BoundedReader, BoundedResponse, HttpConnection
from journy_track._transport.deadline import Bounds

#: The default port of each scheme of a host or proxy.
_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}
#: Send small packets immediately.
_OPTIONS: list[tuple[int, int, int | bytes]] = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]


class Proxy(NamedTuple):
    """A proxy from the environment. *authorization* is the value of the header; *url* is the URL as given."""

    scheme: str
    host: str
    port: int
    authorization: Secret | None
    url: Secret

    @property
    def is_socks(self) -> bool:
        return self.scheme.startswith("socks")


class Route:
    """How to reach *origin*, a URL without a path. Raises `NotSent` if the URL or the environment is invalid."""

    def __init__(self, origin: str) -> None:
        parts = urlsplit(_valid(f"{origin}/"))
        with requests.Session() as session:
            environment = session.merge_environment_settings(origin, {}, None, None, None)
        # To a proxy, 127.0.0.1 is a different machine, and the proxy would get the key in clear text.
        proxy = None if is_loopback(origin) else select_proxy(f"{origin}/", environment["proxies"])
        self._proxy = None if proxy is None else _proxy_at(proxy)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        needs_tls = self._secure or (self._proxy is not None and self._proxy.scheme == "https")
        self._tls = _tls(environment["verify"]) if needs_tls else None
        forwards = self._proxy is not None and not self._proxy.is_socks and not self._secure
        #: What precedes the path in the request line: a forwarding proxy needs the whole URL.
        self.prefix = origin if forwards else ""
        #: The credentials that a forwarding proxy requires in each request.
        self.proxy_authorization = self._proxy.authorization if self._proxy is not None and forwards else None
        self.host_header = parts.netloc.rpartition("@")[2]

    def open(self, bounds: Bounds) -> HttpConnection:
        """Open a connection that is ready for a request. Raises `NotSent` if that fails."""
        proxied = self._proxy is not None
        with _explained(proxied=proxied):
            sock = self._connected(bounds)
        if self._secure:
            with _explained(proxied=proxied, handshake=True):
                sock = self._secured(sock, self._host, bounds)
        return HttpConnection(sock)

    def _connected(self, bounds: Bounds) -> Any:
        if self._proxy is None:
            return _connected(self._host, self._port, bounds)
        if self._proxy.is_socks:
            return _through_socks(self._proxy, self._host, self._port, bounds)
        return self._through_http(self._proxy, bounds)

    def _through_http(self, proxy: Proxy, bounds: Bounds) -> Any:
        sock: Any = _connected(proxy.host, proxy.port, bounds)
        if proxy.scheme == "https":
            sock = self._secured(sock, proxy.host, bounds)
        if self._secure:
            with _closed_on_error(sock):
                _tunnel(sock, f"{_in_url(self._host)}:{self._port}", proxy.authorization, bounds)
        return sock

    def _secured(self, sock: Any, host: str, bounds: Bounds) -> Any:
        """Return *sock* wrapped in TLS, after the handshake."""
        assert self._tls is not None
        within = isinstance(sock, ssl.SSLSocket)  # the proxy itself is reached over TLS
        sock = _OneTimeout(sock) if within else sock
        with _closed_on_error(sock):
            sock.settimeout(bounds.seconds_left())  # for the handshake
            if not within:
                return self._tls.wrap_socket(sock, server_hostname=host)
            with importing:
                from urllib3.util.ssltransport import SSLTransport
            return SSLTransport(sock, self._tls, host)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _valid(url: str) -> str:
    request = requests.PreparedRequest()
    try:
        request.prepare_url(url, None)
    except (RequestException, ValueError):
        request.url = None
    if request.url is None or urlsplit(request.url).scheme not in ("http", "https"):
        raise NotSent("the URL has no valid host name")
    return request.url


def _proxy_at(url: str) -> Proxy:
    """Parse the URL of a proxy. Raises `NotSent` if it cannot be used."""
    try:
        url = str(prepend_scheme_if_needed(url, "http"))  # type: ignore[no-untyped-call]
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
        authorization = HTTPAdapter().proxy_headers(url).get("Proxy-Authorization")
    except ValueError:
        scheme, host, port, authorization = "", None, None, None
    if scheme not in _PORTS or not host:
        raise NotSent("the proxy of the environment has a URL that cannot be used")
    return Proxy(scheme, host, port or _PORTS[scheme], Secret(authorization) if authorization else None, Secret(url))


def _tls(verify: bool | str | None) -> ssl.SSLContext:
    """Return the TLS context. *verify* is a file or folder of trusted certificates; by default, those of requests."""
    place = verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
    try:
        folder = Path(place).is_dir()
        context = ssl.create_default_context(cafile=None if folder else place, capath=place if folder else None)
    except OSError:
        raise NotSent("the certificates could not be read: check REQUESTS_CA_BUNDLE") from None
    context.hostname_checks_common_name = False  # like browsers and urllib3: only a certificate's alternative names
    context.set_alpn_protocols(["http/1.1"])
    return context


def _connected(host: str, port: int, bounds: Bounds) -> socket.socket:
    if urllib3_connection.create_connection.__module__ != urllib3_connection.__name__:
        # The app has replaced the function, for example to choose addresses itself.
        return urllib3_connection.create_connection((host, port), bounds.seconds_left(), socket_options=_OPTIONS)
    return Endpoint(host, port, options=_OPTIONS).connect(bounds.seconds_left)


def _through_socks(proxy: Proxy, host: str, port: int, bounds: Bounds) -> Any:
    try:
        with importing:
            socks = import_module("socks")
    except ImportError:
        raise NotSent("the SOCKS proxy of the environment needs PySocks: pip install 'requests[socks]'") from None
    kind = socks.PROXY_TYPE_SOCKS4 if proxy.scheme.startswith("socks4") else socks.PROXY_TYPE_SOCKS5
    resolves_names = proxy.scheme in ("socks4a", "socks5h")

    base: Any = socks.socksocket

    class Negotiating(base):  # type: ignore[misc]  # it has no types
        def makefile(self, mode: str, *arguments: Any) -> Any:
            """Return the reader for the proxy's response. PySocks' own would restart the timeout with each byte."""
            return BoundedReader(self, bounds) if mode == "rb" else super().makefile(mode, *arguments)

    failure: Exception = socket.gaierror(f"{proxy.host} has no address")
    for family, _, protocol, _, _ in socket.getaddrinfo(proxy.host, proxy.port, 0, socket.SOCK_STREAM):
        sock = Negotiating(family, socket.SOCK_STREAM, protocol)
        try:
            with _closed_on_error(sock):
                for option in _OPTIONS:
                    sock.setsockopt(*option)
                login = (part or None for part in get_auth_from_url(proxy.url.reveal()))
                sock.set_proxy(kind, proxy.host, proxy.port, resolves_names, *login)
                sock.settimeout(bounds.seconds_left())
                sock.connect((host, port))
                return sock
        except (OSError, socks.ProxyError) as error:
            failure = error
    if isinstance(getattr(failure, "socket_err", None), TimeoutError):
        raise TimeoutError
    raise failure


class _OneTimeout:
    """A socket below TLS whose timeout runs from when it is set, as TLS may read from it many times per read."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._deadline = 0.0

    def settimeout(self, seconds: float) -> None:
        self._deadline = monotonic() + seconds
        self._sock.settimeout(seconds)

    def recv(self, size: int) -> bytes:
        left = self._deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        received: bytes = self._sock.recv(size)
        return received

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def _tunnel(sock: Any, target: str, authorization: Secret | None, bounds: Bounds) -> None:
    """Make a proxy connect *sock* to *target*. Raises `OSError` or `HTTPException` if it does not."""
    request = HttpRequest("CONNECT", target, {}, None, 0.0)
    sock.settimeout(bounds.seconds_left())
    sock.sendall(bytes_of(request, target, target, authorization))
    response = BoundedResponse(sock, bounds, request.method)
    try:
        response.begin()
        if not 200 <= response.status < 300:
            raise ConnectionRefusedError(response.status)
    finally:
        response.close()


@contextmanager
def _explained(*, proxied: bool, handshake: bool = False) -> Iterator[None]:
    """Raise errors while connecting as `NotSent`, with our own messages."""
    try:
        yield
    except TimeoutError:
        late = "the TLS handshake took too long" if handshake else "connecting timed out"
        raise NotSent("the proxy did not connect in time" if proxied else late, timed_out=True) from None
    except (ssl.SSLError, ssl.CertificateError):
        raise NotSent("the server's certificate or TLS could not be trusted") from None
    except (OSError, HTTPException) as error:
        if handshake:
            raise NotSent("the connection broke") from None
        if proxied:
            raise NotSent("the proxy refused the connection") from None
        unresolved = isinstance(error, socket.gaierror)
        raise NotSent("the host name could not be resolved" if unresolved else "the connection was refused") from None


@contextmanager
def _closed_on_error(sock: Any) -> Iterator[None]:
    try:
        yield
    except BaseException:
        sock.close()
        raise
