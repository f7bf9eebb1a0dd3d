"""The page's own files, and the headers that lock it down."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import PurePath
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def routes(prefix: str) -> list[Route]:
    """One route for each file of the page."""
    files = (resource.name for resource in resources.files(__package__).joinpath("page").iterdir())
    return [Route(f"{prefix}/{name}", file(name)) for name in sorted(files) if PurePath(name).suffix in MEDIA_TYPES]


def file(name: str) -> Callable[[Request], Any]:
    """An endpoint that returns this file."""
    # Read once, because FileResponse would start a thread pool that outlives the inspector.
    content = resources.files(__package__).joinpath("page", name).read_bytes()
    media_type = MEDIA_TYPES[PurePath(name).suffix]

    async def answer(request: Request) -> Response:
        return Response(content, media_type=media_type, headers=HEADERS)

    return answer


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response with the page's headers."""
    # In ASCII, because a lone surrogate is legal in JSON but cannot be encoded as UTF-8.
    body = json.dumps(content, separators=(",", ":")).encode("ascii")
    return Response(body, status, HEADERS | dict(headers or {}), media_type="application/json")
