"""The inspector as an ASGI application: the page at `/`, its data under `/__inspector`, the API everywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from journy_track.inspector import assets, control, reading
from journy_track.inspector.answers import message_body
from journy_track.inspector.api import Api
from journy_track.inspector.assets import json_response
from journy_track.inspector.guard import HostGuard, checked_names
from journy_track.inspector.state import InspectorState
from journy_track.inspector.stream import RequestStream


def create_app(
    state: InspectorState | None = None,
    *,
    limit: int = 1800,
    window: float = 60.0,
    keep: int = 10_000,
    clock: Callable[[], float] = time.monotonic,
    allowed_hosts: Collection[str] = (),
) -> Starlette:
    """Create the ASGI application, to run in your own server.

    Each key may make `limit` requests per `window` seconds. The application keeps the newest `keep` requests, and as
    many events, users and accounts.
    `allowed_hosts` lists the names, without port, that are accepted in the `Host` header besides the loopback ones.
    Raises ValueError if one of them is not a host name.
    """
    state = state or InspectorState(limit=limit, window=window, keep=keep, clock=clock)
    return Starlette(
        routes=[
            Route("/", assets.file("index.html")),
            Mount(
                "/__inspector",
                routes=[
                    *assets.routes("/page"),
                    Route("/stream", RequestStream(state)),
                    *reading.routes(state),
                    *control.routes(state),
                ],
            ),
            Mount("/", app=Api(state)),
        ],
        middleware=[Middleware(HostGuard, allowed=checked_names(allowed_hosts))],
        exception_handlers={HTTPException: _refused},
    )


async def _refused(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, HTTPException)
    content = message_body(refused.status_code, f"{refused.detail}: {request.method} {request.url.path}", "")
    return json_response(content, refused.status_code, refused.headers)
