"""Finds the events and properties that one module tracks."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from journy_track.cli.cataloguing.declaring import (
    Declarations,
    problem_of_call,
    problem_of_keys,
    problem_of_values,
)
from journy_track.cli.cataloguing.found import Declared, Place, PropertyUse
from journy_track.cli.cataloguing.naming import dotted_name
from journy_track.cli.cataloguing.project import Module

#: Keywords of track() and of @track_event that are not metadata.
_OPTIONS = frozenset({"user", "account", "happened_at", "after_commit"})
_MORE = "…"
#: Keywords of upserts that are not properties.
_IDENTITIES = {
    "user": ("user", "user_id", "email", "after_commit"),
    "account": ("account", "account_id", "domain", "after_commit"),
}

Function = ast.FunctionDef | ast.AsyncFunctionDef

#: The last parts of decorators with which a framework registers the function below them.
_REGISTERS = frozenset(
    {
        *("route", "websocket_route", "api_route", "websocket", "errorhandler", "exception_handler", "middleware"),
        *("before_request", "after_request", "teardown_request", "context_processor", "on_event"),
        *("task", "shared_task", "periodic_task", "actor", "job", "scheduled_job", "command", "group", "callback"),
        *("receiver", "listener", "subscribe", "event_handler"),
    }
)
#: The same, for decorators that take a path: @app.get("/").
METHODS = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "trace"})


class ModuleReader(ast.NodeVisitor):
    """Visits one module, and keeps track of the enclosing functions and classes."""

    def __init__(self, module: Module, declarations: Declarations) -> None:
        self.places: list[Place] = []
        self.properties: list[PropertyUse] = []
        self._module = module
        self._names = module.names
        self._file = module.file
        self._declarations = declarations
        self._typed = _typed_names(module, declarations)
        self._within: list[Function | ast.ClassDef] = []
        #: The metadata keys that an Event gets after it is created: `Event.for_user(…).with_metadata({…})`.
        self._said_later: dict[ast.expr, list[str]] = {}
        #: Calls of track_event that only create a decorator.
        self._decorating: set[ast.expr] = set()

    # ── Enclosing definitions ──

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        declared = self._declarations.in_class(self._module, node)
        if declared is not None:
            self._declared(node, declared)
        for decorator in node.decorator_list if declared is None else ():
            if isinstance(decorator, ast.Call) and self._names.meaning(decorator.func) == "event":
                self._place(_argument(decorator, 0, ""), "@event", node.lineno, [])
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
        self,
        name: ast.expr | str | None,
        how: str,
        line: int,
        keys: Iterable[str],
        problem: str | None = None,
        *,
        mistake: bool = False,
        summary: str | None = None,
    ) -> None:
        text = name if isinstance(name, str) else self._names.text(name)
        written = text or (ast.unparse(name) if isinstance(name, ast.expr) else "")
        functions = [node for node in self._within if not isinstance(node, ast.ClassDef)]
        if summary is None:
            summary = (ast.get_docstring(functions[-1]) or "").partition("\n")[0] if functions else ""
        function = ".".join(node.name for node in self._within)
        ordered = tuple(dict.fromkeys(keys))
        if text is None:
            problem = problem or "the name is known only when the code runs"
        self.places.append(
            Place(
                text,
                written,
                how,
                self._file,
                line,
                function,
                ordered,
                summary,
                problem,
                mistake and problem is not None,
            )
        )

    # ── Typed events ──

    def _declared(self, node: ast.ClassDef, declared: Declared) -> None:
        problem = next((f"{field.name}: {field.problem}" for field in declared.fields if field.problem), None)
        keys = [field.name for field in declared.fields]
        self._within.append(node)
        self._place(declared.name, "@event", node.lineno, keys, problem, mistake=True, summary=declared.summary)
        self._within.pop()

    def _made(self, call: ast.Call, declared: Declared) -> None:
        """Record a call that creates a typed event."""
        by_position = declared.by_position()[: len(call.args)]
        keys = [*by_position, *(word.arg for word in call.keywords if word.arg is not None)]
        self._typed_place(call, declared, keys, problem_of_call(declared, call))

    def _mapping_of(self, call: ast.Call, declared: Declared, mapping: ast.expr) -> None:
        """Record a call of track() with a class and a mapping."""
        keys = [key for key in self._mapping_keys(mapping) if key != _MORE]
        problem = problem_of_keys(declared, keys)
        if problem is None and isinstance(mapping, ast.Dict):
            values = {self._names.text(key): value for key, value in zip(mapping.keys, mapping.values, strict=True)}
            if None not in values:
                problem = problem_of_values(declared, values)
        self._typed_place(call, declared, keys, problem)

    def _typed_place(self, call: ast.Call, declared: Declared, keys: list[str], problem: str | None) -> None:
        how = f"{declared.cls}(…)"
        self._place(declared.name, how, call.lineno, keys, problem, mistake=True, summary="")

    def _is_typed(self, node: ast.expr | None) -> bool:
        """Whether *node* is a typed event, which is recorded where it is created."""
        if isinstance(node, ast.Call):
            return self._declarations.of(self._module, node.func) is not None
        return node is not None and dotted_name(node) in self._typed

    # ── @track_event ──

    def _decorators(self, node: Function) -> None:
        for position, decorator in enumerate(node.decorator_list):
            call = decorator if isinstance(decorator, ast.Call) else None
            if self._names.meaning(decorator if call is None else call.func) != "track_event":
                continue
            self._decorating.add(decorator)
            name: ast.expr | str = call.args[0] if call is not None and call.args else node.name
            declared = None if isinstance(name, str) else self._declarations.of(self._module, name)
            registered = next((d for d in node.decorator_list[position + 1 :] if registers(d)), None)
            problem = None
            if registered is not None:
                problem = (
                    f"@{ast.unparse(registered)} is below it and registers the function without it: put "
                    "@track_event below"
                )
            keys = [] if call is None else list(self._option_keys(call))
            if declared is not None:
                name, keys = declared.name, [*(field.name for field in declared.fields), *keys]
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
        declared = self._declarations.of(self._module, node.func)
        if declared is not None:
            self._made(node, declared)
        elif meaning == "track":
            self._tracks(node)
        elif meaning in ("upsert_user", "upsert_account"):
            self._upserts(node, meaning.removeprefix("upsert_"))
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

    def _tracks(self, node: ast.Call) -> None:
        first = _argument(node, 0, "")
        declared = None if first is None else self._declarations.of(self._module, first)
        if declared is not None:
            if len(node.args) > 1 and not self._is_typed(node.args[1]):
                self._mapping_of(node, declared, node.args[1])
        elif not self._is_typed(first):
            self._place(first, "track()", node.lineno, self._call_keys(node))

    def _upserts(self, node: ast.Call, of: str) -> None:
        mapping = node.args[0] if node.args else None
        pairs: list[tuple[str | None, ast.expr]] = [
            (word.arg, word.value) for word in node.keywords if word.arg not in (None, *_IDENTITIES[of])
        ]
        if isinstance(mapping, ast.Dict):
            pairs += [(self._names.text(key), value) for key, value in zip(mapping.keys, mapping.values, strict=True)]
        for name, value in pairs:
            if name is not None:
                self.properties.append(PropertyUse(of, name, type_of_value(value), self._file, node.lineno))

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
        """The keys of a mapping in the code, also of one that a lambda returns."""
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
    """The expression at the start of a chain of an Event's methods."""
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


