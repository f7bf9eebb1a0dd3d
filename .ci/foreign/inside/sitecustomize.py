"""Decorates every function and method of chosen packages while they are imported, or every view of a framework.

Python imports this module at its start, in the tests' own subprocesses, too. The environment says what to do:
FOREIGN_PACKAGES (names of packages, separated by commas), FOREIGN_FRAMEWORK (one in `foreign_frameworks`, instead of
packages), FOREIGN_VARIANT (see `VARIANTS`), FOREIGN_TRACKER (empty: nothing is configured) and FOREIGN_UNITTEST
(empty: the tests run under pytest). The decorator of a function is the innermost one, right above `def`. Functions
within functions are left alone, and so are overloads.
"""

from __future__ import annotations

import ast
import atexit
import builtins
import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from foreign_control import passing

PACKAGES = tuple(os.environ["FOREIGN_PACKAGES"].split(","))
FRAMEWORK = os.environ["FOREIGN_FRAMEWORK"]
#: A file that gets a line for each function that was refused.
REFUSED = os.environ["FOREIGN_REFUSED"]
#: The name under which the changed modules find the decorator.
_NAME = "__foreign_decorator__"


def event(function: FunctionType) -> Any:
    from journy_track import track_event

    return track_event("called", user="u1")(function)


def options(function: FunctionType) -> Any:
    from journy_track import track_event

    code = function.__code__
    last = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount][-2:]
    capture = tuple(name for name in last if name not in ("self", "cls"))
    return track_event("called", user="u1", capture=capture, on="always", duration=True)(function)


def context(function: FunctionType) -> Any:
    from journy_track import metadata, user

    return user("u1")(metadata(place=function.__qualname__)(function))


VARIANTS: dict[str, Callable[[FunctionType], Any]] = {
    "control": passing,
    "event": event,
    "options": options,
    "context": context,
}


def decorator(decorate: Callable[[FunctionType], Any]) -> Callable[[Any], Any]:
    """*decorate*, which leaves alone and writes down what it refuses."""

    def decorated(function: Any) -> Any:
        try:
            return decorate(function)
        except Exception as error:  # noqa: BLE001 - a refusal is a result
            with Path(REFUSED).open("a", encoding="utf-8") as file:
                file.write(f"{_named(function)}: {type(error).__name__}: {error}\n")
            return function

    return decorated


def _named(function: Any) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', function)}"


class _Decorating(ast.NodeTransformer):
    """Adds the decorator to each function of a module and its classes."""

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        if not any(ast.unparse(above).endswith("overload") for above in node.decorator_list):
            # At the place of the `def`, so that no line number changes.
            node.decorator_list.append(ast.copy_location(ast.Name(_NAME, ast.Load()), node))
        return node

    visit_AsyncFunctionDef = visit_FunctionDef


class _Loader(SourceFileLoader):
    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> Any:
        tree = _Decorating().visit(ast.parse(data, path))
        return compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        first, *rest = parts = name.split(".")
        if first not in PACKAGES or {"test", "tests", "conftest"} & set(rest) or parts[-1].startswith("test_"):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install(variant: str) -> None:
    """Decorate as *variant* says, from now on."""
    import journy_track

    if os.environ["FOREIGN_TRACKER"]:
        journy_track.configure(
            api_key="foreign", base_url="http://127.0.0.1:9", before_send=lambda item: None, shutdown_timeout=1
        )
        process = os.getpid()  # a forked child has nothing to print
        atexit.register(lambda: os.getpid() == process and print(f"\n{journy_track.stats()}", file=sys.stderr))
    if FRAMEWORK:
        import foreign_frameworks

        foreign_frameworks.install(FRAMEWORK, variant, decorator)
        return
    setattr(builtins, _NAME, decorator(VARIANTS[variant]))
    sys.meta_path.insert(0, _Finder())


if os.environ["FOREIGN_UNITTEST"]:
    import foreign_outcomes

    foreign_outcomes.watch_unittest()
if os.environ["FOREIGN_VARIANT"] != "undecorated":
    install(os.environ["FOREIGN_VARIANT"])
