"""Classes that declare an event with `@journy_track.event`, and checks of the arguments that are passed to them."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from journy_track._capture.typed import snake_case
from journy_track.cli.cataloguing.fields import fields_of
from journy_track.cli.cataloguing.found import Declared, Field
from journy_track.cli.cataloguing.naming import dotted_name
from journy_track.cli.cataloguing.project import Found, Module, Project

#: Base classes that add no fields.
_EMPTY = frozenset({"object", "TypedEvent", "BaseModel", "TypedDict", "Generic", "Protocol", "ABC"})
_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
#: Keys that decorators add automatically.
AUTOMATIC = frozenset({"duration_ms", "error_type"})


class Declarations:
    """All typed events of a project, by class."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._by_class: dict[tuple[str, str], Declared] = {}
        for module in project.kept():
            for declared in _declared_in(module, project):
                self._by_class[module.file, declared.cls] = declared

    def __bool__(self) -> bool:
        return bool(self._by_class)

    def in_class(self, module: Module, cls: ast.ClassDef) -> Declared | None:
        """The event that *cls* itself declares; `None` if it declares none."""
        declared = self._by_class.get((module.file, cls.name))
        return declared if declared is not None and declared.line == cls.lineno else None

    def all(self) -> list[Declared]:
        return list(self._by_class.values())

    def of(self, module: Module, node: ast.expr) -> Declared | None:
        """The event that the class *node*, a name in *module*, declares; `None` if it declares none.

        A subclass without its own declaration is the same event, possibly with more fields.
        """
        found = self._project.find(module, node)
        return None if found is None else self._of(found, ())

    def declares(self, module: Module, cls: str) -> bool:
        """Whether the class *cls* of *module*, or one that it inherits from, declares an event."""
        return self._of(Found(module, cls.rpartition(".")[2]), ()) is not None

    def _of(self, found: Found, seen: tuple[Found, ...]) -> Declared | None:
        key = found.module.file, found.name
        if found.cls is None or found in seen or key in self._by_class:
            return self._by_class.get(key)
        for base in found.cls.bases:
            beneath = self._project.find(found.module, base)
            declared = None if beneath is None else self._of(beneath, (*seen, found))
            if declared is not None:
                fields, is_open = _all_fields(found.cls, found.module, self._project)
                return replace(declared, cls=found.name, fields=tuple(fields.values()), is_open=is_open)
        return None


def _declared_in(module: Module, project: Project) -> Iterator[Declared]:
    for cls in module.classes.values():
        for decorator in cls.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            if module.names.meaning(decorator if call is None else call.func) != "event":
                continue
            named = call.args[0] if call is not None and call.args else None
            name = snake_case(cls.name) if named is None else module.names.text(named)
            if name is None:
                continue
            former = (
                next((word.value for word in call.keywords if word.arg == "renamed_from"), None) if call else None
            )
            fields, is_open = _all_fields(cls, module, project)
            yield Declared(
                name,
                cls.name,
                module.file,
                cls.lineno,
                tuple(fields.values()),
                tuple(_texts(former, module)),
                (ast.get_docstring(cls) or "").partition("\n")[0],
                is_open,
            )


def _texts(node: ast.expr | None, module: Module) -> Iterator[str]:
    for one in node.elts if isinstance(node, (ast.Tuple, ast.List)) else [node]:
        if (text := module.names.text(one)) is not None:
            yield text


def _all_fields(
    cls: ast.ClassDef, module: Module, project: Project, seen: tuple[ast.ClassDef, ...] = ()
) -> tuple[dict[str, Field], bool]:
    """The fields of *cls* and its bases by name, and whether there may be others."""
    fields: dict[str, Field] = {}
    is_open = False
    for base in reversed(cls.bases):
        head = base.value if isinstance(base, ast.Subscript) else base
        last = (dotted_name(head) or "").rpartition(".")[2]
        found = project.find(module, head)
        if found is not None and found.cls is not None and found.cls not in (*seen, cls):
            inherited, more = _all_fields(found.cls, found.module, project, (*seen, cls))
            fields.update(inherited)
            is_open |= more
        elif last not in _EMPTY:
            is_open = True
    fields.update((field.name, field) for field in fields_of(cls, module, project))
    return fields, is_open or any(field.alias for field in fields.values())


# ── Arguments ──


def problem_of_call(declared: Declared, call: ast.Call) -> str | None:
    """What is wrong with a call that creates an event; `None` if no problem can be found by reading it."""
    unpacks = any(isinstance(one, ast.Starred) for one in call.args)
    named: dict[str | None, ast.expr] = {word.arg: word.value for word in call.keywords if word.arg is not None}
    by_position: dict[str | None, ast.expr] = dict(zip(declared.by_position(), call.args, strict=False))
    if unpacks or declared.is_open or any(word.arg is None for word in call.keywords):
        return problem_of_keys(declared, named)
    return problem_of_keys(declared, named) or problem_of_values(declared, by_position | named)


def problem_of_keys(declared: Declared, keys: Iterable[str | None]) -> str | None:
    """The problem with the first key that the event does not have, if any."""
    names = [field.name for field in declared.fields]
    if declared.is_open:
        return None
    for key in keys:
        if key is not None and key not in names and key not in AUTOMATIC and key != "…":
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names) or 'none'}"
            return f"{declared.cls} has no field {key!r}: {hint}"
    return None


def problem_of_values(declared: Declared, given: Mapping[str | None, ast.expr]) -> str | None:
    """The problem with a required field that is missing, or a literal that a field does not accept, if any."""
    for field in declared.fields:
        if field.name not in given:
            if field.required:
                return f"{declared.cls} needs {field.name!r}"
            continue
        value = given[field.name]
        if isinstance(value, ast.Constant) and value.value is not None and not _takes(field.schema, value.value):
            return f"{declared.cls}.{field.name} must be {field.expected}, and not {value.value!r}"
    return None


def _takes(schema: dict[str, object], value: object) -> bool:
    """Whether a literal is valid, as far as *schema* defines it."""
    options = schema.get("anyOf")
    if isinstance(options, list):
        return any(_takes(option, value) for option in options)
    enum = schema.get("enum")
    if isinstance(enum, list):
        return any(type(one) is type(value) and one == value for one in enum)
    if "format" in schema:
        return False  # no literal is a datetime or a UUID
    kinds = _JSON_TYPES.get(str(schema.get("type")))
    return kinds is None or isinstance(value, kinds)
