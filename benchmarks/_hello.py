"""The app that `benchmarks.app` serves: Flask's hello world, which tracks one event per request.

`BENCHMARK_LIBRARY` names the tracking library (a name in `benchmarks._peers`, or empty), and `BENCHMARK_API` the URL
that it sends to.
"""

from __future__ import annotations

import os

from flask import Flask

from benchmarks._peers import PEERS

LIBRARY = os.environ.get("BENCHMARK_LIBRARY", "")
API = os.environ.get("BENCHMARK_API", "")
QUEUE_SIZE = 10_000

app = Flask(__name__)

if LIBRARY == "ours":
    import journy_track
    from journy_track.integrations.flask import JournyTrack

    journy_track.configure("benchmark-key", base_url=API, queue_size=QUEUE_SIZE)
    JournyTrack(app, user=lambda: "u1", account=lambda: "acme", metadata=lambda: {"plan": "pro"})

    @app.get("/")
    @journy_track.track_event("benchmarked", metadata={"marker": "constant"})
    def hello() -> str:
        return "Hello"

elif LIBRARY:
    capture = PEERS[LIBRARY].make(API, QUEUE_SIZE)

    @app.get("/")
    def hello() -> str:
        capture("constant")
        return "Hello"

else:

    @app.get("/")
    def hello() -> str:
        return "Hello"
