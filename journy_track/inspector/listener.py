"""uvicorn, adapted to the inspector: it calls back once it listens, and stops without waiting for requests."""

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
    """A uvicorn server that calls back once it listens, and stops without waiting for open connections.

    It handles signals only in the main thread, so never when a program runs the inspector in another thread.
    """

    def __init__(self, app: Starlette, on_ready: Callable[[], object]) -> None:
        config = uvicorn.Config(
            app,
            http=CuttableConnection,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,  # logging is configured by the program that starts the inspector
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            # Longer than any pause in a test or a demo, so that a client's pooled connection stays usable.
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Otherwise uvicorn waits for a partially sent request and for a deliberately delayed response.
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await super().shutdown(sockets=sockets)


class CuttableConnection(H11Protocol):
    """A uvicorn connection that the application can cut."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        app = self.app

        async def with_abort(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[ABORT] = self.transport.abort
            await app(scope, receive, send)

        self.app = with_abort

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # asyncio sets TCP_NODELAY only on sockets created with an explicit protocol number, unlike this one.
        # Without it, the body waits for the caller to acknowledge the head: 40 ms for each response.
        with contextlib.suppress(OSError):  # the caller may have hung up already
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)
