"""Access control: only requests under a name of this machine, and from no web page except the inspector's own."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from journy_track.inspector.answers import message_body

# Underscores are allowed, because docker compose services use them.
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?", re.IGNORECASE)
_HOST = re.compile(r"(\[(?P<in_brackets>[^\[\]@/]*)\]|(?P<plain>[^:@/\[\]]*))(:[0-9]*)?")


class HostGuard:
    """Accepts requests only under names of this machine, and not from pages of other sites.

    A hostile site can point its own name at 127.0.0.1 (DNS rebinding); the browser would then allow its page to read
    what the inspector recorded. The site's name remains in the `Host` header, which is checked here.

    Even without DNS rebinding, a page of another site can send requests, although it cannot read the responses. They
    would be listed among the app's requests, and use up faults that are planned for the app.
    """

    def __init__(self, app: ASGIApp, allowed: Collection[str]) -> None:
        self._app, self._allowed = app, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = headers_of(scope)
            host, sentence, status = headers.get("host", ""), None, 403
            if not (is_loopback(name := host_name(host)) or name in self._allowed):
                sentence = (
                    f"The inspector accepts requests only under names of this machine, not {host!r}. "
                    "Allow that name with --allow-host or allowed_hosts=."
                )
                status = 421  # not 403, which an app would interpret as a refused key
            elif is_of_another_site(headers, scope["method"], scope["path"]):
                sentence = "The inspector does not accept requests of other sites' web pages."
            if sentence is not None:
                return await JSONResponse(message_body(status, sentence, ""), status)(scope, receive, send)
        return await self._app(scope, receive, send)


def checked_names(names: Collection[str]) -> frozenset[str]:
    """Host names, normalised for comparison. Raises ValueError for an invalid one, which no request could match."""
    for name in names:
        if not (_NAME.fullmatch(name) or _is_address(name)):
            raise ValueError(
                f"{name!r} is not a host name: pass only the name or address, as in inspector or 192.0.2.1."
            )
    return frozenset(name.lower() for name in names)


def is_of_another_site(headers: Mapping[str, str], method: str, path: str) -> bool:
    """Whether a browser sent this from a page of another site. Following a link to the inspector's page is allowed.

    `Sec-Fetch-Site` shows where a request comes from. Browsers omit it for plain HTTP to names other than those of
    this machine, but still send `Origin` with a POST.
    """
    if method == "GET" and path == "/" and headers.get("sec-fetch-mode") == "navigate":
        return False
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    # Endpoints under /__inspector change nothing without a header that other sites' pages cannot send.
    origin = headers.get("origin")
    return origin is not None and not path.startswith("/__inspector/") and origin != f"http://{headers.get('host')}"


def host_name(host: str) -> str:
    """The name in a `Host` header, in lower case, without port and brackets; empty if the header is invalid."""
    found = _HOST.fullmatch(host)
    return (found["in_brackets"] or found["plain"] or "").lower() if found else ""


def is_loopback(name: str) -> bool:
    """Whether this name or address always refers to this machine."""
    return name == "localhost" or (_is_address(name) and ipaddress.ip_address(name).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers by lower-case name. Repeated headers are joined with a comma, as HTTP defines."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
