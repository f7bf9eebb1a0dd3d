"""An aiohttp app, which serves itself."""

import socket
import sys
from contextlib import aclosing

from aiohttp import web
from shared import PLAIN, async_streamed, plain

from journy_track.integrations.aiohttp import JournyMiddleware


async def serve(request):
    action, number = request.match_info["action"], request.match_info["number"]
    if action in PLAIN:
        plain(action, number)
        return web.Response(text="ok")
    response = web.StreamResponse()
    await response.prepare(request)
    async with aclosing(async_streamed(action, number)) as chunks:
        async for chunk in chunks:
            await response.write(chunk)
    await response.write_eof()
    return response


app = web.Application(
    middlewares=[
        JournyMiddleware(
            user=lambda request: request.headers["X-User"],
            account=lambda request: request.headers.get("X-Account"),
            link_devices=True,
        )
    ]
)
app.router.add_get("/{action}/{number}", serve)

if __name__ == "__main__":
    web.run_app(app, sock=socket.socket(fileno=int(sys.argv[1])), print=None)
