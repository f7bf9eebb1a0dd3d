"""aiohttp's server: who acts, for each request and websocket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from journy_track._capture.carrier import HEADER
from journy_track._capture.routes import look_at
from journy_track.integrations._plain import PlainRequest
from journy_track.integrations._requests import COOKIE, Callback, Callbacks, device_in
from journy_track.integrations._trust import Trust, trusted

__all__ = ["JournyMiddleware"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class JournyMiddleware:
    """A scope for each request and each websocket of an aiohttp application.

        app = web.Application(middlewares=[JournyMiddleware(user=lambda request: request["user"])])

    It goes behind the middlewares that sign users in. *user*, *account* and *metadata* get aiohttp's request and
    return an ID (or `UserIdentified`, `AccountIdentified`), `None` for none, or a mapping. They are called when an
    event needs them, and not again once somebody was found: where the user changes within a request, call
    `set_user()`. Events wait for async ones until the handler returns. *skip* is called as they are, and before them:
    where it returns true, nothing of that request is tracked, but for deletes and removals; see
    `journy_track.suppressed()`. *trust* says whether the request comes from a service of yours, whose `propagate_to`
    has said who acts: a function, called as the others are, or `"signed"`, where both have the same `carrier_secret`.
    What the others return wins. *link_devices*: link the `__journey` cookie's device to that user, once for each
    device and user in this process. Raises `ConfigurationError` for what is not a function.

    What a handler writes to a `StreamResponse`, or sends over a websocket, is in the request's scope. An async
    iterator that is the body of a `Response` is not: aiohttp reads it when the handler has returned.
    """

    #: aiohttp's mark of a middleware that takes a request and a handler.
    __middleware_version__: Final = 1

    def __init__(
        self,
        *,
        user: Callback | None = None,
        account: Callback | None = None,
        metadata: Callback | None = None,
        skip: Callback | None = None,
        trust: Trust = None,
        link_devices: bool = False,
    ) -> None:
        self._callbacks = Callbacks(
            user, account, metadata, skip=skip, carried=trusted(trust, _carrier_of), link_devices=link_devices
        )
        self._looked = False

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """What aiohttp calls for each request."""
        if not self._looked:
            self._looked = True
            look_at(request.app)
        callbacks = self._callbacks
        device = device_in(request.cookies.get(COOKIE)) if callbacks.link_devices else None
        return await PlainRequest(callbacks, request, device).serve(handler(request))


def _carrier_of(request: web.Request) -> str | None:
    return request.headers.get(HEADER)
