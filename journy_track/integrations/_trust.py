"""Requests from the app's own services: whether the carrier they contain is believed."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Literal, TypeAlias

from journy_track._capture.attributes import NO_ATTRIBUTES, Attributes
from journy_track._capture.carrier import HEADER
from journy_track._carriers import received
from journy_track._model.errors import ConfigurationError, described
from journy_track.integrations._requests import Callback, is_async

#: A function of the request, or `"signed"`: believe whatever is signed with `carrier_secret`.
Trust: TypeAlias = Callback | Literal["signed"] | None


def trusted(trust: Trust, text_of: Callable[..., str | None]) -> Callback | None:
    """Return a function that reads the attributes a request carries, from *text_of* it. `None`: nothing is believed.

    Raises `ConfigurationError` if *trust* is neither a function nor `"signed"`.
    """
    if trust is None:
        return None
    if trust == "signed":

        def signed(*request: Any) -> Attributes:
            return received({HEADER: text_of(*request)}, signed=True)

        return signed
    if not callable(trust):
        raise ConfigurationError(f'trust must be a function of the request, or "signed"; got {described(trust)}')
    asked: Callback = trust

    def carried(*request: Any) -> Any:
        text = text_of(*request)
        if not text:
            return NO_ATTRIBUTES
        answer = asked(*request)
        # A lambda around an async function is not detected as async, and its coroutine alone would count as true.
        return _Awaited(answer, text) if inspect.isawaitable(answer) else _believed(answer, text)

    async def carried_async(*request: Any) -> Attributes:
        text = text_of(*request)
        return _believed(await asked(*request), text) if text else NO_ATTRIBUTES

    return carried_async if is_async(asked) else carried


def _believed(answer: Any, text: str) -> Attributes:
    return received({HEADER: text}, signed=False) if answer else NO_ATTRIBUTES


class _Awaited:
    """Awaitable of the attributes, which depend on the awaited *answer*."""

    def __init__(self, answer: Awaitable[Any], text: str) -> None:
        self._answer = answer
        self._text = text

    def __await__(self) -> Generator[Any, None, Attributes]:
        return _believed((yield from self._answer.__await__()), self._text)

    def close(self) -> None:
        """Close it without awaiting it: otherwise Python warns of a coroutine that was never awaited."""
        if inspect.iscoroutine(self._answer):
            self._answer.close()
