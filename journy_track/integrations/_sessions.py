"""A request's session, which may identify the user: its contents, and reading it without marking it as accessed."""

from __future__ import annotations

from operator import is_
from typing import Any

from journy_track._capture.own_code import uncaptured


class Contents:
    """The successive contents of one request's session."""

    __slots__ = ("_latest",)

    def __init__(self) -> None:
        self._latest: dict[Any, Any] | None = None

    def of(self, session: Any) -> Any:
        """Return the contents of *session*, the same object until they change; a session that is not a dict as is."""
        if not issubclass(type(session), dict):
            return session
        now = dict.copy(session)
        if self._latest is None or not _alike(self._latest, now):
            self._latest = now
        return self._latest


def of_the_kind_of(session: Any, content: Any) -> Any:
    """Return *content* as a session of the same type as *session*, if one can be made from it."""
    if type(content) is not dict or type(session) is dict:
        return content
    try:
        return uncaptured(type(session), content)
    except Exception:  # noqa: BLE001 - the app's own code
        return content


def _alike(before: dict[Any, Any], now: dict[Any, Any]) -> bool:
    """Whether both hold the same. The app's values may not be comparable; they then count as different."""
    try:
        if before.keys() == now.keys() and all(map(is_, before.values(), now.values())):  # the usual case
            return True
        return uncaptured(lambda: bool(before == now))
    except Exception:  # noqa: BLE001 - the app's own code
        return False


class Untouched:
    """Context manager in which reading *session* of Django, Flask or Starlette does not mark it as accessed.

    A session marked as accessed makes the response vary by cookie. *session* is `None` if there is none.
    """

    __slots__ = ("_before", "_session")

    def __init__(self, session: Any) -> None:
        self._session = session
        self._before: tuple[Any, Any] = (None, None)

    def __enter__(self) -> None:
        self._before = self._now()

    def __exit__(self, *_: object) -> None:
        accessed, modified = self._before
        # A modified session has to be saved, for example if Django finds its hash outdated.
        if accessed is False and self._now() == (True, modified):
            self._session.accessed = False

    def _now(self) -> tuple[Any, Any]:
        return getattr(self._session, "accessed", None), getattr(self._session, "modified", None)
