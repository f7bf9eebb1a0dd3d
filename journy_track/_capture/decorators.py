"""@track_event: an event for each call of a function that ends as asked."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from time import perf_counter
from types import CoroutineType
from typing import Any, Protocol

from journy_track._capture.blocks import account_of, user_of
from journy_track._capture.bodies import Body, Inner, driven, driven_async
from journy_track._capture.context import UNSET, live_frame
from journy_track._capture.functions import (
    F,
    Kind,
    Wrapper,
    check_decoratable,
    kind_of,
    named_like,
    wrapped_in,
)
from journy_track._capture.options import Call, EventOptions
from journy_track._capture.records import Records, contain
from journy_track._capture.signatures import Signature
from journy_track._model.errors import InvalidArgument, described
from journy_track._model.items import Event
from journy_track._model.values import frozen_mapping


class Decorator(Protocol):
    """What `track_event(...)` gives: it returns what it gets, with the same type."""

    def __call__(self, function: F, /) -> F: ...


class Target(Protocol):
    """Where events go. Read at each call, so that import order never matters; `None`: nowhere."""

    @property
    def recorder(self) -> Records | None: ...


class _AfterCommit:
    """A target whose items wait for the surrounding transaction."""

    def __init__(self, target: Target) -> None:
        self._target = target

    @property
    def recorder(self) -> Records | None:
        recorder = self._target.recorder
        return None if recorder is None else recorder.after_commit


def decorated(target: Target, name: Any, options: dict[str, Any]) -> Any:
    """What `track_event` answers: a decorated function, or a decorator when it was given a name or options."""
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
            raise InvalidArgument(f"track_event has no option {option!r}: known are {', '.join(_OPTIONS)}")
    return EventOptions(name=name, **options)


def tracked(target: Target, options: EventOptions, function: F) -> F:
    """*function*, with an event for each call that ends as *options* ask."""
    check_decoratable(function, "@track_event")
    signature = Signature(function)
    signature.check(options.capture)
    if options.after_commit:
        target = _AfterCommit(target)
    kind = kind_of(function)
    if kind is Kind.PLAIN:
        wrapper = _simple(target, options) if options.simple else _plain(target, options, signature)
    elif kind is Kind.COROUTINE:
        wrapper = _coroutine(target, options, signature)
    else:
        wrapper = _generator(target, options, signature, driven if kind is Kind.GENERATOR else driven_async)
    return wrapped_in(wrapper, function)


def event_name_of(function: Any) -> str:
    """The name that a bare `@track_event` takes. Raises `InvalidArgument` when there is none."""
    inner = function.__func__ if isinstance(function, (classmethod, staticmethod)) else function
    name = getattr(inner, "__name__", "")
    if not isinstance(name, str) or not name or name == "<lambda>":
        raise InvalidArgument(f"{described(function)} has no name: pass one, as in @track_event('signed_in')")
    return name


# ── One wrapper for each kind of function ────────────────────────────────────────────────────────────────


def _simple(target: Target, options: EventOptions) -> Wrapper:
    """The path of most: an event after each success, with nothing to ask the call."""

    # Two names from out here and no more: each is copied at each call, also while nothing is tracked.
    def simple(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        recorder = target.recorder
        if recorder is None:
            return wrapped(*args, **kwargs)
        result = wrapped(*args, **kwargs)
        if type(result) is CoroutineType:  # a sync wrapper around an async function
            return named_like(_awaited(Inner(result), _Ending(recorder, options, dict)), wrapped)
        try:
            # By position, and all of them: as Python calls its own functions without a detour through C.
            recorder.record(
                Event, options.name, options.metadata, options.user, options.account, None, None, options.window
            )
        except Exception as error:  # noqa: BLE001 - contained: the caller's result passes
            contain(recorder, error, options.name, "capturing")
        return result

    return simple


def _plain(target: Target, options: EventOptions, signature: Signature) -> Wrapper:
    def plain(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        recorder = target.recorder
        if recorder is None:
            return wrapped(*args, **kwargs)
        arguments = functools.partial(signature.arguments, wrapped, instance, args, kwargs)
        ending = _Ending(recorder, options, arguments)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            ending(None, error)
            raise
        if type(result) is CoroutineType:
            return named_like(_awaited(Inner(result), ending), wrapped)
        ending(result, None)
        return result

    return plain


def _coroutine(target: Target, options: EventOptions, signature: Signature) -> Wrapper:
    def coroutine(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        recorder = target.recorder
        made = wrapped(*args, **kwargs)
        if recorder is None:
            return made
        arguments = functools.partial(signature.arguments, wrapped, instance, args, kwargs)
        return named_like(_awaited(Inner(made), _Ending(recorder, options, arguments)), wrapped)

    return coroutine


def _generator(target: Target, options: EventOptions, signature: Signature, drive: Any) -> Wrapper:
    def generator(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        recorder = target.recorder
        made = wrapped(*args, **kwargs)
        ending = None
        if recorder is not None:
            arguments = functools.partial(signature.arguments, wrapped, instance, args, kwargs)
            ending = _Ending(recorder, options, arguments)
        # Also without a tracker the body keeps its context to itself.
        return named_like(drive(made, Body(live_frame()), ending), wrapped)

    return generator


async def _awaited(pending: Inner, ending: _Ending) -> Any:
    ending.start = perf_counter()
    try:
        result = await pending.coroutine
    except BaseException as error:
        ending(None, error)
        raise
    ending(result, None)
    return result


# ── What happens when a call has ended ───────────────────────────────────────────────────────────────────


class _Ending:
    """Decides, when one call has ended, whether an event goes out, and with what. Never raises, but in debug."""

    __slots__ = ("_arguments", "_options", "_recorder", "start")

    def __init__(self, recorder: Records, options: EventOptions, arguments: Callable[[], Mapping[str, Any]]) -> None:
        self._recorder = recorder
        self._options = options
        self._arguments = arguments
        self.start = perf_counter()

    def __call__(self, result: Any, exception: BaseException | None) -> None:
        options = self._options
        try:
            if not _asked_for(options.on, exception):
                return
            call = Call(self._arguments, result, exception, perf_counter() - self.start)
            if options.when is not None and not options.when(call):
                return
            user = user_of(options.user(call)) if callable(options.user) else options.user
            account = account_of(options.account(call)) if callable(options.account) else options.account
            self._recorder.record(
                Event,
                options.name,
                self._values(call),
                user,
                account,
                self._automatic(call),
                at_most_every=options.window,
            )
        except Exception as error:  # noqa: BLE001 - contained: the caller's result or exception passes
            contain(self._recorder, error, options.name, "deciding on")

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
        except Exception as error:  # noqa: BLE001 - the event goes out without that part
            contain(self._recorder, error, options.name, "asking metadata= of", lost=False)
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
    return on == "error" and isinstance(exception, Exception) and not _interrupts(exception)


def _interrupts(exception: Exception) -> bool:
    """Celery's Retry, Ignore and Reject leave a task as exceptions, and are none of its failures."""
    return any(
        kind.__name__ == "TaskPredicate" and kind.__module__ == "celery.exceptions"
        for kind in type(exception).__mro__
    )


def _mapping(extra: Any) -> Mapping[Any, Any]:
    if not isinstance(extra, Mapping):
        raise TypeError(f"metadata= must return a mapping or None, at once, and not {described(extra)}")
    return extra
