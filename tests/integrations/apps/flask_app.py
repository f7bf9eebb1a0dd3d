"""A Flask app."""

from flask import Flask, Response, request
from shared import PLAIN, plain, streamed

from journy_track.integrations.flask import instrument_flask

app = Flask(__name__)
instrument_flask(
    app,
    user=lambda: request.headers["X-User"],
    account=lambda: request.headers.get("X-Account"),
    link_devices=True,
)


@app.get("/<action>/<number>")
def serve(action: str, number: str):
    if action in PLAIN:
        plain(action, number)
        return "ok"
    return Response(streamed(action, number))
