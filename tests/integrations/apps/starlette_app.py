"""A Starlette app with its own authentication."""

from shared import PLAIN, async_streamed, plain
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from journy_track.integrations.asgi import JournyMiddleware


class FromHeader(AuthenticationBackend):
    async def authenticate(self, conn):
        return AuthCredentials(), SimpleUser(conn.headers["x-user"])


async def serve(request):
    action, number = request.path_params["action"], request.path_params["number"]
    if action in PLAIN:
        plain(action, number)
        return PlainTextResponse("ok")
    return StreamingResponse(async_streamed(action, number))


app = Starlette(
    routes=[Route("/{action}/{number}", serve)],
    middleware=[
        Middleware(
            JournyMiddleware,
            user=lambda scope: scope["user"].username,
            account=lambda scope: dict(scope["headers"]).get(b"x-account", b"").decode() or None,
            link_devices=True,
        ),
        Middleware(AuthenticationMiddleware, backend=FromHeader()),
    ],
)
