"""A request's session, which may say who acts: what it holds, and how to look at it without a trace."""

from __future__ import annotations

from operator import is_
from typing import Any

from journy_track._capture.own_code import uncaptured


class Contents:
    """The contents of one request's session, one after the other."""

    __slots__ = ("_latest",)

    def __init__(self) -> None:
        self._latest: dict[Any, Any] | None = None

    def of(self, session: Any) -> Any:
        """What *session* holds, as one object until it changes. A session that is no dict stands for itself."""
        if not issubclass(type(session), dict):
            return session
        now = dict.copy(session)
        if self._latest is None or not _alike(self._latest, now):
            self._latest = now
        return self._latest


def of_the_kind_of(session: Any, content: Any) -> Any:
    """*content*, as a session of the same kind as *session* where one can be made of it."""
    if type(content) is not dict or type(session) is dict:
        return content
    try:
        return uncaptured(type(session), content)
    except Exception:  # noqa: BLE001 - the app's own code
        return content


def _alike(before: dict[Any, Any], now: dict[Any, Any]) -> bool:
    """Whether both hold the same. Values of the app's may not be comparable: then they are not the same."""
    try:
        if before.keys() == now.keys() and all(map(is_, before.values(), now.values())):  # as at most events
            return True
        return uncaptured(lambda: bool(before == now))
    except Exception:  # noqa: BLE001 - the app's own code
        return False


class Untouched:
    """Around a look at *session*, as of Django, Flask or Starlette: one that knows that it was accessed makes the
    response vary by cookie. `None`: there is none.
    """

    __slots__ = ("_before", "_session")

    def __init__(self, session: Any) -> None:
        self._session = session
        self._before: tuple[Any, Any] = (None, None)

    def __enter__(self) -> None:
        self._before = self._now()

    def __exit__(self, *_: object) -> None:
        accessed, modified = self._before
        # One that is changed, as where Django finds its hash outdated, has to be saved.
        if accessed is False and self._now() == (True, modified):
            self._session.accessed = False

    def _now(self) -> tuple[Any, Any]:
        return getattr(self._session, "accessed", None), getattr(self._session, "modified", None)
