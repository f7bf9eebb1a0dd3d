"""A Flask app whose sessions hold the user.

pip install flask gunicorn
journy-track inspect                                            # in another terminal
JOURNY_BASE_URL=http://127.0.0.1:8470 gunicorn --preload --workers 2 --chdir examples/flask app:app
curl -c jar -d name=jane -d company=acme localhost:8000/sign-in
curl -b jar -d title=Launch localhost:8000/projects
curl -b jar localhost:8000/export
"""

from collections.abc import Iterator

from flask import Flask, Response, request, session

import journy_track
from journy_track import TypedEvent, track_event
from journy_track.integrations.flask import instrument_flask

journy_track.configure()


@journy_track.event
class CreatedProject(TypedEvent):
    """A user has created a project."""

    title: str


@journy_track.event
class ExportedProjects(TypedEvent):
    """A user has exported their projects to a file."""

    projects: int


@journy_track.event
class SignedIn(TypedEvent):
    """A user has signed in."""


app = Flask(__name__)
app.secret_key = "only for this example"
instrument_flask(app, user=lambda: session.get("user"), account=lambda: session.get("company"), link_devices=True)


@app.post("/sign-in")
def sign_in() -> str:
    session["user"], session["company"] = request.form["name"], request.form["company"]
    journy_track.upsert_user(full_name=request.form["name"].title())
    SignedIn().track()
    return "welcome\n"


@app.post("/projects")
def projects() -> str:
    return f"created {create_project(request.form['title']).title}\n"


@track_event(CreatedProject)  # what it returns is the event
def create_project(title: str) -> CreatedProject:
    return CreatedProject(title=title)


@app.get("/export")
def export() -> Response:
    return Response(lines(), mimetype="text/plain")


def lines() -> Iterator[str]:
    for number in range(3):
        yield f"project {number}\n"
    ExportedProjects(projects=3).track()  # when the last line is out
