"""An RQ worker that imports the jobs before it forks, as RQ's documentation advises."""

import bodies
import rq_app
from rq import Worker

import journy_track

journy_track.track("preloaded", user="main")  # the main process has started its engine before it forks
assert journy_track.flush(10)
Worker([rq_app.queue], connection=bodies.broker).work()
