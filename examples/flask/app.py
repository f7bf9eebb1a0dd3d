"""A Flask app whose sessions say who acts.

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
from journy_track import track_event
from journy_track.integrations.flask import JournyTrack

journy_track.configure()

app = Flask(__name__)
app.secret_key = "only for this example"
JournyTrack(app, user=lambda: session.get("user"), account=lambda: session.get("company"), link_devices=True)


@app.post("/sign-in")
def sign_in() -> str:
    session["user"], session["company"] = request.form["name"], request.form["company"]
    journy_track.upsert_user(full_name=request.form["name"].title())
    journy_track.track("signed_in")
    return "welcome\n"


@app.post("/projects")
def projects() -> str:
    return create_project(title=request.form["title"])


@track_event("created_project", capture=("title",))
def create_project(title: str) -> str:
    return f"created {title}\n"


@app.get("/export")
def export() -> Response:
    return Response(lines(), mimetype="text/plain")


@track_event("exported_projects")  # when the last line is out
def lines() -> Iterator[str]:
    for number in range(3):
        yield f"project {number}\n"
