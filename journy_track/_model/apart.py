"""Keep this library's own requests out of the app's traces."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: This library's own variables, whose values are copied into the separate context.
OURS: list[ContextVar[Any]] = []


_is_apart: ContextVar[bool] = ContextVar("journy_track_apart", default=False)


def stay_apart() -> None:
    """Mark the current context, which must be new, as separate: for this library's own threads."""
    from journy_track._model.tracing import stay_untraced

    stay_untraced()
    _is_apart.set(True)


def apart(function: Callable[P, T], /, *arguments: P.args, **options: P.kwargs) -> T:
    """Call *function* in a separate context, so that its requests are not part of the app's traces.

    Sentry, Datadog and Elastic keep the current span in context variables; Sentry also keeps its breadcrumbs there.
    """
    if _is_apart.get():
        return function(*arguments, **options)
    return Context().run(_call, [(variable, variable.get()) for variable in OURS], function, *arguments, **options)


def _call(
    ours: list[tuple[ContextVar[Any], Any]], function: Callable[P, T], /, *arguments: P.args, **options: P.kwargs
) -> T:
    from journy_track._model.tracing import untraced

    for variable, value in ours:
        variable.set(value)
    with untraced():
        return function(*arguments, **options)
