"""Who may ask: only programs that call this machine by its own name."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from journy_track.inspector.answers import message_body

# With underscores: services of docker compose have them.
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?", re.IGNORECASE)


class HostGuard:
    """Answers only to names of this machine.

    A page of a hostile site can point its own name at 127.0.0.1 (DNS rebinding), and would then be
    allowed by the browser to read what arrived here. Its name stays in the `Host` header.
    """

    def __init__(self, app: ASGIApp, allowed: Collection[str]) -> None:
        self._app, self._allowed = app, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host = headers_of(scope).get("host", "")
            if not (is_loopback(name := host_name(host)) or name in self._allowed):
                sentence = f"The inspector answers only to names of this machine, not to {host!r}."
                refusal = JSONResponse(message_body(403, sentence, ""), 403)
                return await refusal(scope, receive, send)
        return await self._app(scope, receive, send)


def checked_names(names: Collection[str]) -> frozenset[str]:
    """Names of hosts, as they are compared. Raises ValueError for what is none: it would never be asked for."""
    for name in names:
        if not (_NAME.fullmatch(name) or _is_address(name)):
            raise ValueError(f"{name!r} is no name of a host: say it as in inspector or 192.0.2.1, without the rest.")
    return frozenset(name.lower() for name in names)


def host_name(host: str) -> str:
    """The name in a `Host` header: without its port, without the brackets of IPv6, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def is_loopback(name: str) -> bool:
    """Whether this name or address can only be this machine."""
    return name == "localhost" or (_is_address(name) and ipaddress.ip_address(name).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers by their names in lower case, repeated ones joined as HTTP says."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
