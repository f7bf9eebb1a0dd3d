"""What has to be known about frameworks, without naming one: pages in `journy_track.integrations` supply it.

A page is loaded once its framework is imported, and imports nothing of it: nobody has to import an integration for
what is known here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple, TypeAlias

from journy_track._model.forks import importing

#: The module and the name of a class. By these a class is recognised, so that no framework has to be imported.
ClassName: TypeAlias = tuple[str, str]


class Holder(NamedTuple):
    """What a framework's class holds functions under, the most important attribute last."""

    attributes: tuple[str, ...]
    #: A decorator that registers with it. Without one, functions get there some other way.
    decorator: str = ""


class Framework(NamedTuple):
    """What one framework's page supplies."""

    #: Exceptions that leave a function though it has not failed.
    interruptions: frozenset[ClassName] = frozenset()
    #: Objects that stand for a function that it has registered, and would call past a decorator: what to call them.
    registered: Mapping[ClassName, str] = {}
    #: Its classes that hold registered functions.
    holders: Mapping[ClassName, Holder] = {}
    #: Finds the database transactions that are open where it is called: see `_capture.commit`.
    open_transactions: Callable[[], Iterable[Any]] | None = None
    #: Has what it is given called where a process ends without running exit handlers. May be called more than once.
    call_before_end: Callable[[Callable[[], None]], object] | None = None
    #: Whether it ends this process by os._exit, though it may not be a fork that had this library.
    ends_abruptly: Callable[[], bool] | None = None
    #: Called when a tracker starts, with whether captured items outlive the process (in a spool or a broker). Warns.
    on_start: Callable[[bool], object] | None = None


#: Imported by name: imports point down, and this is the floor.
_PAGES: Final = "journy_track.integrations._about"
_OUTGOING: Final = "journy_track.integrations._outgoing"
#: What was loaded, by the name of the page.
_loaded: dict[str, Framework] = {}
#: The modules whose pages are not loaded, with the page. `None` until somebody asks for the first time.
_unloaded: dict[str, str] | None = None


def in_use() -> list[Framework]:
    """What is known about each framework that this process has imported."""
    modules = sys.modules
    for module in tuple(_table()):
        if module in modules:
            _load(module)
    return list(_loaded.values())


def is_interruption(exception: BaseException) -> bool:
    """Whether *exception* leaves a function that has not failed."""
    known = in_use()
    return any(name in framework.interruptions for name in _names(type(exception)) for framework in known)


def registered_as(function: Any) -> str | None:
    """What to call *function*, where it stands for one that a framework has registered; else `None`."""
    known = in_use()
    for name in _names(type(function)):  # type(), not __class__: a lazy proxy would be evaluated
        for framework in known:
            if name in framework.registered:
                return framework.registered[name]
    return None


def holder_of(kind: type) -> Holder | None:
    """How instances of *kind* hold functions, where they are a framework's; else `None`."""
    known = in_use()
    for name in _names(kind):
        for framework in known:
            if name in framework.holders:
                return framework.holders[name]
    return None


def call_before_end(deliver: Callable[[], None]) -> None:
    """Have *deliver* called where this process ends without running exit handlers, as far as that is known."""
    for framework in in_use():
        if framework.call_before_end is not None:
            framework.call_before_end(deliver)


def ends_abruptly() -> bool:
    """Whether a framework ends this process by os._exit."""
    return any(framework.ends_abruptly is not None and framework.ends_abruptly() for framework in in_use())


def started(*, durable: bool) -> None:
    """A tracker has started. *durable*: what it captures outlives the process."""
    for framework in in_use():
        if framework.on_start is not None:
            framework.on_start(durable)


def propagate() -> None:
    """Requests to one's own services shall say who acts."""
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
        return  # by another thread
    with importing:
        # None: a signal handler came while this thread was importing it.
        known: Framework | None = getattr(import_module(f"{_PAGES}.{page}"), "FRAMEWORK", None)
    if known is not None:
        _loaded[page] = known
        table.pop(module, None)
