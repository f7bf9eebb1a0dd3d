"""A FastAPI app whose dependency says who acts.

pip install fastapi uvicorn
journy-track inspect                                            # in another terminal
JOURNY_BASE_URL=http://127.0.0.1:8470 uvicorn --app-dir examples/fastapi app:app
curl -H 'Authorization: Bearer jane@acme' -X POST 'localhost:8000/projects?title=Launch'
curl -H 'Authorization: Bearer jane@acme' localhost:8000/report
curl -H 'Authorization: Bearer jane@acme' localhost:8000/export
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException
from fastapi.responses import PlainTextResponse, StreamingResponse

import journy_track
from journy_track import track_event
from journy_track.integrations.asgi import JournyMiddleware

journy_track.configure()


def current_user(authorization: Annotated[str, Header()] = "") -> str:
    """Stands for your check of a token. A sync dependency: it runs in the thread pool."""
    name, separator, company = authorization.removeprefix("Bearer ").partition("@")
    if not separator:
        raise HTTPException(401)
    journy_track.set_user(name)
    journy_track.set_account(company)
    return name


app = FastAPI(dependencies=[Depends(current_user)])
app.add_middleware(JournyMiddleware, link_devices=True)  # also delivers what waits when the server stops


@app.post("/projects")
@track_event("created_project", capture=("title",))  # below the route: the route is the tracked function
async def create_project(title: str) -> dict[str, str]:
    return {"created": title}


@app.get("/report")
def report(later: BackgroundTasks) -> PlainTextResponse:
    later.add_task(send_report)
    return PlainTextResponse("it will come by mail\n")


@track_event("received_report")
def send_report() -> None:
    """Runs after the response, and is still of that user."""


@app.get("/export")
async def export() -> StreamingResponse:
    return StreamingResponse(lines(), media_type="text/plain")


@track_event("exported_projects")  # when the last line is out
async def lines() -> AsyncIterator[str]:
    for number in range(3):
        yield f"project {number}\n"
