"""Tornado: who acts, for each request and websocket of a handler."""

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
    """A scope for each request and each websocket of a Tornado handler.

        class Handler(JournyHandlerMixin, tornado.web.RequestHandler):
            def journy_user(self):
                return self.current_user

    Name it first. `journy_user()`, `journy_account()` and `journy_metadata()` are yours to write, and may be async.
    They return an ID (or `UserIdentified`, `AccountIdentified`), `None` for none, or a mapping. They are called
    when an event needs them, and not again once somebody was found: where the user changes within a request, call
    `set_user()`. Events wait for async ones until the handler is done. If `journy_skip()` returns true, nothing of
    that request is tracked except deletes and removals; see `journy_track.suppressed()`. `journy_link_devices =
    True` links the `__journey` cookie's device to that user, once for each device and user in this process.

    `journy_trust()` says whether the request comes from a service of yours, whose `propagate_to` has said who acts;
    ``journy_trust = "signed"`` believes what is signed with the same `carrier_secret`. What the others return wins.

    Everything from `prepare()` to `on_finish()` is in the request's scope, and so are a websocket's messages. What
    Tornado calls while it reads a streamed request (`data_received()`) is not.
    """

    #: A method that says whether a request comes from a service of yours, or `"signed"`.
    journy_trust: ClassVar[Trust] = None
    #: Whether the device of the `__journey` cookie is linked to the user.
    journy_link_devices: ClassVar[bool] = False
    _journy_callbacks: ClassVar[Callbacks | None] = None

    def journy_user(self) -> Any:
        """Who acts: an ID, a `UserIdentified`, or `None`. By itself: whoever is set in the request."""

    def journy_account(self) -> Any:
        """The account acted in: an ID, an `AccountIdentified`, or `None`. By itself: what is set in the request."""

    def journy_metadata(self) -> Any:
        """A mapping, added to every event of the request."""

    def journy_skip(self) -> Any:
        """Whether nothing of this request is tracked."""

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
