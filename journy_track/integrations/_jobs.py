"""Shared by the job systems: messages carry the user and account, and each job runs in its own scope."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any

from journy_track._capture.blocks import Block, scope
from journy_track._capture.carrier import HEADER
from journy_track._capture.context import in_our_own_code
from journy_track._carriers import extract, fill_scope, inject

__all__ = ["HEADER", "carried_by", "carry", "carrying", "enter", "fill_scope", "leave", "run_in_scope", "scope_of"]

#: The attribute that holds a running job's scope, if one hook opens it and another closes it.
_SCOPE = "_journy_track_scope"


def carried_by(message: MutableMapping[str, Any]) -> Any:
    """Return what *message* carries: an empty text if the job has no user, also set so that its retry has none."""
    return message.setdefault(HEADER, "")


def carry(carrier: MutableMapping[str, Any], *, email: bool) -> None:
    """Write the current context into *carrier*, unless it has one: a retry keeps the context of the first sender."""
    if HEADER not in carrier and not in_our_own_code():
        inject(carrier, email=email)


def carrying(*, email: bool) -> str | None:
    """Return the current context as text, or `None` if there is nothing to carry."""
    carrier: dict[str, str] = {}
    carry(carrier, email=email)
    return carrier.get(HEADER)


def scope_of(text: Any, *, eager: bool = False) -> Block:
    """Return the scope of a job that carries *text*. An *eager* job inherits the context it is sent in."""
    if eager:
        return scope(inherit=True)
    return extract({} if text is None else {HEADER: text})


def run_in_scope(text: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call *function* in the scope of a job that carries *text*. A coroutine that it returns also runs in it."""
    with (block := scope_of(text)):
        result = function(*args, **kwargs)
    return _awaited(result, block) if inspect.iscoroutine(result) else result


async def _awaited(coroutine: Coroutine[Any, Any, Any], block: Block) -> Any:
    with block:
        return await coroutine


def enter(holder: Any, block: Block) -> None:
    """Open *block*, the scope of a job, and store it on *holder*."""
    block.__enter__()
    setattr(holder, _SCOPE, block)


def leave(holder: Any) -> None:
    """Close the scope that `enter` stored on *holder*, if there is one."""
    block: Block | None = getattr(holder, _SCOPE, None)
    if block is not None:
        delattr(holder, _SCOPE)
        block.__exit__(None, None, None)
