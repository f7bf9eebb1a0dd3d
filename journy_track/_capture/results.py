"""Results that continue a call after the function has returned: awaitables, futures, context managers."""

from __future__ import annotations

import contextlib
import contextvars
import sys
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from enum import Enum
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType
from typing import Any

from journy_track._capture.bodies import Finish
from journy_track._capture.functions import unwrapped


class Goes(Enum):
    """How the result of a call continues it."""

    COROUTINE = "coroutine"
    GENERATOR = "generator"
    ASYNC_GENERATOR = "async generator"
    FUTURE = "future"
    #: The context managers that `contextlib.contextmanager` and `contextlib.asynccontextmanager` create.
    BLOCK = "block"
    ASYNC_BLOCK = "async block"


_PLAIN = (type(None), bool, int, float, str, bytes, bytearray, list, tuple, dict, set, frozenset, type, range)
#: The IDs of the types of most results. They end the call, and need no further checks. IDs and not the types, since
#: an app's type may have a metaclass that makes it unhashable.
ENDED = frozenset(map(id, _PLAIN))
#: The same for the app's types, by ID, while they exist: looking up missing attributes of a type is slow.
_ended: dict[int, weakref.ref[type]] = {}
_MAX_TYPES = 2048
_GOING_ON = ("add_done_callback", "__enter__", "__aenter__", "__await__", "send", "asend")


@contextlib.contextmanager
def _block() -> Generator[None]:
    yield


@contextlib.asynccontextmanager
async def _async_block() -> AsyncGenerator[None]:
    yield


# contextlib has no public names for these classes.
_Block: type = type(_block())
_AsyncBlock: type = type(_async_block())


def how_it_goes_on(result: Any, function: Any) -> Goes | None:
    """How *result* continues the call of *function* that returned it; `None` if the call has ended.

    Looks only at the type of *result*: a lazy object is not evaluated. Runs no code of the app.
    """
    kind = type(result)
    known = _ended.get(id(kind))
    if known is not None and known() is kind:
        return None
    if not _has_any(kind, _GOING_ON):
        if len(_ended) >= _MAX_TYPES:
            _ended.clear()
        _ended[id(kind)] = weakref.ref(kind)
        return None
    if kind is CoroutineType:  # a sync wrapper around an async function
        return Goes.COROUTINE
    if _is_future(kind):
        return Goes.FUTURE
    if _is_one(kind, _Block):
        return Goes.BLOCK
    if _is_one(kind, _AsyncBlock):
        return Goes.ASYNC_BLOCK
    if type(function) is FunctionType or type(unwrapped(function)) is FunctionType:
        return None
    # A compiled function (mypyc, Cython) looks plain until it is called, and returns its own kinds of generators.
    if kind is GeneratorType or kind is AsyncGeneratorType:
        return None
    if _has(kind, "__await__", "send", "throw", "close"):
        return Goes.COROUTINE
    if _has(kind, "__next__", "send", "throw", "close"):
        return Goes.GENERATOR
    return Goes.ASYNC_GENERATOR if _has(kind, "__anext__", "asend", "athrow", "aclose") else None


# The bases and namespace of a type, bypassing the app's metaclasses and descriptors, which may raise.
_bases_of: Callable[[type], tuple[type, ...]] = vars(type)["__mro__"].__get__
_namespace_of: Callable[[type], Mapping[str, Any]] = vars(type)["__dict__"].__get__


def _is_one(kind: type, base: type) -> bool:
    """Like issubclass, which abstract classes override to hash and cache *kind*."""
    return any(found is base for found in _bases_of(kind))


def _has(kind: type, *methods: str) -> bool:
    return all(_has_any(kind, (method,)) for method in methods)


def _has_any(kind: type, names: tuple[str, ...]) -> bool:
    return any(name in namespace for namespace in map(_namespace_of, _bases_of(kind)) for name in names)


def _is_future(kind: type) -> bool:
    if not _has(kind, "add_done_callback"):
        return False
    # If the module was not imported, *kind* is not one of its futures.
    futures = sys.modules.get("concurrent.futures")
    # Like asyncio.isfuture, which also accepts the futures of other loops.
    return _has(kind, "_asyncio_future_blocking") or (futures is not None and _is_one(kind, futures.Future))


def when_done(future: Any, finish: Finish) -> None:
    """Call *finish* with the outcome of *future* when it is done, in the current context."""
    if future.done():
        finish(*_outcome(future))
        return
    context = contextvars.copy_context()
    future.add_done_callback(lambda done: context.copy().run(lambda: finish(*_outcome(done))))


def _outcome(future: Any) -> tuple[Any, BaseException | None]:
    if future.cancelled():
        return None, _cancelled(future)
    # Calling exception() on a task would count as retrieving it, and asyncio would no longer warn that the exception
    # was never retrieved.
    error = future._exception if hasattr(future, "_exception") else future.exception()
    return (None, error) if error is not None else (future.result(), None)


def _cancelled(future: Any) -> BaseException:
    try:
        future.result()
    except BaseException as error:  # noqa: BLE001 - asyncio's CancelledError, or that of concurrent.futures
        return error
    raise AssertionError("a cancelled future has no result")
