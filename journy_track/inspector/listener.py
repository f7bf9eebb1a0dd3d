"""uvicorn as the inspector needs it: it calls back when it listens, and ends at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from journy_track.inspector.api import ABORT


class Server(uvicorn.Server):
    """uvicorn that calls back when it listens, and waits for nobody when it stops.

    It takes signals in the main thread only, so never from a program that runs the inspector in a thread.
    """

    def __init__(self, app: Starlette, on_ready: Callable[[], object]) -> None:
        config = uvicorn.Config(
            app,
            http=CuttableConnection,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,  # logging belongs to the program that starts us
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            # Longer than any pause of a test or of a demo: a pooled connection isn't cut under its owner.
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Otherwise uvicorn waits for a request that is half sent, and for a response that is delayed on purpose.
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await super().shutdown(sockets=sockets)


class CuttableConnection(H11Protocol):
    """uvicorn's connection, which the application may cut."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        app = self.app

        async def with_abort(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[ABORT] = self.transport.abort
            await app(scope, receive, send)

        self.app = with_abort

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # asyncio does so only for sockets that were made with their protocol's number, which ours wasn't.
        # Without it the body waits for the caller's acknowledgement of the head: 40 ms for each response.
        with contextlib.suppress(OSError):  # the caller may have gone already
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)
