"""Make our own requests apart from the app's traces."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: Variables of this library: they hold in there as they do outside.
OURS: list[ContextVar[Any]] = []


_is_apart: ContextVar[bool] = ContextVar("journy_track_apart", default=False)


def stay_apart() -> None:
    """Mark this context, which has to be new, as apart: for a thread of ours, which does nothing for the app."""
    from journy_track._model.tracing import stay_untraced

    stay_untraced()
    _is_apart.set(True)


def apart(function: Callable[P, T], /, *arguments: P.args, **options: P.kwargs) -> T:
    """Call *function* in a context of its own: what it does belongs to no trace of the app.

    Sentry, Datadog and Elastic keep the current span in context variables, and Sentry also where breadcrumbs go.
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
