"""SQLAlchemy 2: `after_commit=True` waits for a session's commit.

    Session = instrument_sqlalchemy(sessionmaker(engine))

After a rollback, nothing is sent.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar
from weakref import WeakSet, ref

from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction, scoped_session, sessionmaker

from journy_track._capture.commit import register
from journy_track._capture.context import live_frame
from journy_track._model.errors import InvalidArgument, described

__all__ = ["instrument_sqlalchemy"]

S = TypeVar("S")
Emit = Callable[[], object]

_INFO = "journy_track"
#: The objects that have our listeners. `event.contains()` compares by `id()`, which may be reused by another object.
_instrumented: WeakSet[Any] = WeakSet()
#: The sessions used in this context, the latest last.
_used: ContextVar[tuple[ref[Session], ...]] = ContextVar("journy_track_sessions", default=())


def instrument_sqlalchemy(sessions: S) -> S:
    """Make `after_commit=True` wait for the commit of the sessions that *sessions* creates. Returns *sessions*.

    Accepts a `sessionmaker`, an `async_sessionmaker`, a scoped session of either, a `Session` class, or a single
    session. What is captured inside a savepoint also waits for that savepoint. Closing a session without a commit
    counts as a rollback. If several sessions are open, those that have written take precedence, and among them the
    one used last.

    Raises `InvalidArgument` for anything else.
    """
    target = _target(sessions)
    if target not in _instrumented:
        _instrumented.add(target)
        for name, listener in _LISTENERS.items():
            event.listen(target, name, listener)
    register(_open_transactions)
    return sessions


def _target(sessions: Any) -> Any:
    """Return the object to which SQLAlchemy attaches the listeners."""
    if isinstance(sessions, scoped_session):
        return _target(sessions.session_factory)
    # Not imported here: it needs greenlet, which a sync app may not have. An async session has imported it already.
    asynchronous: Any = sys.modules.get("sqlalchemy.ext.asyncio")
    if asynchronous is not None and (found := _beneath(sessions, asynchronous)) is not None:
        return found
    if isinstance(sessions, (sessionmaker, Session)) or (
        isinstance(sessions, type) and issubclass(sessions, Session)
    ):
        return sessions
    raise InvalidArgument(
        f"instrument_sqlalchemy() takes a sessionmaker, an async_sessionmaker or a session, got {described(sessions)}"
    )


def _beneath(sessions: Any, asynchronous: Any) -> Any:
    """Return the sync target underneath async *sessions*; `None` if they are not async."""
    if isinstance(sessions, asynchronous.async_scoped_session):
        return _target(sessions.session_factory)
    if isinstance(sessions, asynchronous.async_sessionmaker):
        made: Any = sessions.kw.get("sync_session_class") or sessions.class_.sync_session_class
        if made not in _instrumented:
            # A subclass, as `sessionmaker` itself creates one: others that share the original are not affected.
            made = type(made.__name__, (made,), {})
            sessions.configure(sync_session_class=made)
        return made
    return sessions.sync_session if isinstance(sessions, asynchronous.AsyncSession) else None


# ── Which transaction is open here ───────────────────────────────────────────────────────────────────────


class _Open:
    """The innermost transaction of a session: its savepoint, if there is one."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def on_commit(self, emit: Emit) -> None:
        transaction = _innermost(self._session)
        if transaction is not None:
            _waiting(self._session).setdefault(transaction, []).append(emit)


def _open_transactions() -> list[_Open]:
    sessions = _in_transaction(_used.get())
    if not sessions and (cell := live_frame().cell) is not None:
        # A thread pool's copy of the context is not visible to its caller: FastAPI's sync dependencies run in one.
        sessions = _in_transaction(cell.transactions)
    if not sessions:
        return []
    written = [session for session in sessions if _has_written(session)]
    return [_Open((written or sessions)[-1])]


def _in_transaction(used: Any) -> list[Session]:
    sessions = (reference() for reference in used)
    return [session for session in sessions if session is not None and session.in_transaction()]


def _has_written(session: Session) -> bool:
    return _WROTE in session.info or bool(session.new or session.dirty or session.deleted)


def _use(session: Session, *_: Any) -> None:
    """Record that *session* is used in this context."""
    used = _used.get()
    if not used or used[-1]() is not session:
        _used.set(_with(used, session))
    cell = live_frame().cell
    if cell is not None and (not cell.transactions or cell.transactions[-1]() is not session):
        cell.transactions = list(_with(tuple(cell.transactions), session))


def _with(used: tuple[ref[Session], ...], session: Session) -> tuple[ref[Session], ...]:
    others = tuple(r for r in used if (s := r()) is not None and s is not session and s.in_transaction())
    return (*others, ref(session))


# ── What SQLAlchemy tells ────────────────────────────────────────────────────────────────────────────────

_WROTE = "journy_track_wrote"


def _waiting(session: Session) -> dict[SessionTransaction, list[Emit]]:
    waiting: dict[SessionTransaction, list[Emit]] = session.info.setdefault(_INFO, {})
    return waiting


def _innermost(session: Session) -> SessionTransaction | None:
    return session.get_nested_transaction() or session.get_transaction()


def _executed(state: ORMExecuteState) -> None:
    if not state.is_select:
        state.session.info[_WROTE] = True
    _use(state.session)


def _flushed(session: Session, *_: Any) -> None:
    session.info[_WROTE] = True


def _committed(session: Session) -> None:
    """Handle a released savepoint or a commit."""
    transaction = _innermost(session)
    if transaction is None:
        return
    emits = _waiting(session).pop(transaction, [])
    if not transaction.nested:
        for emit in emits:
            emit()
        return
    outer = transaction.parent
    while outer is not None and not outer.nested and outer.parent is not None:  # a flush's subtransaction
        outer = outer.parent
    if outer is not None and emits:
        _waiting(session).setdefault(outer, []).extend(emits)


def _ended(session: Session, transaction: SessionTransaction) -> None:
    """Discard what still waits in a transaction that has ended: it was rolled back."""
    _waiting(session).pop(transaction, None)
    if transaction.parent is None:
        session.info.pop(_WROTE, None)


_LISTENERS: dict[str, Callable[..., Any]] = {
    "after_transaction_create": _use,
    "after_begin": _use,
    "after_attach": _use,
    "do_orm_execute": _executed,
    "after_flush": _flushed,
    "after_commit": _committed,
    "after_transaction_end": _ended,
}
