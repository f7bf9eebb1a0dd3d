"""What every job system does: its messages carry who acts, and each job runs in a scope of its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any

from journy_track._capture.blocks import Block, scope
from journy_track._capture.carrier import HEADER
from journy_track._capture.context import in_our_own_code
from journy_track._carriers import extract, fill_scope, inject

__all__ = ["HEADER", "carried_by", "carry", "carrying", "enter", "fill_scope", "leave", "run_in_scope", "scope_of"]

#: Where a job's scope is kept while it runs, where one hook opens it and another closes it.
_SCOPE = "_journy_track_scope"


def carried_by(message: MutableMapping[str, Any]) -> Any:
    """What *message* carries. Of nobody's job an empty text, which is noted there: its retry is nobody's, too."""
    return message.setdefault(HEADER, "")


def carry(carrier: MutableMapping[str, Any], *, email: bool) -> None:
    """Write the current context into *carrier*, unless it holds one: a retry keeps whoever sent the job first."""
    if HEADER not in carrier and not in_our_own_code():
        inject(carrier, email=email)


def carrying(*, email: bool) -> str | None:
    """The current context as text, `None` where there is nothing to carry."""
    carrier: dict[str, str] = {}
    carry(carrier, email=email)
    return carrier.get(HEADER)


def scope_of(text: Any, *, eager: bool = False) -> Block:
    """The scope of a job that carries *text*. An *eager* one runs where it was sent, and inherits from there."""
    if eager:
        return scope(inherit=True)
    return extract({} if text is None else {HEADER: text})


def run_in_scope(text: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call *function* in the scope of a job that carries *text*. A coroutine that it returns runs in it, too."""
    with (block := scope_of(text)):
        result = function(*args, **kwargs)
    return _awaited(result, block) if inspect.iscoroutine(result) else result


async def _awaited(coroutine: Coroutine[Any, Any, Any], block: Block) -> Any:
    with block:
        return await coroutine


def enter(holder: Any, block: Block) -> None:
    """Open the scope of the job that *holder* stands for."""
    block.__enter__()
    setattr(holder, _SCOPE, block)


def leave(holder: Any) -> None:
    """Close it, where it is open."""
    block: Block | None = getattr(holder, _SCOPE, None)
    if block is not None:
        delattr(holder, _SCOPE)
        block.__exit__(None, None, None)
