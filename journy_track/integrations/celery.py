"""Celery 5: tasks act for whoever sent them.

    app = instrument_celery(Celery("tasks"))

What they track is delivered when a worker process ends.
"""

from __future__ import annotations

import json
from typing import Any

from celery import Celery, signals

from journy_track._capture.blocks import Block, add_metadata, scope, set_account, set_user
from journy_track._capture.context import current, in_our_own_code
from journy_track._model.errors import InvalidArgument, described
from journy_track._model.identity import AccountIdentified, UserIdentified
from journy_track._model.once import warn_once
from journy_track._model.values import frozen_mapping, plain_metadata

__all__ = ["instrument_celery"]

#: The name of the header: JSON, as every broker carries text.
HEADER = "journy_track"
#: Characters of it; above, metadata is left out.
MOST = 4096
#: Where a task's scope is kept while it runs: on its own request.
_SCOPE = "_journy_track_scope"
_VERSION = 1


def instrument_celery(app: Celery) -> Celery:
    """Carry user, account and metadata from whoever sends a task to the task. Answers *app*.

    In a worker each task runs in a `scope()` of its own, with what its sender had; a retry keeps it. An eager task
    keeps its caller's. `@track_event` goes below `@app.task`. Call it where the app is made, so that senders
    and workers both do. Tasks that any app of this process sends carry the header.

    Raises `InvalidArgument` for what is no Celery app.
    """
    if not isinstance(app, Celery):
        raise InvalidArgument(f"instrument_celery() takes a Celery app, got {described(app)}")
    for signal, receiver in (
        (signals.before_task_publish, _publishing),
        (signals.task_prerun, _starting),
        (signals.task_postrun, _ended),
    ):
        signal.connect(receiver, weak=False, dispatch_uid=f"{HEADER}.{receiver.__name__}")
    return app


# ── Where a task is sent ──


def _publishing(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is None or in_our_own_code():
        return
    nested = headers.get("headers")
    nested = dict(nested) if isinstance(nested, dict) else {}
    # It is there already when a task is retried: the sender's is kept, whoever the task was acting for.
    carried = headers.get(HEADER) or nested.get(HEADER) or _carried()
    if carried:
        # In both places: which of them a task's request shows depends on the broker and on how often it was
        # sent (celery/celery#4875). A retry takes along the inner one.
        headers[HEADER] = nested[HEADER] = carried
        headers["headers"] = nested


def _carried() -> str | None:
    """The context as text; `None` where there is none."""
    now = current()
    carried: dict[str, Any] = {"v": _VERSION}
    if now.user is not None:
        carried["user"] = now.user.wire()
    if now.account is not None:
        carried["account"] = now.account.wire()
    if now.metadata:
        metadata, _ = plain_metadata(frozen_mapping(now.metadata))
        if len(json.dumps(metadata)) <= MOST:
            carried["metadata"] = metadata
        else:
            warn_once(
                "celery metadata", "metadata of more than %d characters does not travel with Celery tasks", MOST
            )
    return json.dumps(carried) if len(carried) > 1 else None


# ── Where it runs ──


def _starting(task: Any = None, **_: Any) -> None:
    request = task.request
    eager = bool(request.is_eager)
    block = scope(inherit=eager)
    block.__enter__()
    setattr(request, _SCOPE, block)
    if not eager:
        _restore(request)


def _ended(task: Any = None, **_: Any) -> None:
    block: Block | None = task.request.__dict__.pop(_SCOPE, None)
    if block is not None:
        block.__exit__(None, None, None)


def _restore(request: Any) -> None:
    nested = request.headers if isinstance(request.headers, dict) else {}
    text = nested.get(HEADER) or getattr(request, HEADER, None)
    if not text:
        return
    try:
        carried = json.loads(text)
        user, account = carried.get("user"), carried.get("account")
        given = (
            UserIdentified(user.get("userId"), user.get("email")) if user else None,
            AccountIdentified(account.get("accountId"), account.get("domain")) if account else None,
            frozen_mapping(carried.get("metadata") or {}),
        )
    except (ValueError, TypeError, AttributeError) as error:
        warn_once(
            "celery header",
            "the header %r of a Celery task could not be read (%s): the task runs without its sender's context.",
            HEADER,
            type(error).__name__,
        )
        return
    set_user(given[0])
    set_account(given[1])
    add_metadata(given[2])
