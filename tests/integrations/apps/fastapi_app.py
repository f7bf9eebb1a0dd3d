"""A FastAPI app with a dependency that finds the user: a sync one, so it runs in the thread pool."""

from typing import Annotated

from fastapi import Depends, FastAPI, Header
from fastapi.responses import PlainTextResponse, StreamingResponse
from shared import PLAIN, async_streamed, plain, streamed

import journy_track
from journy_track.integrations.asgi import JournyMiddleware


def sync_dependency(x_user: Annotated[str, Header()]):
    journy_track.set_user(x_user)


def dependency_with_yield(x_account: Annotated[str | None, Header()] = None):
    journy_track.set_account(x_account)
    yield


app = FastAPI(dependencies=[Depends(sync_dependency), Depends(dependency_with_yield)])
app.add_middleware(JournyMiddleware, link_devices=True)


@app.get("/{action}/{number}")
async def serve(action: str, number: str):
    if action in PLAIN:
        plain(action, number)
        return PlainTextResponse("ok")
    return StreamingResponse(async_streamed(action, number))


@app.get("/threaded/{action}/{number}")
def serve_in_thread(action: str, number: str):
    if action in PLAIN:
        plain(action, number)
        return PlainTextResponse("ok")
    # If the client has gone, Starlette never closes a sync generator: it is closed when collected, which is too late.
    return StreamingResponse(streamed(action, number) if action == "stream" else async_streamed(action, number))
