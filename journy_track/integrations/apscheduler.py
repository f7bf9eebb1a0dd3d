"""APScheduler 3 and 4: jobs run on behalf of the user who added them.

    scheduler = instrument_apscheduler(BackgroundScheduler())

Jobs that are added at startup have no user.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any, TypeVar

import apscheduler

from journy_track._model.errors import InvalidArgument, described
from journy_track._runtime import flush
from journy_track.integrations._jobs import HEADER, carry, carrying, run_in_scope, scope_of

try:
    from apscheduler.executors import base
    from apscheduler.job import Job
    from apscheduler.schedulers.base import STATE_STOPPED, BaseScheduler
except ImportError:
    VERSION_4 = True
else:
    VERSION_4 = False
    _run_job, _run_coroutine_job = base.run_job, base.run_coroutine_job

__all__ = ["instrument_apscheduler"]

S = TypeVar("S")
_MARK = "_journy_track"
_email = False  # for version 4, which is instrumented process-wide


def instrument_apscheduler(scheduler: S, *, email: bool = False) -> S:
    """Carry user, account and metadata from the code that adds a job to each of its runs. Returns *scheduler*.

    Each run has its own `scope()`. A job that was added without a user, as at startup, runs without one. The user's
    e-mail address is carried only with *email*. Place `@track_event` below `@scheduler.scheduled_job()`. Call this
    function where the scheduler is created. It works with threads, processes and asyncio, and with every job store.

    With version 3, a persistent job store also stores a class of this library with each job that carries a context.
    Where this library is not installed, APScheduler cannot restore these jobs, and removes them. With version 4, the
    context is in the metadata of schedules and jobs, and one call applies to all schedulers of the process.

    Raises `InvalidArgument` if *scheduler* is not a scheduler.
    """
    kinds = (apscheduler.AsyncScheduler, apscheduler.Scheduler) if VERSION_4 else BaseScheduler
    if not isinstance(scheduler, kinds):
        raise InvalidArgument(f"instrument_apscheduler() takes a scheduler, got {described(scheduler)}")
    if VERSION_4:
        _instrument_4(email)
    else:
        _instrument_3(scheduler, email)
    return scheduler


# ── Version 3 ────────────────────────────────────────────────────────────────────────────────────────────


def _instrument_3(scheduler: Any, email: bool) -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith("apscheduler.executors."):  # modules imported later take them from the base module
            for function in (run_job, run_coroutine_job):
                if hasattr(module, function.__name__):
                    setattr(module, function.__name__, function)
    add, store = (getattr(method, _MARK, method) for method in (scheduler.add_job, scheduler._real_add_job))

    def mark(job: Job) -> None:
        carried = carrying(email=email)
        if carried is not None:
            job.kwargs = Carrying(job.kwargs, carried)

    @wraps(add)
    def adding(*args: Any, **kwargs: Any) -> Job:
        job = add(*args, **kwargs)
        if job.pending:  # it is stored when the scheduler starts, perhaps in the context of another user
            mark(job)
        return job

    @wraps(store)
    def storing(job: Job, *args: Any) -> None:
        if scheduler.state != STATE_STOPPED:
            mark(job)
        store(job, *args)

    setattr(adding, _MARK, add)
    setattr(storing, _MARK, store)
    scheduler.add_job, scheduler._real_add_job = adding, storing


class Carrying(dict[str, Any]):
    """A job's keyword arguments, and the context it was added in: an attribute, since it is not an argument."""

    def __init__(self, kwargs: Mapping[str, Any], carried: str) -> None:
        super().__init__(kwargs)
        self.carried: str = carried

    def __reduce__(self) -> tuple[Any, ...]:
        return Carrying, (dict(self), self.carried)


# Module-level functions, so that they can be pickled for a process pool.


def run_job(job: Job, *args: Any) -> Any:
    """Run *job* in its own scope. Called by executors."""
    with scope_of(getattr(job.kwargs, "carried", None)):
        return _run_job(job, *args)


async def run_coroutine_job(job: Job, *args: Any) -> Any:
    """Like `run_job`, for a coroutine function."""
    with scope_of(getattr(job.kwargs, "carried", None)):
        return await _run_coroutine_job(job, *args)


# ── Version 4 ────────────────────────────────────────────────────────────────────────────────────────────


def _instrument_4(email: bool) -> None:
    global _email  # noqa: PLW0603 - see there
    _email = email
    kind = apscheduler.AsyncScheduler  # `Scheduler` wraps one; instances do not accept new attributes
    if hasattr(kind, _MARK):
        return
    run = kind._run_job

    @wraps(run)
    async def running(self: Any, job: Any, function: Callable[..., Any], executor: str) -> None:
        await run(self, job, partial(_run_wherever, job.metadata.get(HEADER), os.getpid(), function), executor)

    setattr(kind, _MARK, True)
    kind.add_job, kind.add_schedule, kind._run_job = _adding(kind.add_job), _adding(kind.add_schedule), running


def _run_wherever(text: Any, pid: int, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call *function* in the scope of its job, even if that runs in another process than *pid*."""
    try:
        return run_in_scope(text, function, *args, **kwargs)
    finally:
        if os.getpid() != pid:
            flush()  # the worker processes of version 4 are killed at the end


def _adding(add: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(add)
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = kwargs.get("metadata")
        metadata = dict(given) if isinstance(given, Mapping) else {}
        carry(metadata, email=_email)
        if metadata:
            kwargs["metadata"] = metadata
        return await add(self, *args, **kwargs)

    return call
