"""`@track_event` with the class of a typed event: track the events that the function returns or yields."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any

from journy_track._capture.arguments import Arguments
from journy_track._capture.around import decorated
from journy_track._capture.bodies import driven, driven_async
from journy_track._capture.decorators import Decorator, RecorderSource, Tracked, TrackedCall, target_of
from journy_track._capture.functions import check_decoratable, named_like
from journy_track._capture.inputs import declaration_of
from journy_track._capture.options import Call, EventOptions
from journy_track._capture.typed import Declaration
from journy_track._model.errors import InvalidArgument, described

_OPTIONS = ("user", "account", "duration", "when", "after_commit", "at_most_every")


def track_event(target: RecorderSource, declaration: Declaration, options: dict[str, Any]) -> Decorator:
    """A decorator for functions that return or yield events of *declaration*."""
    for option in options:
        if option not in _OPTIONS:
            raise InvalidArgument(
                f"track_event has no option {option!r} with the class {declaration.cls.__name__}, whose fields are "
                f"the metadata of what the function returns: the options are {', '.join(_OPTIONS)}"
            )
    checked = EventOptions(name=declaration.name, **options)

    def decorate(function: Any) -> Any:
        check_decoratable(function, "@track_event")
        arguments = Arguments(function, (), asked=checked.asks_call)
        return decorated(function, _TrackedTyped(declaration, target_of(target, checked), checked, arguments))

    return decorate


class _TrackedTyped(Tracked):
    """Tracks the typed events that each call of a function returns or yields."""

    __slots__ = ("_declaration",)

    def __init__(
        self, declaration: Declaration, target: RecorderSource, options: EventOptions, arguments: Arguments
    ) -> None:
        super().__init__(target, options, arguments)
        self._declaration = declaration

    def begin(self, function: Any, args: Any, kwargs: Any) -> _TypedCall | None:
        recorder = self._target.recorder
        if recorder is None:
            return None
        return _TypedCall(self._declaration, recorder, self._options, self._arguments, function, args, kwargs)

    def generator(self, function: Any, args: Any, kwargs: Any) -> Any:
        call = self.begin(function, args, kwargs)
        if call is None:
            return super().generator(function, args, kwargs)
        made = _Yielding(call.made(function, args, kwargs), call.yielded)
        return named_like(driven(made, call.body(), call.finish), function)

    def async_generator(self, function: Any, args: Any, kwargs: Any) -> Any:
        call = self.begin(function, args, kwargs)
        if call is None:
            return super().async_generator(function, args, kwargs)
        made: Any = _AsyncYielding(call.made(function, args, kwargs), call.yielded)
        return named_like(driven_async(made, call.body(), call.finish), function)


class _TypedCall(TrackedCall):
    """One call, which may produce several events."""

    __slots__ = ("_declaration", "_yields")

    def __init__(self, declaration: Declaration, *call: Any) -> None:
        super().__init__(*call)
        self._declaration = declaration
        self._yields = False

    def yielded(self, value: Any) -> None:
        """Handle *value*, which the function has yielded, and which may be an event."""
        self._yields = True
        if value is not None:
            self.finish(value, None)

    def _asked(self, call: Call) -> tuple[dict[Any, Any], Any, Any] | None:
        event = call.result
        if not self._declaration.is_one(event):
            if event is None or self._yields:  # it may yield or return other things, too
                return None
            raise InvalidArgument(
                f"a function decorated with @track_event({self._declaration.cls.__name__}) must return an event of "
                f"that class, or None for no event; got {described(event)}"
            )
        asked = super()._asked(call)
        return None if asked is None else ((declaration_of(event) or self._declaration).values(event), *asked[1:])


class _Yielding:
    """Wraps a generator and calls *saw* with each yielded value."""

    __slots__ = ("_generator", "_saw")

    def __init__(self, generator: Any, saw: Callable[[Any], None]) -> None:
        self._generator = generator
        self._saw = saw

    def send(self, value: Any) -> Any:
        return self._seen(self._generator.send(value))

    def throw(self, error: BaseException) -> Any:
        return self._seen(self._generator.throw(error))

    def _seen(self, value: Any) -> Any:
        self._saw(value)
        return value


class _AsyncYielding:
    """The same for an async generator."""

    __slots__ = ("_generator", "_saw")

    def __init__(self, generator: Any, saw: Callable[[Any], None]) -> None:
        self._generator = generator
        self._saw = saw

    def asend(self, value: Any) -> Awaitable[Any]:
        return _SeenStep(self._generator.asend(value), self._saw)

    def athrow(self, error: BaseException) -> Awaitable[Any]:
        return _SeenStep(self._generator.athrow(error), self._saw)


class _SeenStep:
    __slots__ = ("_saw", "_step")

    def __init__(self, step: Awaitable[Any], saw: Callable[[Any], None]) -> None:
        self._step = step
        self._saw = saw

    def __await__(self) -> Generator[Any, Any, Any]:
        value = yield from self._step.__await__()
        self._saw(value)
        return value
