"""The options of `@track_event`, checked when the function is decorated."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from journy_track._capture.attributes import UNSET
from journy_track._capture.inputs import account_of, user_of
from journy_track._model.arguments import text
from journy_track._model.errors import InvalidArgument, described
from journy_track._model.frozendict import FrozenDict
from journy_track._model.identity import AccountIdentified, Identifier, UserIdentified
from journy_track._model.values import frozen_mapping

On = Literal["success", "error", "always"]
_ON = ("success", "error", "always")


class Call:
    """A finished call of a decorated function, passed to functions given as options.

    *result* is what it returned (`None` if it raised), *exception* is what it raised (`None` if it returned), and
    *duration* is how many seconds it took.
    """

    __slots__ = ("_arguments", "duration", "exception", "result")

    def __init__(
        self,
        arguments: Callable[[], Mapping[str, Any]],
        result: Any,
        exception: BaseException | None,
        duration: float,
    ) -> None:
        self._arguments = arguments
        self.result: Any = result
        self.exception: BaseException | None = exception
        self.duration: float = duration

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments by name, with defaults; those in `**kwargs` are listed under their own names.

        If a decorator below takes ``*args``, they include the arguments of the function beneath that decorator,
        unless it was called in another thread without the context. Arguments that cannot be known are left out.
        """
        return self._arguments()


UserOption = Identifier | UserIdentified | Callable[[Call], Any] | None
AccountOption = Identifier | AccountIdentified | Callable[[Call], Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventOptions:
    """The checked options of `track_event`."""

    name: str
    metadata: Mapping[str, Any] | Callable[[Call], Mapping[str, Any] | None] | None = None
    capture: tuple[str, ...] = ()
    user: Any = UNSET
    account: Any = UNSET
    on: On = "success"
    duration: bool = False
    when: Callable[[Call], object] | None = None
    after_commit: bool = False
    at_most_every: float | timedelta | None = None
    #: `at_most_every` in seconds; 0 keeps every event.
    window: float = field(init=False)
    #: Whether any option is a function that receives the `Call`.
    calls_back: bool = field(init=False)
    #: Whether that is so, or arguments of the call are captured.
    asks_call: bool = field(init=False)
    #: Whether no option depends on the call: each success becomes the same event.
    simple: bool = field(init=False)

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "name", text(self.name, "name"))
        if isinstance(self.capture, str) or not isinstance(self.capture, Collection):
            raise InvalidArgument(
                f"capture must be a tuple of argument names, got {described(self.capture)}: write capture=('plan',)"
            )
        names = tuple(self.capture)
        if not all(isinstance(name, str) and name for name in names):
            raise InvalidArgument("capture must hold argument names, each a str that is not empty")
        set_(self, "capture", names)
        if self.on not in _ON:
            raise InvalidArgument(f"on must be one of 'success', 'error', 'always', got {described(self.on)}")
        if not isinstance(self.duration, bool):
            raise InvalidArgument(f"duration must be True or False, got {described(self.duration)}")
        if not isinstance(self.after_commit, bool):
            raise InvalidArgument(f"after_commit must be True or False, got {described(self.after_commit)}")
        if self.when is not None and not callable(self.when):
            raise InvalidArgument(f"when must be a function of the finished call, got {described(self.when)}")
        set_(self, "window", _window(self.at_most_every))
        if isinstance(self.metadata, Mapping):
            set_(self, "metadata", FrozenDict(frozen_mapping(self.metadata)))
        elif self.metadata is not None and not callable(self.metadata):
            raise InvalidArgument(
                f"metadata must be a mapping or a function of the finished call, got {described(self.metadata)}"
            )
        set_(self, "user", _identity_option(self.user, user_of))
        set_(self, "account", _identity_option(self.account, account_of))
        calls_back = callable(self.metadata) or callable(self.user) or callable(self.account) or callable(self.when)
        set_(self, "calls_back", calls_back)
        set_(self, "asks_call", calls_back or bool(self.capture))
        set_(self, "simple", not (self.asks_call or self.duration) and self.on == "success")


def _window(value: Any) -> float:
    """The window in seconds; 0 if the option is not set."""
    if value is None:
        return 0.0
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < 1e10:
        raise InvalidArgument(f"at_most_every must be seconds above 0, or a timedelta; got {described(value)}")
    return float(seconds)


def _identity_option(value: Any, identified: Callable[[Any], Any]) -> Any:
    if value is UNSET or (callable(value) and not isinstance(value, type)):
        return value
    return identified(value)
