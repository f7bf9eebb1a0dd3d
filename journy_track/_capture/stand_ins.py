"""A Python function in another one's place: called as that one is, and a function to all that look at it.

It is made from code with the parameters of the other, so that whatever asks a function how it may be called, also by
`__code__`, learns the same. Its flags are the other's, too: to `inspect` it is a coroutine function or a generator
function, though a call of it is an ordinary call, which returns what the other one made. (In CPython since 3.11 the
bytecode makes a generator, and the flags only describe it. Elsewhere the flags make it: see `flags_describe`.)
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from keyword import iskeyword
from types import CellType, CodeType, FunctionType
from typing import Any

#: What a stand-in calls: with the function whose place it takes, and the arguments of the call.
Run = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]

_DESCRIBING = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
#: What tracebacks show as the file: it has no source, and no file of the app is taken for it.
_FILE = "<journy_track>"


def flags_describe() -> bool:
    """Whether the flags of code only describe what a call of it gives. On PyPy, for one, they decide it."""
    return sys.implementation.name == "cpython"


def stand_in(function: FunctionType, run: Run) -> FunctionType:
    """A function in the place of *function*: calls ``run(function, args, kwargs)``.

    *args* and *kwargs* are complete: defaults are filled in, and whatever can be passed by position is. Where flags
    decide, the stand-in looks like a plain function.
    """
    code = function.__code__
    kept = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | (_DESCRIBING if flags_describe() else 0)
    template, function_first = _template(
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        parameter_names(code),
        code.co_flags & kept,
        code.co_name,
    )
    cells = (CellType(function), CellType(run))
    closure = cells if function_first else cells[::-1]
    # The globals of the other: frameworks evaluate annotations that are text in them.
    made = FunctionType(template, function.__globals__, function.__name__, function.__defaults__, closure)
    made.__kwdefaults__ = function.__kwdefaults__
    return functools.update_wrapper(made, function)  # type: ignore[return-value]  # it returns what it got


def parameter_names(code: CodeType) -> tuple[str, ...]:
    """The parameters of *code* by name: by position, by keyword only, then those of ``*`` and ``**``."""
    flags = code.co_flags
    count = code.co_argcount + code.co_kwonlyargcount
    return code.co_varnames[: count + bool(flags & inspect.CO_VARARGS) + bool(flags & inspect.CO_VARKEYWORDS)]


@functools.lru_cache(2048)
def _template(
    argcount: int, posonly: int, kwonly: int, names: tuple[str, ...], flags: int, name: str
) -> tuple[CodeType, bool]:
    """Code with these parameters, and whether its closure holds the function first, or else what is to be run."""
    if not all(given.isidentifier() and not iskeyword(given) for given in names):
        # Made by a program, and by no compiler.
        argcount, posonly, kwonly, names = 0, 0, 0, ("args", "kwargs")
        flags |= inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
    positional, keywords, rest = (
        names[:argcount],
        names[argcount : argcount + kwonly],
        list(names[argcount + kwonly :]),
    )
    star = [f"*{rest.pop(0)}"] if flags & inspect.CO_VARARGS else []
    stars = [f"**{rest.pop(0)}"] if flags & inspect.CO_VARKEYWORDS else []
    slash = ["/"] if posonly else []
    bare_star = ["*"] if keywords and not star else []
    parameters = [*names[:posonly], *slash, *names[posonly:argcount], *star, *bare_star, *keywords, *stars]
    function, run = _free("function", names), _free("run", names)
    args = "".join(f"{given}, " for given in (*positional, *star))
    kwargs = ", ".join([*(f"{given!r}: {given}" for given in keywords), *stars])
    source = (
        f"def around({function}, {run}):\n"
        f"    def call({', '.join(parameters)}):\n"
        f"        return {run}({function}, ({args}), {{{kwargs}}})\n"
        "    return call\n"
    )
    namespace: dict[str, Any] = {}
    exec(compile(source, _FILE, "exec"), namespace)
    code: CodeType = namespace["around"](None, None).__code__
    made = code.replace(
        co_flags=code.co_flags | flags & _DESCRIBING, co_name=name, co_qualname=name, co_firstlineno=1
    )
    return made, made.co_freevars[0] == function


def _free(name: str, taken: tuple[str, ...]) -> str:
    while name in taken:
        name = f"_{name}"
    return name