def registers(decorator: ast.expr) -> bool:
    """Whether a framework uses *decorator* to register the function as it is below it."""
    call = decorator if isinstance(decorator, ast.Call) else None
    dotted = dotted_name(decorator if call is None else call.func)
    if dotted is None:
        return False
    last = dotted.rpartition(".")[2]
    if last in METHODS and "." in dotted:
        path = call.args[0] if call is not None and call.args else None
        return isinstance(path, ast.Constant) and isinstance(path.value, str) and path.value[:1] in ("", "/")
    return last in _REGISTERS


def _is(node: ast.expr, value: str | bool | None) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is type(value) and node.value == value


def _typed_names(module: Module, declarations: Declarations) -> set[str]:
    """Names and attributes that hold a typed event, as far as the code shows it."""
    found: set[str] = set()
    for node in ast.walk(module.tree) if declarations else ():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            if declarations.of(module, node.value.func) is not None:
                found.update(name for target in node.targets if (name := dotted_name(target)) is not None)
        elif isinstance(node, ast.AnnAssign) and declarations.of(module, node.annotation) is not None:
            found.update(name for name in [dotted_name(node.target)] if name is not None)
        elif isinstance(node, ast.arg) and node.annotation is not None and declarations.of(module, node.annotation):
            found.add(node.arg)
    return found


#: The types that calls of these functions return.
_MADE = {
    "Decimal": "number",
    "datetime": "datetime",
    "now": "datetime",
    "date": "date",
    "today": "date",
    "str": "string",
}


def type_of_value(node: ast.expr) -> str | None:
    """The type of a value, as far as the code shows it: `string`, `boolean`, `number`, `datetime`, `date`, `list`."""
    if isinstance(node, (ast.JoinedStr, ast.List, ast.Tuple)):
        return "string" if isinstance(node, ast.JoinedStr) else "list"
    if isinstance(node, ast.Call):
        return _MADE.get((dotted_name(node.func) or "").rpartition(".")[2])
    if not isinstance(node, ast.Constant) or node.value is None:
        return None
    kind = type(node.value)
    return {str: "string", bool: "boolean", int: "number", float: "number"}.get(kind)
