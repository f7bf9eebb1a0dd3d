"""A FastAPI app with a dependency that finds the user.

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
from journy_track import TypedEvent
from journy_track.integrations.asgi import JournyMiddleware

journy_track.configure()


@journy_track.event
class CreatedProject(TypedEvent):
    """A user has created a project."""

    title: str


@journy_track.event
class ReceivedReport(TypedEvent):
    """A user has received a report by mail."""


@journy_track.event
class ExportedProjects(TypedEvent):
    """A user has exported their projects to a file."""

    projects: int


def current_user(authorization: Annotated[str, Header()] = "") -> str:
    """Replace this with your token check. It is a sync dependency, so it runs in the thread pool."""
    name, separator, company = authorization.removeprefix("Bearer ").partition("@")
    if not separator:
        raise HTTPException(401)
    journy_track.set_user(name)
    journy_track.set_account(company)
    return name


app = FastAPI(dependencies=[Depends(current_user)])
app.add_middleware(JournyMiddleware, link_devices=True)  # also delivers what waits when the server stops


@app.post("/projects")
async def create_project(title: str) -> dict[str, str]:
    CreatedProject(title=title).track()
    return {"created": title}


@app.get("/report")
def report(later: BackgroundTasks) -> PlainTextResponse:
    later.add_task(send_report)
    return PlainTextResponse("it will come by mail\n")


def send_report() -> None:
    ReceivedReport().track()  # after the response, and still with that user


@app.get("/export")
async def export() -> StreamingResponse:
    return StreamingResponse(lines(), media_type="text/plain")


async def lines() -> AsyncIterator[str]:
    for number in range(3):
        yield f"project {number}\n"
    ExportedProjects(projects=3).track()  # when the last line is out
