"""Finds what a module tracks, by reading it: nothing is imported, nothing runs."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from journy_track.cli.cataloguing.found import Catalog, Place
from journy_track.cli.cataloguing.naming import Names, dotted_name, names_of

#: Folders that hold other people's code, or none.
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "env", "build", "dist"})
#: Keywords of track() and of @track_event that are no metadata.
_OPTIONS = frozenset({"user", "account", "happened_at", "after_commit"})
_MORE = "…"

Function = ast.FunctionDef | ast.AsyncFunctionDef

#: Last parts of decorators with which a framework registers what is below them.
_REGISTERS = frozenset(
    {
        *("route", "websocket_route", "api_route", "websocket", "errorhandler", "exception_handler", "middleware"),
        *("before_request", "after_request", "teardown_request", "context_processor", "on_event"),
        *("task", "shared_task", "periodic_task", "command", "group", "callback"),
        *("receiver", "listener", "subscribe", "event_handler"),
    }
)
#: The same, where they are given a path: @app.get("/").
_METHODS = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "trace"})


def read(paths: Iterable[Path]) -> Catalog:
    """The catalog of all Python files in *paths*, which are files and folders."""
    catalog = Catalog()
    for path, shown in _files(paths):
        try:
            module = ast.parse(path.read_bytes(), filename=str(path))
        except (SyntaxError, ValueError) as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            catalog.unread[shown] = f"is no Python that this Python reads{line}"
        except OSError as error:
            catalog.unread[shown] = error.strerror or str(error)
        except RecursionError:
            catalog.unread[shown] = "is nested too deeply"
        else:
            catalog.places.extend(places_of(module, shown))
    return catalog


def places_of(module: ast.Module, file: str) -> list[Place]:
    """What *module* tracks; *file* is how to name it."""
    names = names_of(module)
    if not names.ours:
        return []
    reader = _Reader(names, file)
    reader.visit(module)
    return reader.places


def _files(paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """The Python files, and how they are named: from here, so that a committed catalog is the same everywhere."""
    for path in paths:
        if path.is_file():
            yield path, _named(path)
            continue
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(
                name
                for name in folders
                if name not in _SKIPPED and not name.startswith(".") and not Path(folder, name, "pyvenv.cfg").exists()
            )
            for name in sorted(files):
                if name.endswith(".py"):
                    yield Path(folder, name), _named(Path(folder, name))


def _named(path: Path) -> str:
    return Path(os.path.relpath(path)).as_posix()


class _Reader(ast.NodeVisitor):
    """Goes through one module, knowing in which function it is."""

    def __init__(self, names: Names, file: str) -> None:
        self.places: list[Place] = []
        self._names = names
        self._file = file
        self._within: list[Function | ast.ClassDef] = []
        #: What is said of an Event after it is made: `Event.for_user(…).with_metadata({…})`.
        self._said_later: dict[ast.expr, list[str]] = {}
        #: Calls of track_event that only make a decorator.
        self._decorating: set[ast.expr] = set()

    # ── Where we are ──

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._go_into(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._decorators(node)
        self._go_into(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._decorators(node)
        self._go_into(node)

    def _go_into(self, node: Function | ast.ClassDef) -> None:
        self._within.append(node)
        self.generic_visit(node)
        self._within.pop()

    def _place(
        self, name: ast.expr | str | None, how: str, line: int, keys: Iterable[str], problem: str | None = None
    ) -> None:
        text = name if isinstance(name, str) else self._names.text(name)
        written = text or (ast.unparse(name) if isinstance(name, ast.expr) else "")
        functions = [node for node in self._within if not isinstance(node, ast.ClassDef)]
        summary = (ast.get_docstring(functions[-1]) or "").partition("\n")[0] if functions else ""
        function = ".".join(node.name for node in self._within)
        ordered = tuple(dict.fromkeys(keys))
        if text is None:
            problem = problem or "the name is known only when the code runs"
        self.places.append(Place(text, written, how, self._file, line, function, ordered, summary, problem))

    # ── @track_event ──

    def _decorators(self, node: Function) -> None:
        for position, decorator in enumerate(node.decorator_list):
            call = decorator if isinstance(decorator, ast.Call) else None
            if self._names.meaning(decorator if call is None else call.func) != "track_event":
                continue
            self._decorating.add(decorator)
            name: ast.expr | str = call.args[0] if call is not None and call.args else node.name
            registered = next((d for d in node.decorator_list[position + 1 :] if _registers(d)), None)
            problem = None
            if registered is not None:
                problem = (
                    f"@{ast.unparse(registered)} is below it and registers the function without it: put "
                    "@track_event below"
                )
            keys = [] if call is None else list(self._option_keys(call))
            self._within.append(node)
            self._place(name, "@track_event", decorator.lineno, keys, problem)
            self._within.pop()

    def _option_keys(self, call: ast.Call) -> Iterator[str]:
        for option in call.keywords:
            if option.arg == "capture" and isinstance(option.value, (ast.Tuple, ast.List)):
                yield from (self._names.text(element) or _MORE for element in option.value.elts)
            elif option.arg == "capture":
                yield self._names.text(option.value) or _MORE
            elif option.arg == "metadata":
                yield from self._mapping_keys(option.value)
            elif option.arg == "duration" and not _is(option.value, False):
                yield "duration_ms"
            elif option.arg == "on" and not _is(option.value, "success"):
                yield "error_type"
            elif option.arg is None:
                yield _MORE

    # ── track() and Event ──

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "with_metadata" and node.args:
            made = _made_by(node.func.value)
            self._said_later.setdefault(made, []).extend(self._mapping_keys(node.args[0]))
        meaning = self._names.meaning(node.func)
        if meaning == "track":
            self._place(_argument(node, 0, ""), "track()", node.lineno, self._call_keys(node))
        elif meaning is not None and meaning.split(".")[0] == "Event":
            if meaning == "Event" or meaning.startswith("Event.for_"):
                self._place(_argument(node, 0, "name"), f"{meaning}()", node.lineno, self._event_keys(node))
        elif isinstance(node.func, ast.Call) and self._names.meaning(node.func.func) == "track_event" and node.args:
            self._decorating.add(node.func)
            named = node.func.args[0] if node.func.args else _last_name(node.args[0])
            self._place(named, "track_event()", node.lineno, self._option_keys(node.func))
        elif meaning == "track_event" and node not in self._decorating and node.args and not self._text_of(node):
            self._place(_last_name(node.args[0]), "track_event()", node.lineno, [])  # track_event(function)
        self.generic_visit(node)

    def _text_of(self, call: ast.Call) -> str | None:
        return self._names.text(call.args[0])

    def _call_keys(self, call: ast.Call) -> Iterator[str]:
        if len(call.args) > 1:
            yield from self._mapping_keys(call.args[1])
        for keyword in call.keywords:
            if keyword.arg is None:
                yield from self._mapping_keys(keyword.value)
            elif keyword.arg not in _OPTIONS:
                yield keyword.arg

    def _event_keys(self, call: ast.Call) -> Iterator[str]:
        metadata = next((keyword.value for keyword in call.keywords if keyword.arg == "metadata"), None)
        if metadata is not None:
            yield from self._mapping_keys(metadata)
        yield from self._said_later.get(call, ())

    def _mapping_keys(self, node: ast.expr) -> Iterator[str]:
        """The keys of a mapping as it is written, also by a function that answers one."""
        if isinstance(node, ast.Lambda):
            node = node.body
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if key is None:
                    yield from self._mapping_keys(value)
                else:
                    yield self._names.text(key) or _MORE
        elif isinstance(node, ast.Call) and dotted_name(node.func) == "dict" and not node.args:
            yield from (keyword.arg or _MORE for keyword in node.keywords)
        elif not _is(node, None):
            yield _MORE


def _made_by(node: ast.expr) -> ast.expr:
    """Where a chain of an Event's methods begins."""
    while (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("happened_at", "with_metadata")
    ):
        node = node.func.value
    return node


def _last_name(function: ast.expr) -> str:
    return (dotted_name(function) or ast.unparse(function)).rpartition(".")[2]


def _argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    if len(call.args) > position:
        return call.args[position]
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _registers(decorator: ast.expr) -> bool:
    """Whether a framework registers with it the function as it is below."""
    call = decorator if isinstance(decorator, ast.Call) else None
    dotted = dotted_name(decorator if call is None else call.func)
    if dotted is None:
        return False
    last = dotted.rpartition(".")[2]
    if last in _METHODS and "." in dotted:
        path = call.args[0] if call is not None and call.args else None
        return isinstance(path, ast.Constant) and isinstance(path.value, str) and path.value[:1] in ("", "/")
    return last in _REGISTERS


def _is(node: ast.expr, value: str | bool | None) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is type(value) and node.value == value
