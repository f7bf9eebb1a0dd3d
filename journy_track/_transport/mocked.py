"""Sends requests while another library replaces requests, urllib3 or sockets, as HTTP mocks in tests do.

A test that mocks journy.io expects our requests to reach the mock. They are therefore sent through requests itself,
which all of these libraries support. The timeout then applies to each read and write separately.
"""

from __future__ import annotations

import socket
import sys
from contextlib import closing
from typing import Any

import requests
from requests import Session
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectionError as Unconnected
from requests.exceptions import ConnectTimeout, ProxyError, RequestException, SSLError, Timeout
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NewConnectionError

from journy_track._model.config import is_loopback
from journy_track._model.errors import MaybeSent, NotSent, TransportError
from journy_track._model.http import HttpRequest, HttpResponse
from journy_track._model.identity import is_mock
from journy_track._model.refusing import Forbidden
from journy_track._transport.outside import interruption
from journy_track._transport.unpacking import body_of

#: Packages that replace methods of requests and urllib3. By default, all but the last let no request through.
_OF_METHODS = frozenset({"responses", "requests_mock", "pook", "unittest", "vcr"})
_OF_SOCKETS = frozenset({"httpretty", "mocket"})
#: The exceptions they raise for a request without a mock, by name, as none of these packages is imported here.
_UNKNOWN = frozenset({"NoMockAddress", "PookNoMatches", "CannotOverwriteExistingCassetteException", "UnmockedError"})


def active_mock() -> str | None:
    """Return the package that currently replaces a part of requests, urllib3 or sockets; `None` if there is none.

    Other packages that replace the same methods, such as tracers, do not get our requests and cannot add headers.
    """
    for part in (*_parts(HTTPConnectionPool), HTTPSConnectionPool.ConnectionCls):
        if (package := str(part.__module__).partition(".")[0]) in _OF_METHODS:
            return package
    package = str(socket.socket.__module__).partition(".")[0]
    return package if package in _OF_SOCKETS else None


def _parts(pool: type[HTTPConnectionPool]) -> tuple[Any, ...]:
    """Return the functions and classes that each request through *pool* uses, and that mocks replace."""
    return HTTPAdapter.send, Session.send, Session.get_adapter, pool.urlopen, pool.ConnectionCls


def keeps_inside(package: str, url: str) -> bool:
    """Whether *package* responds to or refuses a request to *url* itself, so that it does not reach the network."""
    if package == "vcr":  # a write-protected cassette is only replayed
        cassette = getattr(HTTPSConnectionPool.ConnectionCls, "cassette", None)
        return getattr(cassette, "write_protected", None) is True
    if package == "httpretty":
        return not _httpretty().httpretty.allow_net_connect or _is_mocked_by_httpretty(url)
    if package == "unittest":
        parts = _parts(HTTPSConnectionPool if url.startswith("https:") else HTTPConnectionPool)
        return any(is_mock(type(part)) and not _is_spy(part) for part in parts)
    return package in _OF_METHODS


def _is_spy(mock: Any) -> bool:
    """Whether *mock* calls what it replaces."""
    what = mock.side_effect or vars(mock).get("_mock_wraps")
    return str(getattr(what, "__module__", None)).partition(".")[0] in ("requests", "urllib3")


def _httpretty() -> Any:
    return sys.modules["httpretty.core"]


def _is_mocked_by_httpretty(url: str) -> bool:
    core = _httpretty()
    return core.httpretty.match_uriinfo(core.URIInfo.from_uri(url, None))[0] is not None


def send_through(package: str, request: HttpRequest, deadline: float, limit: int) -> HttpResponse:
    """Send *request* through requests, and so through *package*. Raises a `TransportError` that omits the request.

    An exception that is unrelated to the request is raised unchanged.
    """
    failure: TransportError
    try:
        return _sent(request, deadline, limit)
    except Exception as error:  # noqa: BLE001 - handed on in words of ours: its text may hold the request
        if _is_unknown(error):
            failure = Forbidden(_why_unknown(package, request))
        elif (cause := interruption(error, HTTPError, RequestException)) is not None:
            raise cause from None
        else:
            failure = _failure(error)
    raise failure


def _sent(request: HttpRequest, deadline: float, limit: int) -> HttpResponse:
    # Prepared without the session, which would add cookies and the password from a .netrc.
    prepared = requests.Request(request.method, request.url, dict(request.headers), data=request.body).prepare()
    with Session() as session:
        session.trust_env = not is_loopback(request.url)
        settings = session.merge_environment_settings(request.url, {}, True, None, None)
        response = session.send(prepared, timeout=request.timeout, allow_redirects=False, **settings)
        if response.raw is None:  # a response that a test created by hand
            return HttpResponse(response.status_code, response.headers, response.content[:limit])
        with closing(response):
            chunks = response.iter_content(16 * 1024)
            body = body_of(lambda _: next(chunks, b""), None, deadline, limit)
            return HttpResponse(response.status_code, response.headers, body)


def _is_unknown(error: Exception) -> bool:
    return type(error).__name__ in _UNKNOWN or str(error).startswith("Connection refused by Responses")


def _why_unknown(package: str, request: HttpRequest) -> str:
    url = request.url.partition("?")[0]
    if package == "httpretty" and _is_mocked_by_httpretty(url):  # urllib3 2 needs more than its sockets support
        return (
            "httpretty fails with allow_net_connect=False and this urllib3: leave it out, or use journy_track.testing"
        )
    asked = f"{request.method} {url}"
    return f"{package} replaces the network and has no mock of {asked}: add one, or use journy_track.testing"


def _failure(error: Exception) -> TransportError:
    timed_out = isinstance(error, (Timeout, TimeoutError))
    if isinstance(error, (ConnectTimeout, ProxyError, SSLError)) or isinstance(_reason(error), NewConnectionError):
        return NotSent("connecting timed out" if timed_out else "the connection was refused", timed_out=timed_out)
    if timed_out:
        return MaybeSent("no response in time", timed_out=True)
    return MaybeSent("the connection broke" if isinstance(error, Unconnected) else type(error).__name__)


def _reason(error: Exception) -> object:
    """Return the urllib3 error inside an error of requests."""
    return getattr(error.args[0] if error.args else None, "reason", None)
