"""RQ: jobs run on behalf of the user who enqueued them.

    instrument_rq()

What they track is delivered before their work horse exits.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from rq import get_current_job
from rq.job import Job

from journy_track.integrations._jobs import HEADER, carry, run_in_scope

__all__ = ["instrument_rq"]

_MARK = "_journy_track"
_CALLBACKS = ("success_callback", "failure_callback", "stopped_callback")
_email = False


def instrument_rq(*, email: bool = False) -> None:
    """Carry user, account and metadata from the code that enqueues a job to the job, in `job.meta`.

    Each job, and each of its callbacks, runs in its own `scope()`, with the context the job was enqueued in. Retries,
    repeats, and scheduled or dependent jobs keep that context. It includes the user's e-mail address only with
    *email*. Call this function in the module that defines the jobs, so that it runs in the app and in the workers; a
    worker may import that module as late as in the first job. Works with forking, spawning and simple workers. Place
    `@track_event` above or below `@job`.
    """
    global _email  # noqa: PLW0603 - RQ's classes are the process's, too
    _email = email
    create, function = Job.create.__func__, Job.func.fget  # type: ignore[attr-defined]
    if hasattr(create, _MARK):
        return

    @wraps(create)
    def creating(cls: type[Job], *args: Any, **kwargs: Any) -> Job:
        job: Job = create(cls, *args, **kwargs)
        if isinstance(job.meta, dict):
            job.meta = dict(job.meta)  # the same dict may be passed for many jobs
            carry(job.meta, email=_email)
        return job

    def running(job: Job) -> Any:
        found = function(job)
        # Wrapped only when about to be called, which is after its import: this also covers the job that imports us.
        if found is None or getattr(get_current_job(), "id", None) != job.id:
            return found
        return partial(run_in_scope, _carried(job), found)

    setattr(creating, _MARK, True)
    Job.create = classmethod(creating)  # type: ignore[assignment, method-assign]
    Job.func = property(running)  # type: ignore[assignment, method-assign]
    for name in _CALLBACKS:
        setattr(Job, name, property(_in_scope(getattr(Job, name).fget)))


def _in_scope(callback: Callable[[Job], Any]) -> Callable[[Job], Any]:
    """Wrap a job's property so that the callback it returns is called in the job's scope."""

    def read(job: Job) -> Any:
        found = callback(job)
        if found is None or inspect.iscoroutinefunction(found):  # RQ must see and reject the coroutine function
            return found
        return partial(run_in_scope, _carried(job), found)

    return read


def _carried(job: Job) -> Any:
    return job.meta.get(HEADER) if isinstance(job.meta, dict) else None
