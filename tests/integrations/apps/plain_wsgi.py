"""A WSGI app without a framework."""

from shared import PLAIN, plain, streamed

from journy_track.integrations.wsgi import JournyMiddleware


def serve(environ, start_response):
    _, action, number = environ["PATH_INFO"].split("/")
    if action in PLAIN:
        plain(action, number)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]
    start_response("200 OK", [])
    return streamed(action, number)


app = JournyMiddleware(
    serve,
    user=lambda environ: environ["HTTP_X_USER"],
    account=lambda environ: environ.get("HTTP_X_ACCOUNT"),
    link_devices=True,
)
