"""Finds what a project tracks by reading its code, without importing or running anything."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from journy_track.cli.cataloguing.calls import ModuleReader
from journy_track.cli.cataloguing.declaring import Declarations, problem_of_keys
from journy_track.cli.cataloguing.found import Catalog, Declared, Place
from journy_track.cli.cataloguing.project import Module, Project

#: Folders that contain third-party code, or no source code.
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "env", "build", "dist"})


def read(paths: Iterable[Path]) -> Catalog:
    """The catalog of all Python files in *paths*, which may be files or folders."""
    catalog = Catalog()
    project, sources = read_project(paths, catalog.unread)
    _fill(catalog, project, sources)
    return catalog


def read_project(paths: Iterable[Path], unread: dict[str, str]) -> tuple[Project, dict[str, bytes]]:
    """The modules in *paths*, and their source by file. Files that cannot be read are added to *unread*."""
    project = Project()
    sources: dict[str, bytes] = {}
    for path, shown in python_files(paths):
        try:
            source = path.read_bytes()
            tree = ast.parse(source, filename=str(path))
        except (SyntaxError, ValueError) as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            unread[shown] = f"is not Python that this version can read{line}"
        except OSError as error:
            unread[shown] = error.strerror or str(error)
        except RecursionError:
            unread[shown] = "is nested too deeply"
        else:
            project.add(Module(path, shown, tree if b"journy_track" in source else None))
            sources[shown] = source
    return project, sources


def is_test_file(file: str) -> bool:
    """Whether *file* belongs to the tests, which are not part of the product."""
    path = PurePosixPath(file)
    name = path.stem
    return (
        any(folder in ("test", "tests") for folder in path.parts[:-1])
        or name in ("conftest", "tests")
        or name.startswith("test_")
        or name.endswith("_test")
    )


def _fill(catalog: Catalog, project: Project, sources: Mapping[str, bytes]) -> None:
    declarations = Declarations(project)
    catalog.declared = declarations.all()
    classes = [declared.cls.encode() for declared in catalog.declared]
    for module in project.modules:
        source = sources.get(module.file, b"")
        # Code that creates a typed event may not mention this library, but it mentions the class.
        if module.is_kept or any(cls in source for cls in classes):
            reader = ModuleReader(module, declarations)
            reader.visit(module.tree)
            catalog.places += reader.places
            catalog.properties += reader.properties
    catalog.places = [_beside_declaration(place, catalog.declared) for place in catalog.places]


def _beside_declaration(place: Place, declared: list[Declared]) -> Place:
    """*place*, with any conflict with the class that declares the event, for a place that does not use the class."""
    if place.problem is not None or place.how.endswith("(…)"):  # checked already where the typed event is created
        return place
    same = [one for one in declared if one.name == place.name]
    problem = None
    if place.how == "@event":
        first = min(same, key=lambda one: (one.file, one.line), default=None)
        if first is not None and (first.file, first.line) != (place.file, place.line):
            problem = f"{first.name} is declared at {first.file}, too"
    elif same:
        problems = [problem_of_keys(one, place.keys) for one in same]
        problem = problems[0] if None not in problems else None
    else:
        problem = next(
            (f"{place.name} is now called {one.name}" for one in declared if place.name in one.former), None
        )
    return place if problem is None else replace(place, problem=problem, mistake=True)


def python_files(paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """The Python files, named relative to the current folder, so that a committed catalog is the same everywhere."""
    for path in paths:
        if path.is_file():
            yield path, _named(path)
            continue
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(
                name
                for name in folders
                if name not in _SKIPPED and not name.startswith(".") and not Path(folder, name, "pyvenv.cfg").exists()
            )
            for name in sorted(files):
                file = Path(folder, name)
                if name.endswith(".py") and not _is_special(file):
                    yield file, _named(file)


def _is_special(path: Path) -> bool:
    """Whether *path* is a pipe or similar, where reading may block. A broken link is not one: reading it fails."""
    return os.path.exists(path) and not os.path.isfile(path)  # noqa: PTH110, PTH113 - Path's may raise


def _named(path: Path) -> str:
    try:
        return Path(os.path.relpath(path)).as_posix()
    except ValueError:  # on another drive
        return path.absolute().as_posix()
