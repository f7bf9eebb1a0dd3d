"""Knowledge about frameworks that the core needs, supplied by pages in `journy_track.integrations`.

A page is loaded once its framework is imported, and imports nothing from it. So users need not import an integration
for anything here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple, TypeAlias

from journy_track._model.forks import importing

#: The module and name of a class, which identify it without importing the framework.
ClassName: TypeAlias = tuple[str, str]


class Holder(NamedTuple):
    """The attributes in which a framework's class holds functions, the most important one last."""

    attributes: tuple[str, ...]
    #: A decorator that registers functions with it. If empty, functions are registered in some other way.
    decorator: str = ""


class Framework(NamedTuple):
    """What one framework's page supplies."""

    #: Exceptions that may leave a function although it has not failed.
    interruptions: frozenset[ClassName] = frozenset()
    #: Objects that represent a registered function, so that decorating them has no effect; each with its description.
    registered: Mapping[ClassName, str] = {}
    #: The framework's classes that hold registered functions.
    holders: Mapping[ClassName, Holder] = {}
    #: Finds the database transactions that are open at the point of the call: see `_capture.commit`.
    open_transactions: Callable[[], Iterable[Any]] | None = None
    #: Arranges a callback for a process that ends without running exit handlers. May be called more than once.
    call_before_end: Callable[[Callable[[], None]], object] | None = None
    #: Whether it ends this process by os._exit, even if the process is not a fork of one with this library.
    ends_abruptly: Callable[[], bool] | None = None
    #: Called when a tracker starts, with whether captured items outlive the process (in a spool or broker), to warn.
    on_start: Callable[[bool], object] | None = None


#: Imported by name, since the lowest layer must not import higher ones statically.
_PAGES: Final = "journy_track.integrations._about"
_OUTGOING: Final = "journy_track.integrations._outgoing"
#: The loaded pages, by name.
_loaded: dict[str, Framework] = {}
#: The modules whose pages are not loaded yet, with the page. `None` until first needed.
_unloaded: dict[str, str] | None = None


def in_use() -> list[Framework]:
    """The pages of all frameworks that this process has imported."""
    modules = sys.modules
    for module in tuple(_table()):
        if module in modules:
            _load(module)
    return list(_loaded.values())


def is_interruption(exception: BaseException) -> bool:
    """Whether *exception* may leave a function that has not failed."""
    known = in_use()
    return any(name in framework.interruptions for name in _names(type(exception)) for framework in known)


def registered_as(function: Any) -> str | None:
    """What to call *function* if it represents one that a framework has registered; otherwise `None`."""
    known = in_use()
    for name in _names(type(function)):  # type(), not __class__: a lazy proxy would be evaluated
        for framework in known:
            if name in framework.registered:
                return framework.registered[name]
    return None


def holder_of(kind: type) -> Holder | None:
    """How instances of *kind* hold functions, if it is a framework's class; otherwise `None`."""
    known = in_use()
    for name in _names(kind):
        for framework in known:
            if name in framework.holders:
                return framework.holders[name]
    return None


def call_before_end(deliver: Callable[[], None]) -> None:
    """Arrange for *deliver* to be called if this process ends without exit handlers, as far as that is known."""
    for framework in in_use():
        if framework.call_before_end is not None:
            framework.call_before_end(deliver)


def ends_abruptly() -> bool:
    """Whether a framework ends this process by os._exit."""
    return any(framework.ends_abruptly is not None and framework.ends_abruptly() for framework in in_use())


def started(*, durable: bool) -> None:
    """Tell the frameworks that a tracker has started. *durable*: captured items outlive the process."""
    for framework in in_use():
        if framework.on_start is not None:
            framework.on_start(durable)


def propagate() -> None:
    """Make requests to the app's own services include the current user and account."""
    with importing:
        import_module(_OUTGOING).install()


def _names(kind: type) -> list[ClassName]:
    return [(base.__module__, base.__name__) for base in kind.__mro__]


def _table() -> dict[str, str]:
    global _unloaded  # noqa: PLW0603 - read once
    if _unloaded is None:
        with importing:
            pages: dict[str, str] = dict(import_module(_PAGES).PAGES)
        _unloaded = pages
    return _unloaded


def _load(module: str) -> None:
    table = _table()
    page = table.get(module)
    if page is None:
        return  # loaded by another thread
    with importing:
        # None if a signal handler gets here while this thread is importing the page.
        known: Framework | None = getattr(import_module(f"{_PAGES}.{page}"), "FRAMEWORK", None)
    if known is not None:
        _loaded[page] = known
        table.pop(module, None)
