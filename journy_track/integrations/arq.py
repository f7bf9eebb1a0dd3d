"""arq: jobs run on behalf of the user who enqueued them.

    instrument_arq()

Call it in the module that defines the jobs.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from arq import connections, worker

from journy_track._capture.blocks import scope
from journy_track.integrations._jobs import HEADER, carry, fill_scope

__all__ = ["instrument_arq"]

_MARK = "_journy_track"
_email = False


def instrument_arq(*, email: bool = False) -> None:
    """Carry user, account and metadata from the code that enqueues a job to the job.

    Each job, with the hooks around it, runs in its own `scope()`, with the context it was enqueued in; a retry keeps
    that context. It includes the user's e-mail address only with *email*. Call this function in the module that
    defines the jobs, so that it runs in the app and in the workers. Place `@track_event` directly above the function,
    below `arq.func()` and `arq.cron()`.

    The context is stored as an additional key in arq's job data, which workers without this call ignore. A custom
    `job_serializer` must keep that key.
    """
    global _email  # noqa: PLW0603 - arq's functions are the process's, too
    _email = email
    senders, workers = cast("Any", connections), cast("Any", worker)
    write, read, run_job = senders.serialize_job, workers.deserialize_job_raw, workers.Worker.run_job
    if hasattr(run_job, _MARK):
        return

    @wraps(write)
    def writing(*args: Any, serializer: Callable[[Any], bytes] | None = None, **kwargs: Any) -> bytes:
        def serialize(job: dict[str, Any]) -> bytes:
            carry(job, email=_email)
            serialized: bytes = (serializer or pickle.dumps)(job)
            return serialized

        written: bytes = write(*args, serializer=serialize, **kwargs)
        return written

    @wraps(read)
    def reading(data: bytes, *, deserializer: Callable[[bytes], Any] | None = None) -> Any:
        def deserialize(data: bytes) -> Any:
            job = (deserializer or pickle.loads)(data)
            fill_scope({HEADER: job.get(HEADER)})
            return job

        return read(data, deserializer=deserialize)

    @wraps(run_job)
    async def running(*args: Any, **kwargs: Any) -> None:
        with scope():  # filled once the job has been read
            await run_job(*args, **kwargs)

    setattr(running, _MARK, True)
    senders.serialize_job, workers.deserialize_job_raw, workers.Worker.run_job = writing, reading, running
