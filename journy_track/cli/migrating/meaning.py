"""What names stand for in all modules of a project: whether something is of the library that is moved from."""

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
    """What a module has at its top, and others may import of it: a client, or a module of the vendor's."""

    source: Source
    name: str
    #: The dotted name, where it was imported; `None` for a client that was made.
    origin: str | None


class Meanings:
    """Knows what each module hands on, and so what is imported from it."""

    def __init__(self, vendor: Vendor, paths: list[Path]) -> None:
        self._vendor = vendor
        self._paths = paths
        self._passed: dict[str, list[Passed]] = defaultdict(list)  # by the module's last name

    def learn(self, source: Source) -> None:
        """Note what others may import of *source*."""
        for one in self._handed_on_by(source):
            self._passed[last_name(source.file)].append(one)

    def may_import(self, content: bytes) -> bool:
        """Whether a file with *content* may import something that is handed on."""
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
        """*dotted* without the vendor's module in front; empty for the module, or a package that it is in."""
        for module in self._vendor.modules:
            if dotted == module or module.startswith(f"{dotted}."):
                return ""
            if dotted.startswith(f"{module}."):
                return dotted.removeprefix(f"{module}.")
        return None

    def foreign(self, source: Source, dotted: str) -> tuple[Passed, str] | None:
        """What another module of the project hands on as *dotted*, and the rest of the name."""
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
        """What *node* is of the vendor's: `track`, `Client`; `None` if it is not known to be of the vendor's."""
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
        """Whether a module of the project would be imported instead of the vendor's."""
        top = dotted.split(".", maxsplit=1)[0]
        folders = {Path(), *(path if path.is_dir() else path.parent for path in self._paths)}
        return any((folder / f"{top}.py").exists() or (folder / top).is_dir() for folder in folders)

    def makes_client(self, source: Source, value: object) -> bool:
        return isinstance(value, cst.Call) and self.meaning(source, value.func) in self._vendor.clients

    def is_client(self, source: Source, receiver: cst.BaseExpression) -> bool:
        """Whether *receiver* is a variable, or an attribute of self, that holds a client and nothing else."""
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
        """Whether a verb of the vendor's module is called, not of a client."""
        dotted = source.imported(call.func)
        if dotted is None:
            return False
        passed = None if self.of_vendor(dotted) is not None else self.foreign(source, dotted)
        return passed is None or passed[0].origin is not None

    def is_handed_on(self, source: Source, one: ImportAssignment) -> bool:
        return any(self.foreign(source, str(name.name)) for name in one.get_qualified_names_for(one.name))

    def names_of_vendor(self, source: Source) -> Iterator[tuple[cst.CSTNode, set[str]]]:
        """Where something of the vendor's is used, also by way of another module."""
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
    """Of the module that is that file."""
    return _module_of(file).rpartition(".")[2]
