"""Finding the arguments that a function receives from the decorators above it.

The decorators' wrapper functions are copied, and in the closures of the copies the function beneath is replaced by
one that notes its arguments. The originals are left alone, since other code may call them; the copy is called if an
option of `@track_event` needs arguments.
"""

from __future__ import annotations

import dis
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

from journy_track._capture.bodies import Finish, Stepping
from journy_track._capture.functions import proxy
from journy_track._capture.signatures import called, named


class Watched:
    """A copy of a decorated function that notes the arguments of the function beneath the decorators."""

    def __init__(self, function: Any) -> None:
        #: The function beneath the decorators, whose arguments are noted.
        self.beneath: Any = None
        #: Cells of the originals, with their contents when the copies were made.
        self._held: list[tuple[CellType, Any]] = []
        self._function = function
        self._copy = self._copied(function)

    @classmethod
    def of(cls, function: Any) -> Watched | None:
        """Watch *function*; returns `None` if a decorator does not keep what it wraps in a closure variable."""
        try:
            return cls(function)
        except (LookupError, RecursionError):  # functions can be made to wrap each other
            return None

    def call_of(self, function: Any) -> Seen | None:
        """What to call once in place of *function*; `None` if it has changed since it was decorated."""
        if function is not self._function or not all(_holds(cell, held) for cell, held in self._held):
            return None
        return Seen(self, self._copy)

    def _copied(self, function: Any) -> Any:
        if isinstance(function, functools.partial):
            copied = functools.partial(self._copied(function.func), *function.args, **function.keywords)
            vars(copied).update(vars(function))
            return copied
        if isinstance(function, MethodType):
            return MethodType(self._copied(function.__func__), function.__self__)
        hides = called(function).hides
        if type(function) is not FunctionType or not hides:
            if hides:  # an object, or beneath a cache: it cannot be copied
                raise LookupError
            self.beneath = function
            # A proxy equal to the original, since a decorator may use the function as a key.
            return proxy(function, self._note)
        inner = function.__wrapped__  # type: ignore[attr-defined]  # it hides that
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        holding = {name for name, cell in cells.items() if _holds(cell, inner)}
        if not holding or not holding.isdisjoint(_assigned(function.__code__)):
            raise LookupError
        self._held += [(cells[name], inner) for name in holding]
        below = CellType(self._copied(inner))
        closure = tuple(below if name in holding else cell for name, cell in cells.items())
        code, scope = function.__code__, function.__globals__
        made = FunctionType(code, scope, function.__name__, function.__defaults__, closure)
        made.__kwdefaults__ = function.__kwdefaults__
        functools.update_wrapper(made, function)
        made.__dict__.update(function.__dict__)
        return made

    def _note(self, function: Any, args: Any, kwargs: Any) -> Any:
        seen = _seen.get()
        if seen is not None and seen.of is self:
            seen.note(named(function, args, kwargs, in_order=False))
        return function(*args, **kwargs)


class Seen:
    """One call of a watched function, with the arguments that the function beneath received."""

    __slots__ = ("_copy", "arguments", "of")

    def __init__(self, watched: Watched, copy: Any) -> None:
        self.of = watched
        self._copy = copy
        #: `None` until the function beneath is called.
        self.arguments: dict[str, Any] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.step(functools.partial(self._copy, *args, **kwargs))

    def step(self, resume: Callable[..., Any], *arguments: Any) -> Any:
        """Run *resume*, noting here the arguments of the calls that it makes."""
        token = _seen.set(self)
        try:
            return resume(*arguments)
        finally:
            _seen.reset(token)

    def opened(self, finish: Finish | None) -> tuple[Seen, Finish | None]:
        """Like `Body.opened`; a `with` block makes no difference here."""
        return self, finish

    def note(self, arguments: dict[str, Any]) -> None:
        """Note the arguments of a call; after several calls, as by a retrying decorator, only the identical ones."""
        before = self.arguments
        if before is not None:
            arguments = {k: v for k, v in arguments.items() if k in before and before[k] is v}
        self.arguments = arguments


class SeenBody:
    """Runs each step in *body*, and has *seen* watch it, too."""

    __slots__ = ("_body", "_seen")

    def __init__(self, body: Stepping, seen: Seen) -> None:
        self._body = body
        self._seen = seen

    def step(self, resume: Callable[..., Any], *arguments: Any) -> Any:
        return self._body.step(self._seen.step, resume, *arguments)

    def opened(self, finish: Finish | None) -> tuple[SeenBody, Finish | None]:
        body, finish = self._body.opened(finish)
        return SeenBody(body, self._seen), finish


_seen: ContextVar[Seen | None] = ContextVar("journy_track_seen", default=None)


def _holds(cell: CellType, thing: Any) -> bool:
    try:
        return cell.cell_contents is thing
    except ValueError:  # the cell is empty
        return False


def _assigned(code: CodeType) -> Iterator[str]:
    """The variables of enclosing functions that *code* assigns to."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("STORE_DEREF", "DELETE_DEREF"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _assigned(constant)
