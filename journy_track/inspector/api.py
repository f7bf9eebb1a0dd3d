"""The API: handles and records every request whose path does not belong to the page."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from journy_track.inspector import batches
from journy_track.inspector.guard import headers_of
from journy_track.inspector.rules import MAX_BODY
from journy_track.inspector.state import InspectorState
from journy_track.inspector.values import IncomingRequest

# The server's own ASGI extension, which cuts a connection without a response.
ABORT = "inspector.abort"


class Api:
    """The API as an ASGI application."""

    def __init__(self, state: InspectorState) -> None:
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        received_at = datetime.now(UTC)
        body = await whole_body(receive)
        if body is None:
            return  # the caller hung up before its request was complete
        headers = headers_of(scope)
        call = IncomingRequest(
            received_at,
            method=scope["method"],
            path=scope["path"],
            query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
            headers=headers,
            key=headers.get("x-api-key"),
            body=body,
        )
        if call.path in batches.PATHS:
            call = batches.opened(call)
        fault = self._state.next_fault(call.body)
        if fault is not None and fault.delay:
            await hung_up(receive, within=fault.delay)
        answer = self._state.answer(call, fault, elapsed=lambda: time.perf_counter() - started)
        if answer.status == 0:
            await _abort(scope, receive)
        else:
            await Response(answer.body, answer.status, dict(answer.headers))(scope, receive, send)


async def hung_up(receive: Receive, within: float | None = None) -> None:
    """Wait until the caller hangs up or the server stops, for at most `within` seconds."""
    try:
        async with asyncio.timeout(within):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        pass


async def whole_body(receive: Receive) -> bytes | None:
    """The whole body, or enough of a huge one to tell that it is too large. None if the caller hung up."""
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
    await hung_up(receive)  # if the app returned earlier, uvicorn would respond with 500
