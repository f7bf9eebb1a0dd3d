"""A Litestar app."""

from litestar import Litestar, get
from litestar.response import Stream
from shared import PLAIN, async_streamed, plain

from journy_track.integrations.asgi import JournyMiddleware


@get("/{action:str}/{number:str}")
async def serve(action: str, number: str) -> Stream:
    if action in PLAIN:
        plain(action, number)
        return Stream(iter([b"ok"]))
    return Stream(async_streamed(action, number))


app = JournyMiddleware(
    Litestar([serve], openapi_config=None, logging_config=None),
    user=lambda scope: dict(scope["headers"])[b"x-user"].decode(),
    account=lambda scope: dict(scope["headers"]).get(b"x-account", b"").decode() or None,
    link_devices=True,
)
