"""APScheduler, 3 and 4: jobs act for whoever added them.

    scheduler = instrument_apscheduler(BackgroundScheduler())

Those that are added at start-up have no user.
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
_email = False  # of version 4, whose class is the process's, too


def instrument_apscheduler(scheduler: S, *, email: bool = False) -> S:
    """Carry user, account and metadata from whoever adds a job to each of its runs. Returns *scheduler*.

    Each run has a `scope()` of its own. A job that was added without a user, as at start-up, has none in its runs.
    The user's e-mail address is carried only with *email*. `@track_event` goes below `@scheduler.scheduled_job()`.
    Call it where the scheduler is made; for threads, processes and asyncio, and with every job store.

    With version 3, a store that outlives the process keeps, with jobs that somebody added, a class of this library:
    where that is not installed, APScheduler cannot restore them, and removes them. With version 4 it is in the
    metadata of schedules and jobs, and one call holds for all schedulers of the process.

    Raises `InvalidArgument` for anything but a scheduler.
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
        if name.startswith("apscheduler.executors."):  # those that come later take them from the base
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
        if job.pending:  # it is stored when the scheduler starts, which may be done by somebody else
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
    """The keyword arguments of a job, and who added it: as an attribute, since it is not an argument."""

    def __init__(self, kwargs: Mapping[str, Any], carried: str) -> None:
        super().__init__(kwargs)
        self.carried: str = carried

    def __reduce__(self) -> tuple[Any, ...]:
        return Carrying, (dict(self), self.carried)


# By their names, so that they reach a pool of processes.


def run_job(job: Job, *args: Any) -> Any:
    """What executors call for a job, in a scope of its own."""
    with scope_of(getattr(job.kwargs, "carried", None)):
        return _run_job(job, *args)


async def run_coroutine_job(job: Job, *args: Any) -> Any:
    """The same for a coroutine function."""
    with scope_of(getattr(job.kwargs, "carried", None)):
        return await _run_coroutine_job(job, *args)


# ── Version 4 ────────────────────────────────────────────────────────────────────────────────────────────


def _instrument_4(email: bool) -> None:
    global _email  # noqa: PLW0603 - see there
    _email = email
    kind = apscheduler.AsyncScheduler  # which the other one is made of; its instances take no attributes
    if hasattr(kind, _MARK):
        return
    run = kind._run_job

    @wraps(run)
    async def running(self: Any, job: Any, function: Callable[..., Any], executor: str) -> None:
        await run(self, job, partial(_run_wherever, job.metadata.get(HEADER), os.getpid(), function), executor)

    setattr(kind, _MARK, True)
    kind.add_job, kind.add_schedule, kind._run_job = _adding(kind.add_job), _adding(kind.add_schedule), running


def _run_wherever(text: Any, pid: int, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call *function* in the scope of its job, also where that reaches another process than *pid*."""
    try:
        return run_in_scope(text, function, *args, **kwargs)
    finally:
        if os.getpid() != pid:
            flush()  # the processes of version 4 end by being killed


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
