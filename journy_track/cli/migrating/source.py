"""One module as parsed by libcst: what its names refer to, and where they are used."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import libcst as cst
from libcst import matchers as m
from libcst.metadata import (
    Assignment,
    ImportAssignment,
    MetadataWrapper,
    ParentNodeProvider,
    PositionProvider,
    QualifiedName,
    QualifiedNameProvider,
    QualifiedNameSource,
    Scope,
    ScopeProvider,
)


@dataclass(eq=False, slots=True)
class Item:
    """A statement that may be rewritten. It is rewritten if there is no doubt about it.

    *lines* are the statements that replace it (none: it is removed), or `None` if nothing can be proposed; *hint* is
    then shown to the reader. *uses* are the places that use what it creates, and *made* those that create what it
    uses; all of them must be rewritten as well. *is_part* means that it only serves calls, which are listed
    themselves.
    """

    source: Source
    node: cst.CSTNode
    lines: list[str] | None
    doubts: list[str]
    hint: str = ""
    uses: list[Place] = field(default_factory=list)
    made: list[Place] = field(default_factory=list)
    is_part: bool = False


#: A node in a file.
Place = tuple["Source", cst.CSTNode]


class Source:
    """A parsed file. *file* is the name to report."""

    def __init__(self, path: Path, file: str, content: bytes) -> None:
        self.path = path
        self.file = file
        self.content = content
        self._wrapper = MetadataWrapper(cst.parse_module(content), unsafe_skip_copy=True)
        self.module: cst.Module = self._wrapper.module
        self.items: dict[cst.CSTNode, Item] = {}
        # Resolved here, because a file that is nested too deeply raises at this point.
        self._wrapper.resolve_many([ParentNodeProvider, PositionProvider, QualifiedNameProvider, ScopeProvider])

    # ── The tree ──

    @cached_property
    def _parents(self) -> dict[cst.CSTNode, cst.CSTNode]:
        return dict(self._wrapper.resolve(ParentNodeProvider))

    @cached_property
    def _scopes(self) -> dict[cst.CSTNode, Scope | None]:
        return dict(self._wrapper.resolve(ScopeProvider))

    @cached_property
    def nodes(self) -> list[cst.CSTNode]:
        """All nodes, in the order of the file."""
        found: list[cst.CSTNode] = []
        waiting: list[cst.CSTNode] = [self.module]
        while waiting:
            node = waiting.pop()
            found.append(node)
            waiting.extend(reversed(node.children))
        return found

    def parent(self, node: cst.CSTNode) -> cst.CSTNode:
        return self._parents[node]

    def above(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """*node* and its ancestors, up to but not including the module."""
        while node is not self.module:
            yield node
            node = self._parents[node]

    def line(self, node: cst.CSTNode) -> int:
        return int(self._wrapper.resolve(PositionProvider)[node].start.line)

    def position(self, node: cst.CSTNode) -> tuple[int, int]:
        start = self._wrapper.resolve(PositionProvider)[node].start
        return start.line, start.column

    def text(self, node: cst.CSTNode) -> str:
        """The code of *node*. Lines after the first are without the indentation of the enclosing block."""
        return self.module.code_for_node(node)

    def first_line(self, node: cst.CSTNode) -> str:
        """The first line of *node*, with `…` if there are more."""
        first, *more = self.text(node).strip().splitlines()
        return f"{first} …" if more else first

    def shown(self, node: cst.CSTNode) -> str:
        """The first line of *node*, without the comma after it."""
        return self.first_line(node).strip(" ,")

    def has_comment(self, node: cst.CSTNode) -> bool:
        return bool(m.findall(node, m.Comment()))

    # ── Names ──

    def imported(self, node: cst.CSTNode) -> str | None:
        """The dotted name that imports give *node*; `None` if it is, or may be, something else."""
        names = list(self._qualified(node))
        if len(names) != 1 or names[0].source is not QualifiedNameSource.IMPORT or _first_name(node) in self.captured:
            return None
        return str(names[0].name)

    def could_be(self, node: cst.CSTNode) -> set[str]:
        """All dotted names that imports may give *node*, even if its name may also refer to something else."""
        return {str(one.name) for one in self._qualified(node) if one.source is QualifiedNameSource.IMPORT}

    def _qualified(self, node: cst.CSTNode) -> Collection[QualifiedName]:
        if _first_name(node) is None:  # libcst ignores calls: `Client().track` would belong to the module
            return ()
        found = self._wrapper.resolve(QualifiedNameProvider).get(node, ())
        return found() if callable(found) else found

    @cached_property
    def captured(self) -> set[str]:
        """The names that a `match` binds, in any scope, which libcst's scopes do not include."""
        names: list[cst.Name | None] = []
        for node in self.nodes:
            if isinstance(node, (cst.MatchAs, cst.MatchStar)):
                names.append(node.name)
            elif isinstance(node, cst.MatchMapping):
                names.append(node.rest)
        return {name.value for name in names if name is not None}

    @cached_property
    def imported_names(self) -> list[tuple[cst.CSTNode, set[str]]]:
        """The nodes that use a possibly imported name, as a full dotted name, and what that may refer to."""
        found: list[tuple[cst.CSTNode, set[str]]] = []
        for node in self.nodes:
            above = self._parents.get(node)
            if not isinstance(node, (cst.Name, cst.Attribute)) or isinstance(above, cst.Attribute):
                continue
            if isinstance(above, (cst.ImportAlias, cst.ImportFrom, cst.AsName)) or not (names := self.could_be(node)):
                continue
            found.append((node, names))
        return found

    @cached_property
    def imports(self) -> list[ImportAssignment]:
        """All imported names, in any scope."""
        scopes = {scope for scope in self._scopes.values() if scope is not None}
        found = {one for scope in scopes for one in scope.assignments if isinstance(one, ImportAssignment)}
        return sorted(found, key=lambda one: (self.line(one.node), one.name))

    @cached_property
    def exported(self) -> set[object]:
        """The names in `__all__`."""
        lines = [line for line in self.module.body if m.findall(line, m.Name("__all__"))]
        return {text.evaluated_value for line in lines for text in m.findall(line, m.SimpleString())}  # type: ignore[attr-defined]

    def bindings(self, name: cst.Name) -> list[Assignment]:
        """The assignments from which *name* may have its value where it is read."""
        scope = self._scopes.get(name)
        if scope is None:
            return []
        return [one for one in scope[name.value] if isinstance(one, Assignment)]

    def value_of(self, name: cst.Name) -> tuple[cst.BaseExpression, cst.CSTNode] | None:
        """The value and the statement of the only assignment to *name*, if it is a plain one; otherwise `None`."""
        bindings = self.bindings(name)
        if len(bindings) != 1 or isinstance(bindings[0], ImportAssignment) or name.value in self.captured:
            return None
        return self.assigned(bindings[0].node)

    def assigned(self, target: cst.CSTNode) -> tuple[cst.BaseExpression, cst.CSTNode] | None:
        """The value and the statement, if *target* is the only target of a plain assignment; otherwise `None`."""
        above = self._parents.get(target)
        if isinstance(above, cst.AnnAssign) and above.target is target and above.value is not None:
            return above.value, above
        if isinstance(above, cst.AssignTarget):
            statement = self._parents[above]
            if isinstance(statement, cst.Assign) and len(statement.targets) == 1:
                return statement.value, statement
        return None

    def uses(self, name: cst.Name) -> list[cst.CSTNode]:
        """The places that read the variable to which *name* belongs, in any scope."""
        return [access.node for binding in self.bindings(name) for access in binding.references]

    def names_another(self, name: str) -> bool:
        """Whether *name* is bound here to anything except the module with that name."""
        if name in self.captured:
            return True
        for scope in {scope for scope in self._scopes.values() if scope is not None}:
            for one in scope.assignments[name]:
                origins = {origin.name for origin in one.get_qualified_names_for(name)}
                if not isinstance(one, ImportAssignment) or origins != {name}:
                    return True
        return False

    # ── Attributes of self ──

    def class_with(self, target: cst.BaseExpression) -> cst.ClassDef | None:
        """The class of which *target* is an attribute: `self.name` in a method, or a name in the class body."""
        inside = [one for one in self.above(target) if isinstance(one, (cst.ClassDef, cst.FunctionDef, cst.Lambda))]
        if isinstance(target, cst.Name):
            return inside[0] if inside and isinstance(inside[0], cst.ClassDef) else None
        if not isinstance(target, cst.Attribute) or not isinstance(target.value, cst.Name):
            return None
        cls = next((one for one in inside if isinstance(one, cst.ClassDef)), None)
        method = inside[inside.index(cls) - 1] if cls is not None and inside.index(cls) else None
        if not isinstance(method, cst.FunctionDef):
            return None
        first = next(iter([*method.params.posonly_params, *method.params.params]), None)
        bound = self.bindings(target.value)
        is_self = first is not None and [one.node for one in bound] in ([first], [first.name])
        return cls if is_self else None

    def stores(self, cls: cst.ClassDef, name: str) -> list[cst.Attribute | cst.Name]:
        """The places in a class that assign the attribute *name*: in its body, or on any object in its methods."""
        found: list[cst.Attribute | cst.Name] = []
        for target in m.findall(cls, m.AssignTarget() | m.AnnAssign() | m.AugAssign()):
            node = target.target  # type: ignore[attr-defined]
            if (isinstance(node, cst.Attribute) and node.attr.value == name) or (
                isinstance(node, cst.Name) and node.value == name and self.class_with(node) is cls
            ):
                found.append(node)
        return found

    def attribute_uses(self, cls: cst.ClassDef, name: str) -> list[cst.CSTNode]:
        """The places in a class that read an attribute with this name, on any object."""
        stored = set(self.stores(cls, name))
        return [one for one in m.findall(cls, m.Attribute(attr=m.Name(name))) if one not in stored]

    # ── Statements to rewrite ──

    def add(self, item: Item) -> None:
        self.items[item.node] = item

    def item_around(self, node: cst.CSTNode) -> Item | None:
        return next((self.items[one] for one in self.above(node) if one in self.items), None)


def _first_name(node: cst.CSTNode) -> str | None:
    """The first part of a dotted name; `None` if it starts with something other than a name."""
    while isinstance(node, cst.Attribute):
        node = node.value
    return node.value if isinstance(node, cst.Name) else None
