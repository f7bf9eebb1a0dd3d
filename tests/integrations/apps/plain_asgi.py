"""An ASGI app without a framework and without a lifespan. Its user function is async."""

import asyncio

from shared import PLAIN, async_streamed, plain

from journy_track.integrations.asgi import JournyMiddleware


async def serve(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError("only http here")
    _, action, number = scope["path"].split("/")
    if action in PLAIN:
        plain(action, number)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    async for chunk in async_streamed(action, number):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def header(name):
    async def read(scope):
        await asyncio.sleep(0)  # like a lookup in a session store
        return dict(scope["headers"]).get(name, b"").decode() or None

    return read


async def serve_in_silence(scope, receive, send):
    if scope["type"] == "http":
        await serve(scope, receive, send)


WHO = {"user": header(b"x-user"), "account": header(b"x-account"), "link_devices": True}
app = JournyMiddleware(serve, **WHO)
silent = JournyMiddleware(serve_in_silence, **WHO)
