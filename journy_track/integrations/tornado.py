"""Tornado: the user of each request and websocket of a handler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from journy_track._capture.carrier import HEADER
from journy_track.integrations._plain import PlainRequest
from journy_track.integrations._requests import COOKIE, Callbacks, device_in
from journy_track.integrations._trust import Trust, trusted

if TYPE_CHECKING:
    from tornado.web import RequestHandler as _Base
else:
    _Base = object

__all__ = ["JournyHandlerMixin"]

_NAMES = ("user", "account", "metadata", "skip")


class JournyHandlerMixin(_Base):
    """Run each request and websocket of a Tornado handler in its own scope.

        class Handler(JournyHandlerMixin, tornado.web.RequestHandler):
            def journy_user(self):
                return self.current_user

    List it as the first base class. Override any of these methods, which may be async:

    - `journy_user()` and `journy_account()` return an ID (or a `UserIdentified` or `AccountIdentified`) or `None`;
      `journy_metadata()` returns a mapping or `None`. They are called when an event needs them, and not again once
      they have found somebody: if the user changes within a request, call `set_user()`. Events wait for async methods
      until the handler is done.
    - `journy_skip()` is called first. If it returns true, or raises, nothing in that request is tracked, except
      deletes and removals; see `journy_track.suppressed()`.
    - `journy_trust()` decides whether to believe the header that another of your services sends (see
      `propagate_to`). Instead of a method, set ``journy_trust = "signed"`` if both services have the same
      `carrier_secret`. What the other methods return takes precedence.

    `journy_link_devices = True` links the device in the `__journey` cookie to that user, once per device and user in
    each process.

    Everything from `prepare()` to `on_finish()` runs in the request's scope, and so do a websocket's messages.
    Methods that Tornado calls while it reads a streamed request (`data_received()`) do not.
    """

    #: A method that decides whether a request comes from another of your services, or `"signed"`.
    journy_trust: ClassVar[Trust] = None
    #: Whether the device in the `__journey` cookie is linked to the user.
    journy_link_devices: ClassVar[bool] = False
    _journy_callbacks: ClassVar[Callbacks | None] = None

    def journy_user(self) -> Any:
        """Return the user: an ID, a `UserIdentified`, or `None`. By default, the user set in the request is used."""

    def journy_account(self) -> Any:
        """Return the account: an ID, an `AccountIdentified`, or `None`. By default, the one set in the request."""

    def journy_metadata(self) -> Any:
        """Return a mapping that is added to the metadata of every event in the request."""

    def journy_skip(self) -> Any:
        """Return true to track nothing in this request."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = {name: getattr(cls, f"journy_{name}") for name in _NAMES}
        written = {
            name: function
            for name, function in own.items()
            if function is not getattr(JournyHandlerMixin, f"journy_{name}")
        }
        cls._journy_callbacks = Callbacks(
            written.get("user"),
            written.get("account"),
            written.get("metadata"),
            skip=written.get("skip"),
            carried=trusted(cls.journy_trust, _carrier_of),
            link_devices=cls.journy_link_devices,
        )

    async def _execute(self, transforms: Any, *args: Any, **kwargs: Any) -> None:
        callbacks = self._journy_callbacks
        serving = super()._execute(transforms, *args, **kwargs)
        if callbacks is None:
            await serving
            return
        device = device_in(self.get_cookie(COOKIE)) if callbacks.link_devices else None
        await PlainRequest(callbacks, self, device).serve(serving)


def _carrier_of(handler: JournyHandlerMixin) -> str | None:
    return handler.request.headers.get(HEADER)
