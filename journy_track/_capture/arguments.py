"""The arguments of a decorated function's calls, for the options of `@track_event` that need them."""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import Any

from journy_track._capture.functions import inside
from journy_track._capture.signatures import Parameters, called, named, parameters_of
from journy_track._capture.stand_ins import flags_describe
from journy_track._capture.watching import Seen, Watched
from journy_track._model.errors import InvalidArgument


class Arguments:
    """Finds the arguments of one function's calls.

    If *asked* is false, no option needs them, and nothing is inspected. Raises `InvalidArgument` for a name in
    *capture* that is not a parameter of the function, or whose value cannot be known.
    """

    __slots__ = ("_watched",)

    def __init__(self, function: Any, capture: tuple[str, ...], *, asked: bool) -> None:
        self._watched: Watched | None = None
        if not asked:
            return
        function = inside(function)
        hidden = called(function).hides
        self._watched = Watched.of(function) if hidden else None
        if capture:
            _check(capture, parameters_of(function), hidden, self._watched)

    def watched_call(self, function: Any) -> Seen | None:
        """What to call once in place of *function* to see its arguments; `None`: call *function* itself."""
        return None if self._watched is None else self._watched.call_of(function)

    def of(self, function: Any, args: Any, kwargs: Any, seen: Seen | None) -> Mapping[str, Any]:
        """The arguments of one call, by name."""
        sure = named(function, args, kwargs, in_order=type(function) is FunctionType and flags_describe())
        return sure if seen is None or not seen.arguments else {**seen.arguments, **sure}


def _check(capture: tuple[str, ...], own: Parameters | None, hidden: bool, watched: Watched | None) -> None:
    beneath = None if watched is None else parameters_of(watched.beneath)
    if own is None:
        raise InvalidArgument("capture: the signature of this function is not known, so use metadata= instead")
    for name in capture:
        if name in own.names or (own.more and not hidden):
            continue
        if hidden and beneath is None:
            raise InvalidArgument(
                f"capture: {name!r} cannot be known through the decorator below @track_event, which may change the "
                "arguments: put @track_event below it, next to the function"
            )
        names = own.names if beneath is None else tuple(dict.fromkeys((*own.names, *beneath.names)))
        if name not in names and not (beneath is not None and beneath.more):
            import difflib

            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(names)}"
            if not names:
                hint = "it takes none. For what it reads elsewhere, as from a request, use metadata="
            raise InvalidArgument(f"capture: the function has no argument {name!r}: {hint}")
