"""Finds the handlers that frameworks call: routes, views, tasks and commands, by how they are registered."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from journy_track.cli.cataloguing.calls import METHODS
from journy_track.cli.cataloguing.naming import dotted_name
from journy_track.cli.cataloguing.project import Module
from journy_track.cli.covering.classes import entries_of, is_django_command, is_task_class, is_view_set
from journy_track.cli.covering.names import Definition, Foreign, Function, NameResolver, Scope

_WEB = frozenset({"fastapi", "flask", "litestar", "ninja", "quart", "starlette"})
_JOBS = frozenset(
    {"celery", "django_rq", "django_tasks", "django.tasks", "dramatiq", "huey", "procrastinate", "rq", "taskiq"}
)
_COMMANDS = frozenset({"asyncclick", "click", "cyclopts", "flask", "rich_click", "typer"})
#: The last parts of decorators, with the kind of handler that they register, and the packages that define them.
_BY_DECORATOR: dict[str, tuple[str, frozenset[str]]] = {
    **dict.fromkeys(("route", "api_route", "websocket", "websocket_route"), ("route", _WEB)),
    **dict.fromkeys(("task", "shared_task", "periodic_task", "actor", "job", "scheduled_job"), ("task", _JOBS)),
    "command": ("command", _COMMANDS),
}
#: Calls that register a view, by their last part, with the position and the keyword of the view.
_BY_CALL = {
    "add_url_rule": (2, "view_func"),
    "add_resource": (0, "resource"),
    "add_api_route": (1, "endpoint"),
    "add_route": (1, "route"),
    "add_websocket_route": (1, "route"),
    "add_api_websocket_route": (1, "endpoint"),
}
_ROUTE_CLASSES = frozenset({"Route", "WebSocketRoute", "APIRoute", "APIWebSocketRoute"})
_DJANGO_PATHS = frozenset({"path", "re_path", "url"})
#: The position of the function in RQ's calls: `enqueue_at(time, function)`.
_ENQUEUES = {"enqueue": 0, "enqueue_call": 0, "enqueue_in": 1, "enqueue_at": 1}


@dataclass(frozen=True, slots=True)
class Handler:
    """Code that a framework calls. *kind* is `route`, `view`, `task` or `command`.

    *function* is its name within *module*. *route* is its path, with the methods, or the name of the command.
    *functions* are the project's functions that run; *registered* is the expression that is passed to the framework.
    """

    kind: str
    module: str
    function: str
    route: str
    file: str
    line: int
    functions: tuple[Definition, ...]
    registered: tuple[Scope, ast.AST] | None = None


class HandlerReader(ast.NodeVisitor):
    """Finds the handlers that one module registers."""

    def __init__(self, module: Module, names: NameResolver) -> None:
        self.found: list[Handler] = []
        #: URL configurations of other packages: `include("allauth.urls")`.
        self.elsewhere: list[str] = []
        self._module = module
        self._names = names
        self._within: list[str] = []

    @property
    def _scope(self) -> Scope:
        return Scope(self._module, ".".join(self._within))

    # ── Enclosing definitions ──

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        cls = Definition(self._module, self._module.names_of_definitions[node])
        if is_django_command(cls):
            self._add("command", self._module.name.rpartition(".")[2], cls, node.lineno)
        elif is_task_class(cls, self._names):
            self._add("task", node.name, cls, node.lineno)
        for decorator in node.decorator_list:
            if self._kind(decorator) == "route":  # Flask-Smorest, Flask-RESTX
                self._add("route", self._route("route", decorator, node.name), cls, node.lineno)
        self._go_into(node)

    def visit_If(self, node: ast.If) -> None:
        """Skip code that runs only when debugging, which is not part of the product."""
        both = node.test.values if isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.And) else []
        if any(_last(test) == "DEBUG" for test in (node.test, *both)):
            for statement in node.orelse:
                self.visit(statement)
        else:
            self.generic_visit(node)

    def _go_into(self, node: Function | ast.ClassDef) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator)
        self._within.append(node.name)
        for statement in node.body:
            self.visit(statement)
        self._within.pop()

    # ── Decorators ──

    def _function(self, node: Function) -> None:
        own = Definition(self._module, self._module.names_of_definitions[node])
        for decorator in node.decorator_list:
            kind = self._kind(decorator)
            if kind is not None:
                self._add(kind, self._route(kind, decorator, node.name), own, node.lineno)
        self._go_into(node)

    def _kind(self, decorator: ast.expr) -> str | None:
        """The kind of handler that *decorator* registers: `route`, `task` or `command`; `None` if it does not."""
        call = decorator if isinstance(decorator, ast.Call) else None
        func = decorator if call is None else call.func
        last = _last(func)
        if last in METHODS:
            path = None if call is None else _argument(call, 0, "path")
            text = path.value if isinstance(path, ast.Constant) else "/"
            is_path = isinstance(text, str) and text[:1] in ("", "/")
            return "route" if path is not None and is_path and self._comes_from(func, _WEB) else None
        kind, packages = _BY_DECORATOR.get(last, (None, _WEB))
        return kind if kind is not None and self._comes_from(func, packages) else None

    def _comes_from(self, func: ast.expr, packages: frozenset[str]) -> bool:
        """Whether *func* is from one of *packages*, or is an attribute of an object in the project: `app.route`."""
        origin = self._names.meaning(self._scope, func)
        if isinstance(origin, Foreign):
            if "()" in origin.name or f"{origin.name}.".startswith(tuple(f"{one}." for one in packages)):
                return True
            # An object from a module that is not read, as in `from shop.setup import app`, but not `import invoke`.
            first = (dotted_name(func) or "").partition(".")[0]
            return isinstance(func, ast.Attribute) and "." in self._module.imports.get(first, "")
        return isinstance(func, ast.Attribute)

    def _route(self, kind: str, decorator: ast.expr, name: str) -> str:
        call = decorator if isinstance(decorator, ast.Call) else None
        given = None if call is None else _argument(call, 0, {"route": "path"}.get(kind, "name"))
        if kind == "task":
            return name
        text = self._text(given)
        if kind == "command":
            return text or name.replace("_", "-")
        func = decorator if call is None else call.func
        last = _last(func)
        methods = [last.upper()] if last in METHODS else self._methods(call)
        return " ".join([*methods, self._prefix(func) + (text or "")]).strip()

    def _methods(self, call: ast.Call | None) -> list[str]:
        given = None if call is None else _argument(call, -1, "methods")
        elements = given.elts if isinstance(given, (ast.List, ast.Tuple, ast.Set)) else []
        return [str(one.value) for one in elements if isinstance(one, ast.Constant)]

    def _prefix(self, func: ast.expr) -> str:
        """The URL prefix of the blueprint or router, if it is created in the same module."""
        holder = func.value if isinstance(func, ast.Attribute) else None
        made = self._module.aliases.get(holder.id) if isinstance(holder, ast.Name) else None
        if not isinstance(made, ast.Call):
            return ""
        return self._text(_argument(made, -1, "url_prefix") or _argument(made, -1, "prefix")) or ""

    def _text(self, node: ast.expr | None) -> str | None:
        """A string literal as it is, any other expression as its source code."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        return None if node is None else f"{{{ast.unparse(node)}}}"

    # ── Calls ──

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        last = _last(node.func)
        if isinstance(node.func, ast.Call):  # app.command("x")(function)
            kind = self._kind(node.func)
            if kind is not None and node.args:
                self._registered(kind, self._route(kind, node.func, _last(node.args[0])), node.args[0], node.lineno)
        elif last in _BY_CALL:
            position, keyword = _BY_CALL[last]
            self._routed(node, _argument(node, position, keyword))
        elif last in _ROUTE_CLASSES and self._is_from(node.func, "starlette", "fastapi"):
            self._routed(node, _argument(node, 1, "endpoint"))
        elif last in _DJANGO_PATHS and self._is_from(node.func, "django"):
            self._django_path(node)
        elif last == "register" and len(node.args) > 1:  # a router of Django REST framework
            cls = self._names.meaning(self._scope, node.args[1])
            if isinstance(cls, Definition) and is_view_set(cls, self._names):
                self._add("view", self._text(node.args[0]) or "", cls, node.lineno)
        elif last == "run" and self._is_from(node.func, "typer") and node.args:
            self._registered("command", _last(node.args[0]), node.args[0], node.lineno)
        elif last in _ENQUEUES:
            self._enqueued(node, _argument(node, _ENQUEUES[last], "func"))

    def _is_from(self, func: ast.expr, *packages: str) -> bool:
        return (self._names.origin(self._module, func) or "").partition(".")[0] in packages

    def _routed(self, call: ast.Call, view: ast.expr | None) -> None:
        place = 1 if _last(call.func) == "add_resource" else 0
        path = self._text(_argument(call, place, "rule") or _argument(call, place, "path"))
        if view is not None:
            self._registered("route", " ".join([*self._methods(call), path or ""]).strip(), view, call.lineno)

    def _enqueued(self, call: ast.Call, given: ast.expr | None) -> None:
        if isinstance(given, ast.Constant) and isinstance(given.value, str) and "." in given.value:
            found = self._names.absolute(self._module, given.value)
        else:
            found = None if given is None else self._names.meaning(self._scope, given)
        if isinstance(found, Definition) and not found.is_class:
            self._add("task", found.name, found, found.node.lineno)

    def _django_path(self, call: ast.Call) -> None:
        view = _argument(call, 1, "view")
        if view is None or _last(view) == "urls":  # admin.site.urls
            return
        if isinstance(view, ast.Call) and _last(view.func) == "include":
            given = view.args[0] if view.args else None
            named = given.value if isinstance(given, ast.Constant) else None
            if isinstance(named, str) and not self._names.is_module(self._module, named):
                self.elsewhere.append(named)
            return
        self._registered("view", self._text(_argument(call, 0, "route")) or "", view, call.lineno)

    def _registered(self, kind: str, route: str, view: ast.expr, line: int) -> None:
        """Add a view as it is passed to the framework, possibly within decorator calls: `login_required(index)`."""
        found, other = self._view(view)
        if found is not None:
            self._add(kind, route, found, line, view)
        elif other is None or other.rpartition(".")[2] != "RedirectView":
            name = "lambda" if isinstance(view, ast.Lambda) else (other or ast.unparse(view)).rpartition(".")[2]
            registered = (self._scope, view)
            self.found.append(Handler(kind, self._module.name, name, route, self._module.file, line, (), registered))

    def _view(self, node: ast.expr) -> tuple[Definition | None, str | None]:
        """The function or class in the project that handles the view, or the name of one in another package."""
        other: str | None = None
        if isinstance(node, ast.Call):
            for argument in node.args:
                found, inner = self._view(argument)
                if found is not None:
                    return found, None
                other = other or inner
            node = node.func
        if _last(node) in ("as_view", "as_asgi") and isinstance(node, ast.Attribute):
            node = node.value
        meaning = self._names.meaning(self._scope, node)
        if isinstance(meaning, Definition):
            return (None, other) if other is not None else (meaning, None)
        return None, other or (meaning.name.removesuffix(".as_view()").replace("()", "") if meaning else None)

    def _add(self, kind: str, route: str, found: Definition, line: int, view: ast.expr | None = None) -> None:
        registered = None if view is None else (self._scope, view)
        module, name = found.module, found.name.partition("@")[0]
        if not found.is_class:
            line = found.node.lineno
            self.found.append(Handler(kind, module.name, name, route, module.file, line, (found,), registered))
            return
        for entry in entries_of(found, self._names):
            full = f"{name}.{entry.name}" if entry.name else name
            self.found.append(
                Handler(kind, module.name, full, route, module.file, entry.line, entry.functions, registered)
            )


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    """An argument by position or by name; with a negative position, only by name."""
    if 0 <= position < len(call.args):
        return call.args[position]
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
