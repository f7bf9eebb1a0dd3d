"""Pushes what arrives to the page immediately, as server-sent events."""

from __future__ import annotations

import asyncio
import json

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from journy_track.inspector.api import hung_up
from journy_track.inspector.assets import HEADERS
from journy_track.inspector.reading import news, number_of, whole
from journy_track.inspector.state import InspectorState

PAUSE = 0.1  # seconds between two messages, so that a burst becomes a few messages, not thousands
HEARTBEAT = 15.0  # seconds; a proxy would close an idle connection
MAX_REQUESTS = 500  # requests in one message


class RequestStream:
    """Streams every request after the one that the page names, for as long as the page is open.

    A page that reconnects continues after the ID of the last message that it received. If the inspector was reset or
    restarted in between, the page receives everything from the beginning.
    """

    def __init__(self, state: InspectorState) -> None:
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        run, number, told = (*request.headers.get("last-event-id", "").split(":"), "", "", "")[:3]
        run = run or request.query_params.get("run", "")
        after = whole(number, default=number_of(request, "after"))
        reported = whole(told, default=number_of(request, "reported"))
        headers = HEADERS | {"Content-Type": "text/event-stream"}
        raw_headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw_headers})
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        gone = asyncio.create_task(hung_up(receive))

        def wake() -> None:
            # Called from the thread that made the change.
            loop.call_soon_threadsafe(changed.set)

        self._state.listen(wake)
        try:
            while not gone.done():
                changed.clear()
                run, after, reported, message, complete = self._message(run, after, reported)
                await send({"type": "http.response.body", "body": message, "more_body": True})
                if complete:
                    await _first(gone, changed.wait(), HEARTBEAT)
                await _first(gone, asyncio.sleep(PAUSE), None)
        finally:
            self._state.unlisten(wake)
            gone.cancel()

    def _message(self, run: str, after: int, reported: int) -> tuple[str, int, int, bytes, bool]:
        content = news(self._state, run, after, MAX_REQUESTS, reported)
        listed = content["requests"]
        last = listed[-1]["number"] if listed else after if content["run"] == run else 0
        text = json.dumps(content, separators=(",", ":"))  # ASCII, so that it contains no line break of any kind
        reported = content["reported"]
        message = f"id: {content['run']}:{last}:{reported}\ndata: {text}\n\n".encode("ascii")
        return content["run"], last, reported, message, not listed or last == content["counts"]["requests"]


async def _first(gone: asyncio.Task[None], other: object, timeout: float | None) -> None:
    """Wait until the page disconnects or *other* completes, for at most `timeout` seconds."""
    waiting = asyncio.ensure_future(other)  # type: ignore[call-overload]
    try:
        await asyncio.wait({gone, waiting}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
