"""Every path that isn't the page's: one request in, one recorded answer out."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from journy_track.inspector.guard import headers_of
from journy_track.inspector.state import MAX_BODY, State
from journy_track.inspector.values import Call

# The server's own extension of ASGI, by which a connection is cut without an answer.
ABORT = "inspector.abort"


class Api:
    """The API as an ASGI application."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        received_at = datetime.now(UTC)
        body = await _body(receive)
        if body is None:
            return  # the caller hung up before its request was complete
        fault = self._state.next_fault()
        if fault is not None and fault.delay:
            await hung_up(receive, within=fault.delay)
        headers = headers_of(scope)
        call = Call(
            received_at,
            method=scope["method"],
            path=scope["path"],
            query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
            headers=headers,
            key=headers.get("x-api-key"),
            body=body,
        )
        answer = self._state.answer(call, fault, elapsed=lambda: time.perf_counter() - started)
        if answer.status == 0:
            await _abort(scope, receive)
        else:
            await Response(answer.body, answer.status, dict(answer.headers))(scope, receive, send)


async def hung_up(receive: Receive, within: float | None = None) -> None:
    """Wait until the caller has gone, or the server stops, at most `within` seconds."""
    try:
        async with asyncio.timeout(within):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        pass


async def _body(receive: Receive) -> bytes | None:
    """The whole body, and of a huge one only so much that it can be seen to be too large."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")[: MAX_BODY + 1 - len(body)]
        if not message.get("more_body", False):
            return bytes(body)


async def _abort(scope: Scope, receive: Receive) -> None:
    abort = scope.get("extensions", {}).get(ABORT)
    if abort is None:
        raise RuntimeError("Only the inspector's own server can drop a connection.")
    abort()
    await hung_up(receive)  # uvicorn would answer 500 for an app that returns before
