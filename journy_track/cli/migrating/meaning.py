"""Resolves names in all modules of a project, to find what belongs to the other library, the vendor's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import libcst as cst
from libcst.metadata import ImportAssignment

from journy_track.cli.migrating.source import Source
from journy_track.cli.migrating.vendor import Vendor


@dataclass(frozen=True, slots=True)
class Passed:
    """A top-level name that other modules may import from a module: a client, or something from the vendor."""

    source: Source
    name: str
    #: The dotted name that it was imported from; `None` for a client that is created in the module.
    origin: str | None


class Meanings:
    """Knows what each module passes on to others, and therefore what they import from it."""

    def __init__(self, vendor: Vendor, paths: list[Path]) -> None:
        self._vendor = vendor
        self._paths = paths
        self._passed: dict[str, list[Passed]] = defaultdict(list)  # by the last part of the module's name

    def learn(self, source: Source) -> None:
        """Record what other modules may import from *source*."""
        for one in self._handed_on_by(source):
            self._passed[last_name(source.file)].append(one)

    def may_import(self, content: bytes) -> bool:
        """Whether a file with *content* may import something that a module passes on."""
        names = ((last.encode(), one.name.encode()) for last, passed in self._passed.items() for one in passed)
        return any(last in content and name in content for last, name in names)

    def _handed_on_by(self, source: Source) -> Iterator[Passed]:
        for one in source.imports:
            if one.scope.globals is one.scope and self.is_of_vendor(one):
                yield Passed(source, one.name, next(iter(one.get_qualified_names_for(one.name))).name)
        for line in source.module.body:
            for statement in line.body if isinstance(line, cst.SimpleStatementLine) else ():
                targets = statement.targets if isinstance(statement, cst.Assign) else [statement]
                for target in targets:
                    made = getattr(target, "target", None)
                    value = getattr(statement, "value", None)
                    if isinstance(made, cst.Name) and self.makes_client(source, value) and source.assigned(made):
                        yield Passed(source, made.value, None)

    def is_of_vendor(self, one: ImportAssignment) -> bool:
        return any(
            self.of_vendor(str(name.name)) is not None for name in one.get_qualified_names_for(one.name.split(".")[0])
        )

    def of_vendor(self, dotted: str) -> str | None:
        """*dotted* without the vendor's module; empty for that module or its packages, `None` for other names."""
        for module in self._vendor.modules:
            if dotted == module or module.startswith(f"{dotted}."):
                return ""
            if dotted.startswith(f"{module}."):
                return dotted.removeprefix(f"{module}.")
        return None

    def foreign(self, source: Source, dotted: str) -> tuple[Passed, str] | None:
        """What another module of the project passes on as *dotted*, and the rest of the name; `None` if nothing."""
        if dotted.startswith("."):
            level = len(dotted) - len(dotted.lstrip("."))
            package = _package_of(source.file)
            package = package[: len(package) - (level - 1)]
            dotted = ".".join([*package, dotted.lstrip(".")])
        parts = dotted.split(".")
        for length in range(len(parts) - 1, 0, -1):
            module, name = ".".join(parts[:length]), parts[length]
            for one in self._passed.get(parts[length - 1], ()):
                known = _module_of(one.source.file)
                if one.source is not source and one.name == name and f".{known}".endswith(f".{module}"):
                    return one, ".".join(parts[length + 1 :])
        return None

    def meaning(self, source: Source, node: cst.BaseExpression) -> str | None:
        """The vendor's name for *node*, such as `track` or `Client`; `None` if it is not known to be the vendor's."""
        dotted = source.imported(node)
        if dotted is None:
            return None
        found = self.of_vendor(dotted)
        if found is not None:
            return None if self.is_local(dotted) else found
        passed = self.foreign(source, dotted)
        if passed is None:
            return None
        one, rest = passed
        if one.origin is None:
            return rest
        return self.of_vendor(f"{one.origin}.{rest}" if rest else one.origin)

    def is_local(self, dotted: str) -> bool:
        """Whether *dotted* would import a module of the project instead of the vendor's."""
        top = dotted.split(".", maxsplit=1)[0]
        folders = {Path(), *(path if path.is_dir() else path.parent for path in self._paths)}
        return any((folder / f"{top}.py").exists() or (folder / top).is_dir() for folder in folders)

    def makes_client(self, source: Source, value: object) -> bool:
        return isinstance(value, cst.Call) and self.meaning(source, value.func) in self._vendor.clients

    def is_client(self, source: Source, receiver: cst.BaseExpression) -> bool:
        """Whether *receiver* is a variable, or an attribute of `self`, that only ever holds a client."""
        if isinstance(receiver, cst.Name):
            made = source.value_of(receiver)
            return made is not None and self.makes_client(source, made[0])
        if isinstance(receiver, cst.Attribute):
            cls = source.class_with(receiver)
            stores = [] if cls is None else source.stores(cls, receiver.attr.value)
            made = source.assigned(stores[0]) if len(stores) == 1 else None
            return made is not None and self.makes_client(source, made[0])
        return False

    def is_module(self, source: Source, call: cst.Call) -> bool:
        """Whether *call* calls a verb of the vendor's module, not of a client."""
        dotted = source.imported(call.func)
        if dotted is None:
            return False
        passed = None if self.of_vendor(dotted) is not None else self.foreign(source, dotted)
        return passed is None or passed[0].origin is not None

    def is_handed_on(self, source: Source, one: ImportAssignment) -> bool:
        return any(self.foreign(source, str(name.name)) for name in one.get_qualified_names_for(one.name))

    def names_of_vendor(self, source: Source) -> Iterator[tuple[cst.CSTNode, set[str]]]:
        """The nodes that use something from the vendor, also through another module, with what they refer to."""
        for node, names in source.imported_names:
            if any(self.of_vendor(name) is not None or self.foreign(source, name) for name in names):
                yield node, names


def _module_of(file: str) -> str:
    parts = [part for part in PurePosixPath(file).with_suffix("").parts if part not in ("..", "/")]
    return ".".join(parts[:-1] if parts[-1:] == ["__init__"] else parts)


def _package_of(file: str) -> list[str]:
    parts = [part for part in PurePosixPath(file).with_suffix("").parts if part not in ("..", "/")]
    return parts[:-1]


def last_name(file: str) -> str:
    """The last part of the name of the module in *file*."""
    return _module_of(file).rpartition(".")[2]
