"""arq: jobs act for whoever enqueued them.

    instrument_arq()

It goes into the module of the jobs.
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
    """Carry user, account and metadata from whoever enqueues a job to the job.

    Each job, with the hooks around it, runs in a `scope()` of its own, with what it was enqueued with; a retry keeps
    it. The user's e-mail address is in it only with *email*. Call it in the module of the jobs, so that both the app
    and the workers do. `@track_event` goes right above the function, below `arq.func()` and `arq.cron()`.

    It is one more key of what arq stores, which workers without this call ignore. A `job_serializer` of your own
    must keep that key.
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
        with scope():  # which is filled when the job has been read
            await run_job(*args, **kwargs)

    setattr(running, _MARK, True)
    senders.serialize_job, workers.deserialize_job_raw, workers.Worker.run_job = writing, reading, running
