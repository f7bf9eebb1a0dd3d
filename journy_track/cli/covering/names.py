"""Resolves names in a module to a function or class of the project, or to an object of another package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from journy_track.cli.cataloguing.naming import dotted_name
from journy_track.cli.cataloguing.project import Module, Project

Function = ast.FunctionDef | ast.AsyncFunctionDef
#: The maximum number of steps in which a name is resolved.
_MAX_HOPS = 8


@dataclass(frozen=True, slots=True)
class Definition:
    """A function, a method or a class of the project. *name* is qualified: `Billing.pay`, `create_app.index`."""

    module: Module
    name: str

    @property
    def node(self) -> Function | ast.ClassDef:
        return self.module.definitions[self.name]

    @property
    def is_class(self) -> bool:
        return isinstance(self.node, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Foreign:
    """The dotted name of an object in another package: `django.views.View`. The result of a call has `()` in it."""

    name: str


Meaning = Definition | Foreign


@dataclass(slots=True)
class Scope:
    """The place where a name is used: in *module*, inside the function or class *within*."""

    module: Module
    within: str = ""
    #: The classes of which local names, arguments and attributes of `self` hold an instance.
    holds: dict[str, Meaning] = field(default_factory=dict)


class NameResolver:
    """Resolves expressions in all modules of a project."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._attributes: dict[Definition, dict[str, Meaning]] = {}

    def meaning(self, scope: Scope, node: ast.expr, hops: int = _MAX_HOPS) -> Meaning | None:
        """What *node* refers to. An attribute of a function refers to the function: `send_mail.delay`."""
        if hops == 0:
            return None
        dotted = dotted_name(node)
        if dotted is not None:
            return self._by_instance(scope, dotted, hops) or self._find(scope.module, dotted, scope.within, hops)
        if isinstance(node, ast.Attribute):
            holder = self.instance(scope, node.value, hops - 1)
            return None if holder is None else self._member(holder, node.attr, hops)
        return None

    def instance(self, scope: Scope, node: ast.expr, hops: int = _MAX_HOPS) -> Meaning | None:
        """The class of the value of *node*, as far as the code shows it."""
        if hops == 0:
            return None
        if isinstance(node, ast.Await):
            node = node.value
        if isinstance(node, ast.Call):
            made = self.meaning(scope, node.func, hops - 1)
            if isinstance(made, Foreign):
                return Foreign(f"{made.name}()")
            if made is None or made.is_class:
                return made
            returns = made.node.returns if isinstance(made.node, Function) else None
            return None if returns is None else self.annotated(Scope(made.module, made.name), returns, hops - 1)
        dotted = dotted_name(node)
        if dotted is not None and dotted in scope.holds:
            return scope.holds[dotted]
        if isinstance(node, ast.Name) and node.id in scope.module.aliases:
            return self.instance(Scope(scope.module), scope.module.aliases[node.id], hops - 1)
        return None

    def annotated(self, scope: Scope, node: ast.expr, hops: int = _MAX_HOPS) -> Meaning | None:
        """The class that an annotation names: `Service` of `"Service"`, `Service | None`, `Annotated[Service, …]`."""
        if hops == 0:
            return None
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.parse(node.value, mode="eval").body
            except SyntaxError:
                return None
        if isinstance(node, ast.BinOp):
            return self.annotated(scope, node.left, hops - 1) or self.annotated(scope, node.right, hops - 1)
        if isinstance(node, ast.Subscript):
            inner = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) and node.slice.elts else node.slice
            if (dotted_name(node.value) or "").rpartition(".")[2] in ("Annotated", "Optional"):
                return self.annotated(scope, inner, hops - 1)
            return None
        alias = self.alias(scope.module, node)
        if alias is not None:
            return self.annotated(Scope(alias[0]), alias[1], hops - 1)
        found = self.meaning(scope, node, hops - 1)
        return Foreign(f"{found.name}()") if isinstance(found, Foreign) else found

    def alias(self, module: Module, node: ast.expr) -> tuple[Module, ast.expr] | None:
        """The module that assigns *node* at its top level, which may be another one, and the assigned value."""
        found = self._project.find(module, node)
        return None if found is None or found.alias is None else (found.module, found.alias)

    def origin(self, module: Module, node: ast.expr) -> str | None:
        """The dotted name from which *node* is imported in *module*; `None` if it is not imported."""
        first, _, rest = (dotted_name(node) or "").partition(".")
        imported = module.imports.get(first)
        return None if imported is None else ".".join(part for part in (imported, rest) if part)

    def absolute(self, near: Module, dotted: str) -> Meaning | None:
        """What the dotted name *dotted* refers to, as *near* would import it."""
        return self._absolute(near, dotted, _MAX_HOPS)

    def is_module(self, near: Module, dotted: str) -> bool:
        """Whether the project has a module with this name."""
        return bool(self._project.named(dotted, near))

    def method(self, cls: Definition, name: str, seen: tuple[Definition, ...] = ()) -> Definition | None:
        """The method *name* of a class or of its bases in the project; `None` if there is none."""
        if f"{cls.name}.{name}" in cls.module.definitions:
            return Definition(cls.module, f"{cls.name}.{name}")
        for base in self.bases(cls):
            if isinstance(base, Definition) and base.is_class and base not in (*seen, cls):
                found = self.method(base, name, (*seen, cls))
                if found is not None:
                    return found
        return None

    def bases(self, cls: Definition) -> Iterator[Meaning]:
        """The direct bases of a class that can be resolved."""
        scope = Scope(cls.module, cls.name.rpartition(".")[0])
        for base in cls.node.bases if isinstance(cls.node, ast.ClassDef) else ():
            found = self.meaning(scope, base.value if isinstance(base, ast.Subscript) else base)
            if found is not None:
                yield found

    def lineage(self, cls: Definition, seen: tuple[Definition, ...] = ()) -> Iterator[Meaning]:
        """The class itself and all its direct and indirect bases."""
        yield cls
        for base in self.bases(cls):
            if isinstance(base, Foreign):
                yield base
            elif base.is_class and base not in (*seen, cls):
                yield from self.lineage(base, (*seen, cls))

    def scope_of(self, definition: Definition) -> Scope:
        """The scope inside a function, with the classes that arguments, local and outer names and `self` hold."""
        scope = Scope(definition.module, definition.name)
        node = definition.node
        owner, _, _ = definition.name.rpartition(".")
        parts = definition.name.split(".")
        for count in range(1, len(parts)):
            outer = definition.module.definitions.get(".".join(parts[:count]))
            if isinstance(outer, Function):
                self._hold(scope, outer)
        if owner in definition.module.definitions and isinstance(definition.module.definitions[owner], ast.ClassDef):
            cls = Definition(definition.module, owner)
            scope.holds["self"] = scope.holds["cls"] = cls
            scope.holds.update({f"self.{name}": kind for name, kind in self._held_by(cls).items()})
        self._hold(scope, node)
        return scope

    # ── Internals ──

    def _hold(self, scope: Scope, body: ast.AST) -> None:
        for node in ast.walk(body):
            held: Meaning | None = None
            targets: list[ast.expr] = []
            if isinstance(node, ast.arg) and node.annotation is not None:
                held, targets = self.annotated(scope, node.annotation), [ast.Name(node.arg)]
            elif isinstance(node, ast.Assign):
                held, targets = self.instance(scope, node.value), node.targets
            elif isinstance(node, ast.AnnAssign):
                held, targets = self.annotated(scope, node.annotation), [node.target]
            elif isinstance(node, ast.withitem) and node.optional_vars is not None:
                held, targets = self.instance(scope, node.context_expr), [node.optional_vars]
            if held is not None:
                scope.holds.update((name, held) for target in targets if (name := dotted_name(target)) is not None)

    def _held_by(self, cls: Definition) -> dict[str, Meaning]:
        """The classes that an instance's attributes hold, from annotations and from assignments in its methods."""
        if cls not in self._attributes:
            self._attributes[cls] = {}  # set first, because a class may hold itself
            scope = Scope(cls.module, cls.name)
            self._hold(scope, cls.node)
            self._attributes[cls] = {name.removeprefix("self."): kind for name, kind in scope.holds.items()}
        return self._attributes[cls]

    def _by_instance(self, scope: Scope, dotted: str, hops: int) -> Meaning | None:
        holder, _, member = dotted.rpartition(".")
        while holder:
            if holder in scope.holds:
                return self._member(scope.holds[holder], member, hops)
            holder, _, before = holder.rpartition(".")
            member = f"{before}.{member}"
        return None

    def _find(self, module: Module, dotted: str, within: str, hops: int) -> Meaning | None:
        if hops == 0:
            return None
        first, _, rest = dotted.partition(".")
        directly = True
        while within:
            around = module.definitions.get(within)
            if isinstance(around, Function) and first in _given(around.args):
                return None
            # A method does not see the names of its class.
            sees = directly or not isinstance(around, ast.ClassDef)
            directly = False
            if sees and f"{within}.{first}" in module.definitions:
                return self._member(Definition(module, f"{within}.{first}"), rest, hops)
            within = within.rpartition(".")[0]
        if first in module.definitions:
            return self._member(Definition(module, first), rest, hops)
        if first in module.imports:
            return self._absolute(module, ".".join(filter(None, (module.imports[first], rest))), hops - 1)
        if first in module.aliases:
            value, scope = module.aliases[first], Scope(module)
            found = self.instance(scope, value, hops - 1) or self.meaning(scope, value, hops - 1)
            return None if found is None else self._member(found, rest, hops)
        for origin in module.stars:
            for other in self._project.named(origin, module):
                if (found := self._find(other, dotted, "", hops - 1)) is not None:
                    return found
        return None

    def _absolute(self, module: Module, dotted: str, hops: int) -> Meaning | None:
        parts = dotted.split(".")
        if parts[0] == "journy_track":  # even if its own code is being read
            return Foreign(dotted)
        for count in range(len(parts) - 1, 0, -1):
            for other in self._project.named(".".join(parts[:count]), module):
                found = self._find(other, ".".join(parts[count:]), "", hops - 1) if other is not module else None
                if found is not None:
                    return found
        return Foreign(dotted)

    def _member(self, holder: Meaning, rest: str, hops: int) -> Meaning | None:
        if isinstance(holder, Foreign):
            return Foreign(".".join(part for part in (holder.name, rest) if part))
        if not rest or not holder.is_class:
            return holder
        first, _, further = rest.partition(".")
        found = self.method(holder, first)
        if found is not None:
            return found
        held = self._held_by(holder).get(first)
        if held is not None and further and hops:
            return self._member(held, further, hops - 1)
        return holder  # a class method from another package, such as as_view(), uses the class


def _given(arguments: ast.arguments) -> set[str]:
    """The required parameters, whose values are not known. One with a default may hold what the outer name does."""
    positional = [*arguments.posonlyargs, *arguments.args]
    required = positional[: len(positional) - len(arguments.defaults)]
    named = [one for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is None]
    return {one.arg for one in (*required, *named)}
