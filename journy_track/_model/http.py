"""The interface to the network: a request, a response, and the client that exchanges them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request. *timeout* is the seconds for all of it. The repr omits headers, which hold the API key."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    timeout: float


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An HTTP response of any status. *headers*: names may be in any case. *body*: the decompressed content."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@runtime_checkable
class HttpClient(Protocol):
    """Sends requests. Implement your own to use another HTTP library or a proxy, or for tests."""

    def send(self, request: HttpRequest, /) -> HttpResponse:
        """Send *request* and return the response, whatever its status. Redirects are not followed.

        Called from several threads. Raises `NotSent` if the request was certainly not processed, and `MaybeSent` if
        it may have been; any other exception counts as `MaybeSent`.
        """

    def close(self) -> None:
        """Close the connections."""
