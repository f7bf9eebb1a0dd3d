"""The endpoints that the page reads: requests, users, accounts, the rate budget, and an export of everything."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from journy_track.inspector import copies
from journy_track.inspector.assets import HEADERS, json_response
from journy_track.inspector.forward import Forwarder
from journy_track.inspector.state import InspectorState
from journy_track.inspector.summaries import account_of, forwarded_of, full, report_of, summary, user_of
from journy_track.inspector.values import Received

MAX_LISTED = 1000  # requests in one response to the page, so that other clients do not wait long
MAX_LISTED_BYTES = 1_000_000  # of their bodies: a list parses all their messages again
EXPORTED_AT_ONCE = 200  # lines, for the same reason


def routes(state: InspectorState) -> list[Route]:
    """The read-only endpoints under `/__inspector`. They send no CORS header, so other sites cannot read them."""

    async def requests(request: Request) -> Response:
        most = min(number_of(request, "limit", 200), MAX_LISTED)
        return json_response(listing(state, number_of(request, "after"), number_of(request, "before"), most))

    async def one(request: Request) -> Response:
        received = state.find(whole(request.path_params["number"]))
        if received is None:
            raise HTTPException(404, "This request is no longer kept")
        base_url = f"{request.url.scheme}://{request.url.netloc}"
        copied = {"curl": copies.as_curl(received, base_url), "python": copies.as_python(received, base_url)}
        return json_response(full(received) | copied | {"item": summary(received)})

    async def users(request: Request) -> Response:
        after = number_of(request, "after")
        with state.changed:
            known = state.known.users(after)
            return json_response({**_now(state), "users": [user_of(user) for user in known]})

    async def accounts(request: Request) -> Response:
        after = number_of(request, "after")
        with state.changed:
            known = state.known.accounts(after)
            return json_response({**_now(state), "accounts": [account_of(account) for account in known]})

    async def budget(request: Request) -> Response:
        return json_response(state.budget())

    async def settings(request: Request) -> Response:
        forward = None if state.forwarder is None else state.forwarder.target
        return json_response(
            {
                "trace_url": state.trace_url,
                "forward": forward and {"to": forward.name, "key": forward.key},
                "catalogue": state.catalogue is not None,
            }
        )

    async def forwarded(request: Request) -> Response:
        if state.forwarder is None:
            raise HTTPException(404, "Nothing is sent on by this inspector")
        after = number_of(request, "after")
        with state.changed:
            settled = state.forwarder.newer(after)
            return json_response({**_now(state), "settled": [forwarded_of(one) for one in settled]})

    async def catalogue(request: Request) -> Response:
        if state.catalogue is None:
            raise HTTPException(404, "This inspector compares with no catalogue")
        try:
            committed = state.catalogue()
        except ValueError as error:
            return json_response({"problem": str(error)})
        with state.changed:
            seen = state.known.event_names()
        return json_response(
            {"file": committed.file, "names": committed.names, "is_whole": committed.is_whole, "seen": seen}
        )

    async def export(request: Request) -> Response:
        headers = HEADERS | {"Content-Disposition": 'attachment; filename="journy-inspector.jsonl"'}
        return StreamingResponse(_lines(state), headers=headers, media_type="application/x-ndjson")

    return [
        Route("/requests", requests),
        Route("/requests/{number}", one),
        Route("/users", users),
        Route("/accounts", accounts),
        Route("/budget", budget),
        Route("/settings", settings),
        Route("/forwarded", forwarded),
        Route("/catalogue", catalogue),
        Route("/export", export),
    ]


def listing(state: InspectorState, after: int, before: int, most: int) -> dict[str, Any]:
    """The newest `most` requests with numbers above `after` and below `before` (0: no limit), oldest first."""
    with state.changed:
        now, newest = _now(state, reports_after=None if before else 0), state.newest(after, before, most)
    listed = list(_within_bytes(reversed(newest)))[::-1]
    return {**now, "requests": [summary(received) for received in listed]}


def news(state: InspectorState, run: str, after: int, most: int, reported: int) -> dict[str, Any]:
    """The oldest `most` requests with numbers above `after`, and the reports with numbers above `reported`.

    If the inspector's run is not *run*, the one that the page knows, both start from the beginning.
    """
    with state.changed:
        after, reported = (after, reported) if state.run == run else (0, 0)
        now, oldest = _now(state, reports_after=reported), state.oldest(after, most)
    return {**now, "requests": [summary(received) for received in _within_bytes(oldest)]}


def _within_bytes(requests: Iterable[Received]) -> Iterator[Received]:
    """The first requests, as many as fit in one response by the size of their bodies; at least one."""
    total = 0
    for received in requests:
        if total and total + len(received.body) > MAX_LISTED_BYTES:
            return
        total += len(received.body)
        yield received


def number_of(request: Request, name: str, default: int = 0) -> int:
    """A number from the query string; *default* if it is missing or not a number."""
    return whole(request.query_params.get(name, ""), default)


def whole(text: str, default: int = 0) -> int:
    """Parse a whole number; *default* for anything else, and for more than 15 digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else default


def _now(state: InspectorState, reports_after: int | None = None) -> dict[str, Any]:
    counts = state.counts()
    reports = [] if reports_after is None else state.reports.newer(reports_after)
    return {
        "reported": state.reports.number,
        "reports": [report_of(report) for report in reports],
        "run": state.run,
        "keep": state.keep,
        "counts": {
            "requests": counts.requests,
            "items": state.items,
            "accepted": counts.accepted,
            "refused": counts.refused,
            "users": state.known.number_of_users,
            "accounts": state.known.number_of_accounts,
        },
        "faults": len(state.faults),
        "forwarded": None if state.forwarder is None else _progress(state.forwarder),
    }


def _progress(forwarder: Forwarder) -> dict[str, int]:
    return {
        "sequence": forwarder.sequence,
        "sent": forwarder.sent,
        "failed": forwarder.failed,
        "waiting": forwarder.waiting,
    }


async def _lines(state: InspectorState) -> AsyncIterator[bytes]:
    with state.changed:
        kept = list(state.requests)
    for start in range(0, len(kept), EXPORTED_AT_ONCE):
        yield b"".join(_line(received) for received in kept[start : start + EXPORTED_AT_ONCE])


def _line(received: Received) -> bytes:
    return json.dumps(full(received)).encode("ascii") + b"\n"
