"""The fields of a typed event, with their types as JSON Schema, from annotations that are read but not evaluated."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from journy_track.cli.cataloguing.found import Field
from journy_track.cli.cataloguing.naming import dotted_name
from journy_track.cli.cataloguing.project import Module, Project

_SIMPLE: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "Decimal": {"type": "number"},
    "datetime": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
    "UUID": {"type": "string", "format": "uuid"},
    "EmailStr": {"type": "string"},
}
#: Types that metadata does not support.
_UNSENDABLE = frozenset(
    {"list", "dict", "set", "tuple", "frozenset", "bytes", "List", "Dict", "Set", "Tuple", "Sequence", "Mapping"}
)
_WRAPPERS = frozenset({"Required", "NotRequired", "ReadOnly", "Final"})
_MAX_DEPTH = 10


@dataclass(frozen=True, slots=True)
class Type:
    """The type in an annotation. *schema* is empty if it is not known; *optional* means that `None` is allowed."""

    text: str
    schema: dict[str, Any] = field(default_factory=dict)
    optional: bool = False
    #: Whether a TypedDict marks the key as `Required` or `NotRequired`; `None` for neither.
    required: bool | None = None
    description: str = ""
    unit: str | None = None
    examples: tuple[object, ...] = ()
    unsendable: str | None = None


def fields_of(cls: ast.ClassDef, module: Module, project: Project) -> Iterator[Field]:
    """The fields that the body of *cls* declares."""
    total = not any(word.arg == "total" and _constant(word.value) is False for word in cls.keywords)
    by_keyword = any(_says(decorator, "kw_only") for decorator in cls.decorator_list)
    for position, node in enumerate(cls.body):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        name = node.target.id
        written = (dotted_name(_head(node.annotation)) or "").rpartition(".")[2]
        by_keyword |= written == "KW_ONLY"
        if written in ("ClassVar", "KW_ONLY", "InitVar") or name == "model_config":
            continue
        found = type_of(node.annotation, module, project)
        documented = _documented(found, node.value if isinstance(node.value, ast.Call) else None)
        if not documented.description:
            documented = replace(documented, description=_text_after(cls.body, position))
        required = total and not _has_default(node.value) and not found.optional
        yield Field(
            name,
            documented.text,
            documented.schema,
            required=required if found.required is None else found.required,
            alias=_alias(node.value),
            by_position=not (by_keyword or _says(node.value, "kw_only")),
            description=" ".join(documented.description.split()),
            unit=documented.unit,
            examples=documented.examples,
            problem=None if found.unsendable is None else f"a {found.unsendable} cannot be sent as metadata",
        )


def type_of(annotation: ast.expr, module: Module, project: Project, depth: int = _MAX_DEPTH) -> Type:
    """The type that *annotation* describes."""
    node = annotation
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            node = ast.parse(node.value.strip(), mode="eval").body
        except SyntaxError:
            return Type(ast.unparse(annotation))
    text = ast.unparse(node)
    if isinstance(node, ast.Constant):
        return Type(text, {}, optional=node.value is None)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union(text, [node.left, node.right], module, project, depth)
    head = (dotted_name(_head(node)) or "").rpartition(".")[2]
    if head in _UNSENDABLE:
        return Type(text, unsendable=head)
    if isinstance(node, ast.Subscript):
        inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return _subscript(text, head, inside, module, project, depth)
    if head in _SIMPLE:
        return Type(text, _SIMPLE[head])
    return _named(text, node, module, project, depth)


def _subscript(text: str, head: str, inside: list[ast.expr], module: Module, project: Project, depth: int) -> Type:
    if head == "Literal":
        return Type(text, {"enum": [one.value for one in inside if isinstance(one, ast.Constant)]})
    if head in ("Optional", "Union"):
        found = _union(text, inside, module, project, depth)
        return replace(found, optional=found.optional or head == "Optional")
    if head == "Annotated":
        found = type_of(inside[0], module, project, depth)
        for note in inside[1:]:
            found = _documented(found, note)
        return found
    if head in _WRAPPERS:
        found = type_of(inside[0], module, project, depth)
        return replace(found, required=head == "Required") if head in ("Required", "NotRequired") else found
    return Type(text)


def _union(text: str, parts: list[ast.expr], module: Module, project: Project, depth: int) -> Type:
    found = [type_of(part, module, project, depth) for part in parts]
    others = [one for one in found if not (one.optional and not one.schema)]
    schemas = [one.schema for one in others if one.schema]
    schema: dict[str, Any] = {}
    if schemas and len(schemas) == len(others):
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    unsendable = next((one.unsendable for one in found if one.unsendable), None)
    return Type(text, schema, optional=any(one.optional for one in found), unsendable=unsendable)


def _named(text: str, node: ast.expr, module: Module, project: Project, depth: int) -> Type:
    """The type of an enum, a NewType or an alias in the project."""
    found = project.find(module, node) if depth else None
    if found is None:
        return Type(text)
    cls, alias = found.cls, found.alias
    if cls is not None:
        bases = [(dotted_name(base) or "").rpartition(".")[2] for base in cls.bases]
        values = [
            statement.value.value
            for statement in cls.body
            if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
        ]
        members = sum(isinstance(statement, ast.Assign) for statement in cls.body)
        is_enum = any(base.endswith(("Enum", "Flag", "Choices")) for base in bases)
        return Type(text, {"enum": values} if is_enum and values and len(values) == members else {})
    if isinstance(alias, ast.Call) and (dotted_name(alias.func) or "").endswith("NewType") and len(alias.args) == 2:
        alias = alias.args[1]
    if alias is None or isinstance(alias, ast.Call):
        return Type(text)
    return replace(type_of(alias, found.module, project, depth - 1), text=text)


def _head(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Subscript) else node


def _documented(found: Type, note: ast.expr | None) -> Type:
    """*found*, with the documentation in `Doc(…)` or pydantic's `Field(…)`, or in a string next to the type."""
    if isinstance(note, ast.Constant) and isinstance(note.value, str) and not found.description:
        return replace(found, description=note.value)
    if not isinstance(note, ast.Call) or (dotted_name(note.func) or "").rpartition(".")[2] not in ("Doc", "Field"):
        return found
    said = {word.arg: _constant(word.value) for word in note.keywords}
    first = _constant(note.args[0]) if note.args and dotted_name(note.func).endswith("Doc") else None  # type: ignore[union-attr]
    description = said.get("description") or first
    examples = said.get("examples")
    unit = said.get("unit")
    return replace(
        found,
        description=description if isinstance(description, str) else found.description,
        unit=unit if isinstance(unit, str) else found.unit,
        examples=tuple(examples) if isinstance(examples, (list, tuple)) else found.examples,
    )


def _text_after(body: list[ast.stmt], position: int) -> str:
    """The string below a field, which documents it; empty if there is none."""
    after = body[position + 1] if position + 1 < len(body) else None
    value = _constant(after.value) if isinstance(after, ast.Expr) else None
    return value if isinstance(value, str) else ""


def _has_default(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call) and (dotted_name(value.func) or "").rpartition(".")[2] in ("field", "Field"):
        words = {word.arg for word in value.keywords}
        return bool(words & {"default", "default_factory", None}) or (
            bool(value.args) and _constant(value.args[0]) is not ...
        )
    return value is not None and not (isinstance(value, ast.Constant) and value.value is ...)


def _says(node: ast.expr | None, word: str) -> bool:
    """Whether *node* is a call with ``word=True``."""
    return isinstance(node, ast.Call) and any(
        one.arg == word and _constant(one.value) is True for one in node.keywords
    )


def _alias(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Call) and any(
        word.arg in ("alias", "validation_alias", "serialization_alias", "init") for word in value.keywords
    )


def _constant(node: ast.expr) -> Any:
    """The value of a literal; `None` for anything else."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None
