"""The seam to the network: a request, a response, and the client that exchanges them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request. *timeout* is seconds for the whole of it. The headers hold the API key: not in repr."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    timeout: float


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What came back, whatever it is. *headers*: names may be in any case. *body*: as it was sent, unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@runtime_checkable
class HttpClient(Protocol):
    """Carries requests. Bring your own to use another HTTP library, a proxy, or a test."""

    def send(self, request: HttpRequest, /) -> HttpResponse:
        """Send *request* and return what came back, whatever its status. Redirects are not followed.

        Called from several threads. Raises `NotSent` when the request surely was not processed, `MaybeSent`
        when it may have been; anything else that is raised counts as `MaybeSent`.
        """

    def close(self) -> None:
        """Give back connections."""
