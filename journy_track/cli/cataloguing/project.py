"""The modules of a project, and the classes that names in them refer to, found without importing anything."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from journy_track.cli.cataloguing.naming import ModuleNames, dotted_name, names_of

#: The maximum number of re-exports that are followed from one module to the next.
_MAX_HOPS = 5


class Module:
    """One file. If *tree* was not kept, it is parsed again on first use, which most files never need."""

    def __init__(self, path: Path, file: str, tree: ast.Module | None) -> None:
        self.path = path
        self.file = file
        parts = [part for part in PurePosixPath(file).with_suffix("").parts if part not in ("..", "/")]
        self.is_package: bool = parts[-1:] == ["__init__"]
        self.name: str = ".".join(parts[:-1] if self.is_package else parts)
        self._kept = tree

    @property
    def is_kept(self) -> bool:
        return self._kept is not None

    @cached_property
    def tree(self) -> ast.Module:
        return self._kept or ast.parse(self.path.read_bytes(), filename=str(self.path))

    @cached_property
    def names(self) -> ModuleNames:
        """The meanings of its names in journy_track."""
        return names_of(self.tree)

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """Its classes by name. A top-level class wins over one with the same name in a function."""
        inner = {node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)}
        return {**inner, **{node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)}}

    @cached_property
    def definitions(self) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
        """Its functions, methods and classes, including inner ones, by qualified name.

        As in Python, the last definition of a name wins; earlier ones have their line number appended: `read@12`.
        """
        found: dict[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef] = {}
        for name, node in _definitions(self.tree, ""):
            if name in found:
                found[f"{name}@{found[name].lineno}"] = found[name]
            found[name] = node
        return found

    @cached_property
    def names_of_definitions(self) -> dict[ast.AST, str]:
        return {node: name for name, node in self.definitions.items()}

    @cached_property
    def aliases(self) -> dict[str, ast.expr]:
        """The values assigned at its top level, by name: `Plan = Literal["free", "pro"]`."""
        found: dict[str, ast.expr] = {}
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id] = node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
                found[node.target.id] = node.value
            elif type(node).__name__ == "TypeAlias":  # Python 3.12
                found[node.name.id] = node.value  # type: ignore[attr-defined]
        return found

    @cached_property
    def imports(self) -> dict[str, str]:
        """Local name → the dotted name that it is imported from."""
        found: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found[alias.asname or alias.name.partition(".")[0]] = (
                        alias.name if alias.asname else alias.name.partition(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom):
                origin = self._absolute(node)
                for alias in node.names:
                    found[alias.asname or alias.name] = f"{origin}.{alias.name}"
        return found

    @cached_property
    def stars(self) -> list[str]:
        """The modules from which it imports all names: `from .orders import *`."""
        return [
            self._absolute(node)
            for node in self.tree.body
            if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
        ]

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name.split(".") if self.is_package else self.name.split(".")[:-1]
        package = package[: len(package) - (node.level - 1)]
        return ".".join([*package, *([node.module] if node.module else [])])


@dataclass(frozen=True, slots=True)
class Found:
    """A class or a type alias, and the module that defines it."""

    module: Module
    name: str

    @property
    def cls(self) -> ast.ClassDef | None:
        return self.module.classes.get(self.name)

    @property
    def alias(self) -> ast.expr | None:
        return self.module.aliases.get(self.name)


class Project:
    """A set of modules that are read together."""

    def __init__(self) -> None:
        self.modules: list[Module] = []
        self._by_last: dict[str, list[Module]] = defaultdict(list)
        self._by_name: dict[str, list[Module]] = {}

    def add(self, module: Module) -> None:
        self.modules.append(module)
        self._by_last[module.name.rpartition(".")[2]].append(module)

    def kept(self) -> list[Module]:
        """The modules that mention journy_track. Only these can declare an event."""
        return [module for module in self.modules if module.is_kept]

    def find(self, module: Module, node: ast.expr) -> Found | None:
        """The class or alias that *node*, a name in *module*, refers to; `None` if it is not in the project."""
        dotted = dotted_name(node)
        if dotted is None:
            return None
        first, _, rest = dotted.partition(".")
        if not rest and (first in module.classes or (first in module.aliases and first not in module.imports)):
            return Found(module, first)
        origin = module.imports.get(first)
        return None if origin is None else self._find(f"{origin}.{rest}" if rest else origin, _MAX_HOPS)

    def _find(self, dotted: str, hops: int) -> Found | None:
        where, _, name = dotted.rpartition(".")
        for module in self._named(where):
            if name in module.classes or name in module.aliases:
                return Found(module, name)
            if hops and name in module.imports:  # re-exported by a package
                return self._find(module.imports[name], hops - 1)
        return None

    def named(self, dotted: str, near: Module) -> list[Module]:
        """The modules that *dotted* may refer to in *near*, the most likely first.

        A name without dots may be that of another package, so it is only searched for in the folders around *near*.
        """

        def ancestor(module: Module) -> int:
            root = module.name.removesuffix(dotted)
            return len(root) if f"{near.name}.".startswith(root) else -1

        likely = sorted(self._named(dotted), key=ancestor, reverse=True)
        return likely if "." in dotted else [module for module in likely if ancestor(module) >= 0]

    def _named(self, dotted: str) -> list[Module]:
        """Modules with this name. As the project's root is not known, `shop.events` may be `src/shop/events.py`."""
        if dotted not in self._by_name:
            self._by_name[dotted] = [
                module
                for module in self._by_last.get(dotted.rpartition(".")[2], ())
                if dotted and (module.name == dotted or module.name.endswith(f".{dotted}"))
            ]
        return self._by_name[dotted]


def _definitions(
    node: ast.AST, prefix: str
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield f"{prefix}{inner.name}", inner
            yield from _definitions(inner, f"{prefix}{inner.name}.")
        elif isinstance(inner, (ast.stmt, ast.excepthandler, ast.match_case)):
            yield from _definitions(inner, prefix)
