"""aiohttp's server: the user of each request and websocket."""

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
    """Run each request and websocket of an aiohttp application in its own scope.

        app = web.Application(middlewares=[JournyMiddleware(user=lambda request: request["user"])])

    List it after the middlewares that sign users in.

    - *user*, *account* and *metadata* are called with aiohttp's request. The first two return an ID (or a
      `UserIdentified` or `AccountIdentified`) or `None`; *metadata* returns a mapping or `None`. They are called when
      an event needs them, and not again once they have found somebody: if the user changes within a request, call
      `set_user()`. Events wait for async functions until the handler returns.
    - *link_devices* links the device in the `__journey` cookie to that user, once per device and user in each
      process.
    - *skip* gets the same argument and is called first. If it returns true, or raises, nothing in that request is
      tracked, except deletes and removals; see `journy_track.suppressed()`.
    - *trust* decides whether to believe the header that another of your services sends (see `propagate_to`): a
      function with the same argument, or `"signed"` if both services have the same `carrier_secret`. What the other
      functions return takes precedence.

    Raises `ConfigurationError` if one of them is not a function.

    What a handler writes to a `StreamResponse`, or sends over a websocket, is in the request's scope. An async
    iterator passed as the body of a `Response` is not: aiohttp reads it after the handler has returned.
    """

    #: Marks a middleware that takes a request and a handler, for aiohttp.
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
        """Handle a request. Called by aiohttp."""
        if not self._looked:
            self._looked = True
            look_at(request.app)
        callbacks = self._callbacks
        device = device_in(request.cookies.get(COOKIE)) if callbacks.link_devices else None
        return await PlainRequest(callbacks, request, device).serve(handler(request))


def _carrier_of(request: web.Request) -> str | None:
    return request.headers.get(HEADER)
