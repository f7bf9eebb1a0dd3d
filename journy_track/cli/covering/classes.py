"""The handlers in a class: a Django view is one handler, an API class has one for each method."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from journy_track.cli.cataloguing.calls import METHODS
from journy_track.cli.cataloguing.naming import dotted_name
from journy_track.cli.covering.names import Definition, Foreign, Function, NameResolver

#: Packages whose classes have one method per HTTP method.
_APIS = frozenset({"flask", "flask_restful", "flask_restx", "rest_framework", "starlette"})
#: Django REST framework: the actions of a view set, and the actions that its bases add.
_ACTIONS = ("list", "retrieve", "create", "update", "partial_update", "destroy")
_MIXED_IN = {
    "ListModelMixin": ("list",),
    "RetrieveModelMixin": ("retrieve",),
    "CreateModelMixin": ("create",),
    "UpdateModelMixin": ("update",),
    "DestroyModelMixin": ("destroy",),
    "ListAPIView": ("list",),
    "RetrieveAPIView": ("retrieve",),
    "CreateAPIView": ("create",),
    "UpdateAPIView": ("update",),
    "DestroyAPIView": ("destroy",),
    "ListCreateAPIView": ("list", "create"),
    "RetrieveUpdateAPIView": ("retrieve", "update"),
    "RetrieveDestroyAPIView": ("retrieve", "destroy"),
    "RetrieveUpdateDestroyAPIView": ("retrieve", "update", "destroy"),
    "ReadOnlyModelViewSet": ("list", "retrieve"),
    "ModelViewSet": ("list", "retrieve", "create", "update", "destroy"),
}
#: The HTTP method for each action, which a generic view may define instead.
_METHOD_OF = {"list": "get", "retrieve": "get", "create": "post", "update": "put", "destroy": "delete"}
#: Methods that run for every request, whatever its HTTP method.
_ALWAYS = ("dispatch", "initial", "finalize_response")


@dataclass(frozen=True, slots=True)
class ClassHandler:
    """One handler in a class. *name* is that of the method; empty for the class as a whole."""

    name: str
    line: int
    functions: tuple[Definition, ...]


def is_django_command(cls: Definition) -> bool:
    """Whether *cls* is a command that `manage.py` runs."""
    return cls.name == "Command" and ".management.commands." in f".{cls.module.name}."


def is_task_class(cls: Definition, names: NameResolver) -> bool:
    """Whether *cls* is a class-based Celery task."""
    return f"{cls.name}.run" in cls.module.definitions and any(
        isinstance(base, Foreign) and base.name.split(".")[0] == "celery" and base.name.endswith("Task")
        for base in names.lineage(cls)
    )


def is_view_set(cls: Definition, names: NameResolver) -> bool:
    """Whether *cls* is a view set of Django REST framework."""
    foreign = [base.name for base in names.lineage(cls) if isinstance(base, Foreign)]
    return any(name.startswith("rest_framework.") for name in foreign) or cls.name.endswith("ViewSet")


def entries_of(cls: Definition, names: NameResolver) -> list[ClassHandler]:
    """The handlers in *cls*: one for each method and action of an API class; any other class is a single handler."""
    foreign = [base.name for base in names.lineage(cls) if isinstance(base, Foreign)]
    methods = dict(_methods(cls, names))
    if not any(name.split(".")[0] in _APIS for name in foreign):
        return [ClassHandler("", cls.node.lineno, tuple(methods.values()))]
    always = tuple(method for name, method in methods.items() if name in _ALWAYS)
    wanted = [name for name, method in methods.items() if name in METHODS or name in _ACTIONS or _is_action(method)]
    brought = [action for name in foreign for action in _MIXED_IN.get(name.rpartition(".")[2], ())]
    wanted += [one for one in dict.fromkeys(brought) if one not in wanted and _METHOD_OF[one] not in wanted]
    entries = []
    for name in wanted:
        own = methods.get(name)
        hook = methods.get(f"perform_{name.removeprefix('partial_')}")
        functions = tuple(one for one in (own, hook, *always) if one is not None)
        line = own.node.lineno if own is not None and own.module is cls.module else cls.node.lineno
        entries.append(ClassHandler(name, line, functions))
    return entries or [ClassHandler("", cls.node.lineno, tuple(methods.values()))]


def _methods(cls: Definition, names: NameResolver) -> Iterator[tuple[str, Definition]]:
    """The methods with their names. Those of bases in the project come first, and may be overridden."""
    for one in reversed(list(names.lineage(cls))):
        if isinstance(one, Definition):
            for node in one.node.body if isinstance(one.node, ast.ClassDef) else ():
                if isinstance(node, Function):
                    yield node.name, Definition(one.module, f"{one.name}.{node.name}")


def _is_action(method: Definition) -> bool:
    decorators = method.node.decorator_list
    named = [dotted_name(one.func if isinstance(one, ast.Call) else one) or "" for one in decorators]
    return any(name.rpartition(".")[2] == "action" for name in named)
