"""The names that a module uses for journy_track's objects and for string constants."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

_MAKERS = ("Tracker", "configure", "get_tracker")


@dataclass(slots=True)
class ModuleNames:
    """The meanings of the names in one module."""

    #: Name → what it refers to in journy_track: `` for the package, `track_event`, `Event` …
    ours: dict[str, str] = field(default_factory=dict)
    #: Names and attributes that hold a tracker: `tracker`, `self.tracker`.
    trackers: set[str] = field(default_factory=set)
    #: String constants, `NAME` and `Class.NAME`, with their values.
    texts: dict[str, str] = field(default_factory=dict)

    def meaning(self, node: ast.expr) -> str | None:
        """What *node* refers to in journy_track, such as `track` or `Event.for_user`; `None` for anything else."""
        dotted = dotted_name(node)
        if dotted is None:
            return None
        holder, _, method = dotted.rpartition(".")
        if holder in self.trackers:
            return method
        first, _, rest = dotted.partition(".")
        if first not in self.ours:
            return None
        return ".".join(part for part in (self.ours[first], rest) if part)

    def text(self, node: ast.expr | None) -> str | None:
        """The string value of *node*; `None` if it is known only at run time."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        return None if node is None else self.texts.get(dotted_name(node) or "")


def names_of(module: ast.Module) -> ModuleNames:
    """The meanings of the names in *module*."""
    names = ModuleNames()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "journy_track":
                    names.ours[alias.asname or alias.name] = ""
        elif isinstance(node, ast.ImportFrom) and node.module == "journy_track" and node.level == 0:
            for alias in node.names:
                names.ours[alias.asname or alias.name] = alias.name
    if names.ours:
        names.trackers = _trackers(module, names)
        names.texts = dict(_texts(module.body, ""))
    return names


def dotted_name(node: ast.expr) -> str | None:
    """The dotted form, such as `a.b.c`, of a chain of names; `None` for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        holder = dotted_name(node.value)
        return None if holder is None else f"{holder}.{node.attr}"
    return None


def _trackers(module: ast.Module, names: ModuleNames) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Call):
            if names.meaning(node.value.func) not in _MAKERS:
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.update(name for target in targets if (name := dotted_name(target)) is not None)
    return found


def _texts(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, str]]:
    """Names that are assigned a string, and only once, at the top level of the module or of a class."""
    seen: dict[str, str | None] = {}
    for statement in body:
        if isinstance(statement, ast.ClassDef) and not prefix:
            yield from _texts(statement.body, f"{statement.name}.")
        if isinstance(statement, (ast.Assign, ast.AnnAssign)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            value = statement.value
            text = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None
            for target in targets:
                if isinstance(target, ast.Name):
                    seen[target.id] = None if target.id in seen else text
    yield from ((prefix + name, text) for name, text in seen.items() if text is not None)
