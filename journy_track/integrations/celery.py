"""Celery 5: tasks run on behalf of the user who sent them.

    app = instrument_celery(Celery("tasks"))

What they track is delivered by the time a worker process ends.
"""

from __future__ import annotations

from typing import Any

from celery import Celery, signals

from journy_track._capture.carrier import unsigned
from journy_track._model.errors import InvalidArgument, described
from journy_track.integrations._jobs import HEADER, carry, enter, leave, scope_of

__all__ = ["instrument_celery"]

#: The header of earlier versions, which contained JSON. Tasks waiting in a queue may still have it.
FORMER = "journy_track"
_email = False


def instrument_celery(app: Celery, *, email: bool = False) -> Celery:
    """Carry user, account and metadata from the sender of a task to the task. Returns *app*.

    In a worker, each task runs in its own `scope()`, with the context of its sender; a retry keeps that context. An
    eager task keeps its caller's context. Place `@track_event` below `@app.task`. Call this function where the app is
    created, so that it runs in senders and workers alike. Tasks sent by any app in this process get the header, which
    includes the user's e-mail address only with *email*.

    Raises `InvalidArgument` if *app* is not a Celery app.
    """
    global _email  # noqa: PLW0603 - Celery's signals are the process's, too
    if not isinstance(app, Celery):
        raise InvalidArgument(f"instrument_celery() takes a Celery app, got {described(app)}")
    _email = email
    for signal, receiver in (
        (signals.before_task_publish, _publishing),
        (signals.task_prerun, _starting),
        (signals.task_postrun, _ended),
    ):
        signal.connect(receiver, weak=False, dispatch_uid=f"journy_track.{receiver.__name__}")
    return app


def _publishing(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is None:
        return
    nested = headers.get("headers")
    nested = dict(nested) if isinstance(nested, dict) else {}
    # When a task is retried, the header is already there: the original sender's context is kept.
    given = {**headers, **nested}
    carrier = {name: text for name in (FORMER, HEADER) if (text := given.get(name)) is not None}
    if not carrier:
        carry(carrier, email=_email)
    if carrier:
        # Set in both places: which one appears on a task's request depends on the broker and on how often the task
        # was sent (celery/celery#4875). A retry includes the inner one.
        headers.update(carrier)
        headers["headers"] = {**nested, **carrier}


def _starting(task: Any = None, **_: Any) -> None:
    request = task.request
    text = _header(request, HEADER)
    if not text and (former := _header(request, FORMER)):
        text = unsigned(str(former))
    elif not text:
        request.headers = {**_nested(request), HEADER: ""}  # there is no user, and its retry must not get one
    enter(request, scope_of(text or None, eager=bool(request.is_eager)))


def _ended(task: Any = None, **_: Any) -> None:
    leave(task.request)


def _header(request: Any, name: str) -> Any:
    return _nested(request).get(name) or getattr(request, name, None)


def _nested(request: Any) -> dict[str, Any]:
    return request.headers if isinstance(request.headers, dict) else {}
