"""@track_event: record an event for each call of a function whose outcome matches the options."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any, Protocol

from journy_track._capture.arguments import Arguments
from journy_track._capture.around import Around, Invocation, decorated
from journy_track._capture.attributes import UNSET
from journy_track._capture.bodies import NOTHING, Body, QuietCoroutine, Stepping, Steps
from journy_track._capture.context import current_frame, live_frame
from journy_track._capture.functions import F, check_decoratable
from journy_track._capture.inputs import account_of, user_of
from journy_track._capture.options import Call, EventOptions
from journy_track._capture.own_code import uncaptured
from journy_track._capture.records import Records, contain
from journy_track._capture.results import ENDED, how_it_goes_on
from journy_track._capture.watching import SeenBody
from journy_track._model.errors import InvalidArgument, described
from journy_track._model.frameworks import is_interruption
from journy_track._model.items import Event
from journy_track._model.values import frozen_mapping


class Decorator(Protocol):
    """The decorator that `track_event(...)` returns. It keeps the type of what it decorates."""

    def __call__(self, function: F, /) -> F: ...


class RecorderSource(Protocol):
    """Provides the recorder of events. Read at each call, so import order does not matter; `None` records nothing."""

    @property
    def recorder(self) -> Records | None: ...


class _AfterCommit:
    """A target whose items wait for the surrounding transaction."""

    def __init__(self, target: RecorderSource) -> None:
        self._target = target

    @property
    def recorder(self) -> Records | None:
        recorder = self._target.recorder
        return None if recorder is None else recorder.after_commit


def track_event(target: RecorderSource, name: Any, options: dict[str, Any]) -> Any:
    """Implement `track_event`: return a decorated function, or a decorator if a name or options were given."""
    if name is not UNSET and not isinstance(name, str):
        if options:
            raise InvalidArgument("track_event: give the name first, then options, then the function")
        return tracked(target, EventOptions(name=event_name_of(name)), name)
    if name is not UNSET:
        checked = _event_options(name, options)
        return lambda function: tracked(target, checked, function)
    _event_options("unnamed", options)
    return lambda function: tracked(target, _event_options(event_name_of(function), options), function)


_OPTIONS = ("metadata", "capture", "user", "account", "on", "duration", "when", "after_commit", "at_most_every")


def _event_options(name: str, options: dict[str, Any]) -> EventOptions:
    for option in options:
        if option not in _OPTIONS:
            import difflib

            near = difflib.get_close_matches(option, _OPTIONS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the options are {', '.join(_OPTIONS)}"
            raise InvalidArgument(f"track_event has no option {option!r}: {hint}")
    return EventOptions(name=name, **options)


def tracked(target: RecorderSource, options: EventOptions, function: F) -> F:
    """Decorate *function*: each call whose outcome matches *options* becomes an event."""
    check_decoratable(function, "@track_event")
    arguments = Arguments(function, options.capture, asked=options.asks_call)
    around = _Simple if options.simple else Tracked
    return decorated(function, around(target_of(target, options), options, arguments))


def target_of(target: RecorderSource, options: EventOptions) -> RecorderSource:
    """The target for events with these options."""
    return _AfterCommit(target) if options.after_commit else target


def event_name_of(function: Any) -> str:
    """The event name that a bare `@track_event` uses. Raises `InvalidArgument` if *function* has no name."""
    inner = function.__func__ if isinstance(function, (classmethod, staticmethod)) else function
    name = getattr(inner, "__name__", "")
    if not isinstance(name, str) or not name or name == "<lambda>":
        raise InvalidArgument(f"{described(function)} has no name: pass one, as in @track_event('signed_in')")
    return name


# ── Around each call ─────────────────────────────────────────────────────────────────────────────────────


class Tracked(Around):
    """Records an event for each call of a decorated function whose outcome matches the options."""

    __slots__ = ("_arguments", "_options", "_target")

    def __init__(self, target: RecorderSource, options: EventOptions, arguments: Arguments) -> None:
        self._target = target
        self._options = options
        self._arguments = arguments

    def begin(self, function: Any, args: Any, kwargs: Any) -> TrackedCall | None:
        recorder = self._target.recorder
        if recorder is None:
            return None
        return TrackedCall(recorder, self._options, self._arguments, function, args, kwargs)


class _Simple(Tracked):
    """The common case: an event after each success, with no option that needs details of the call."""

    __slots__ = ()

    def plain(self, function: Any, args: Any, kwargs: Any) -> Any:
        recorder = self._target.recorder
        if recorder is None:
            return function(*args, **kwargs)
        result = function(*args, **kwargs)
        options = self._options
        if id(type(result)) not in ENDED:
            goes = how_it_goes_on(result, function)
            if goes is not None:
                call = TrackedCall(recorder, options, self._arguments, function, args, kwargs)
                return self.going_on(goes, result, function, call)
        try:
            # All arguments by position: the fastest way to call a Python function.
            recorder.record(
                Event, options.name, options.metadata, options.user, options.account, None, None, options.window
            )
        except Exception as error:  # noqa: BLE001 - contained: the caller's result passes
            contain(recorder, error, options.name, "capturing")
        return result


class TrackedCall(Invocation):
    """One call. When it ends, decides whether to record an event, and with which values. Raises only in debug."""

    __slots__ = ("_args", "_arguments", "_function", "_kwargs", "_options", "_recorder", "_seen", "_start")

    def __init__(
        self, recorder: Records, options: EventOptions, arguments: Arguments, function: Any, args: Any, kwargs: Any
    ) -> None:
        self._recorder = recorder
        self._options = options
        self._arguments = arguments
        self._function = function
        self._args = args
        self._kwargs = kwargs
        self._seen = arguments.watched_call(function)
        self._start = perf_counter()

    def made(self, function: Any, args: Any, kwargs: Any) -> Any:
        return (self._seen or function)(*args, **kwargs)

    async def awaited(self, quiet: QuietCoroutine) -> Any:
        self._start = perf_counter()
        try:
            seen = self._seen
            result = await (quiet.coroutine if seen is None else Steps(quiet.coroutine, seen))
        except BaseException as error:
            self.finish(None, error)
            raise
        self.finish(result, None)
        return result

    def body(self) -> Stepping:
        body = Body(live_frame(), NOTHING)
        return body if self._seen is None else SeenBody(body, self._seen)

    def finish(self, result: Any, exception: BaseException | None) -> None:
        options = self._options
        try:
            internal = current_frame().internal
            if internal is not None and internal.active:  # before the callbacks, which may call this function again
                if internal.reason is not None and _asked_for(options.on, exception):
                    self._recorder.refuse(internal.reason)
                return
            if not _asked_for(options.on, exception):
                return
            call = Call(self._named_arguments, result, exception, perf_counter() - self._start)
            asked = uncaptured(self._asked, call) if options.calls_back else self._asked(call)
            if asked is not None:
                self._recorder.record(
                    Event, options.name, *asked, self._automatic(call), at_most_every=options.window
                )
        except Exception as error:  # noqa: BLE001 - contained: the caller's result or exception passes
            contain(self._recorder, error, options.name, "deciding whether to track")

    def _named_arguments(self) -> Mapping[str, Any]:
        return self._arguments.of(self._function, self._args, self._kwargs, self._seen)

    def _asked(self, call: Call) -> tuple[dict[Any, Any], Any, Any] | None:
        """The values, user and account according to the options; `None` if no event should be recorded."""
        options = self._options
        if options.when is not None and not options.when(call):
            return None
        user = user_of(options.user(call)) if callable(options.user) else options.user
        account = account_of(options.account(call)) if callable(options.account) else options.account
        return self._values(call), user, account

    def _values(self, call: Call) -> dict[Any, Any]:
        options = self._options
        values: dict[Any, Any] = {}
        if options.capture:
            arguments = call.arguments
            values.update({name: arguments[name] for name in options.capture if name in arguments})
        if not callable(options.metadata):
            values.update(options.metadata or {})
            return values
        try:
            extra = options.metadata(call)
            if extra is not None:
                values.update(frozen_mapping(_mapping(extra)))
        except Exception as error:  # noqa: BLE001 - the event is sent without that metadata
            contain(self._recorder, error, options.name, "calling metadata= for", lost=False)
        return values

    def _automatic(self, call: Call) -> dict[str, Any] | None:
        automatic: dict[str, Any] = {}
        if self._options.duration:
            automatic["duration_ms"] = round(call.duration * 1000, 3)
        if call.exception is not None:
            automatic["error_type"] = type(call.exception).__name__
        return automatic or None


def _asked_for(on: str, exception: BaseException | None) -> bool:
    if on == "always":
        return True
    if exception is None:
        return on == "success"
    return on == "error" and isinstance(exception, Exception) and not is_interruption(exception)


def _mapping(extra: Any) -> Mapping[Any, Any]:
    if not isinstance(extra, Mapping):
        raise InvalidArgument(f"metadata= must return a mapping or None, and is not awaited; got {described(extra)}")
    return extra
