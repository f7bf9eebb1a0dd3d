"""Celery 5: tasks act for whoever sent them.

    app = instrument_celery(Celery("tasks"))

What they track is delivered when a worker process ends.
"""

from __future__ import annotations

from typing import Any

from celery import Celery, signals

from journy_track._capture.carrier import unsigned
from journy_track._model.errors import InvalidArgument, described
from journy_track.integrations._jobs import HEADER, carry, enter, leave, scope_of

__all__ = ["instrument_celery"]

#: The header of earlier versions, which held JSON. Tasks that wait in a queue may still have it.
FORMER = "journy_track"
_email = False


def instrument_celery(app: Celery, *, email: bool = False) -> Celery:
    """Carry user, account and metadata from whoever sends a task to the task. Returns *app*.

    In a worker each task runs in a `scope()` of its own, with what its sender had; a retry keeps it. An eager task
    keeps its caller's. `@track_event` goes below `@app.task`. Call it where the app is made, so that senders
    and workers both do. Tasks that any app of this process sends carry the header; the user's e-mail address is in
    it only with *email*.

    Raises `InvalidArgument` for what is not a Celery app.
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
    # It is there already when a task is retried: the sender's is kept, whoever the task was acting for.
    given = {**headers, **nested}
    carrier = {name: text for name in (FORMER, HEADER) if (text := given.get(name)) is not None}
    if not carrier:
        carry(carrier, email=_email)
    if carrier:
        # In both places: which of them a task's request shows depends on the broker and on how often it was
        # sent (celery/celery#4875). A retry includes the inner one.
        headers.update(carrier)
        headers["headers"] = {**nested, **carrier}


def _starting(task: Any = None, **_: Any) -> None:
    request = task.request
    text = _header(request, HEADER)
    if not text and (former := _header(request, FORMER)):
        text = unsigned(str(former))
    elif not text:
        request.headers = {**_nested(request), HEADER: ""}  # nobody's, and so is its retry
    enter(request, scope_of(text or None, eager=bool(request.is_eager)))


def _ended(task: Any = None, **_: Any) -> None:
    leave(task.request)


def _header(request: Any, name: str) -> Any:
    return _nested(request).get(name) or getattr(request, name, None)


def _nested(request: Any) -> dict[str, Any]:
    return request.headers if isinstance(request.headers, dict) else {}
