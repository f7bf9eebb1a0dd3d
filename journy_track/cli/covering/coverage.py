"""Finds which handlers of a project track something, without importing or running its code."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from journy_track.cli.cataloguing.declaring import Declarations
from journy_track.cli.cataloguing.project import Project
from journy_track.cli.cataloguing.reading import is_test_file, read_project
from journy_track.cli.covering.handlers import Handler, HandlerReader
from journy_track.cli.covering.names import NameResolver
from journy_track.cli.covering.tracking import Tracking


@dataclass(frozen=True, slots=True)
class Covered:
    """A handler, and whether it tracks something.

    *by* is the function that tracks, which may be the handler itself; `None` if nothing tracks. *allowed* means that
    it is on the allow-list. *passed_by* means that `@track_event` is above the decorator that registers the function,
    and therefore never runs.
    """

    kind: str
    module: str
    function: str
    routes: tuple[str, ...]
    file: str
    line: int
    by: str | None
    allowed: bool = False
    passed_by: bool = False

    @property
    def name(self) -> str:
        """The dotted import name, without `src`, which is the folder of the packages."""
        return f"{self.module.removeprefix('src.')}.{self.function}"


@dataclass(slots=True)
class Coverage:
    """All handlers, ordered by file and line. *elsewhere* lists URLs of other packages, which were not examined."""

    handlers: list[Covered]
    elsewhere: list[str] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    #: Patterns of the allow-list that match no handler without tracking.
    unused: list[str] = field(default_factory=list)

    @property
    def counted(self) -> list[Covered]:
        return [one for one in self.handlers if not one.allowed]

    @property
    def missing(self) -> list[Covered]:
        return [one for one in self.counted if one.by is None]

    @property
    def percent(self) -> float:
        """The percentage of counted handlers that track something; 100 if there are none."""
        total = len(self.counted)
        return 100.0 if not total else 100 * (total - len(self.missing)) / total


class WrongSettings(Exception):
    """The allow-list cannot be used. The message has the reason."""


def allow_list(file: Path) -> list[str]:
    """The patterns in `[tool.journy_track.coverage]` of *file*; empty if missing. Raises `WrongSettings`."""
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WrongSettings(f"Cannot read {file}: {error}.") from error
    table: Any = document
    for name in ("tool", "journy_track", "coverage"):
        table = table.get(name, {}) if isinstance(table, dict) else None
    allow = table.get("allow", []) if isinstance(table, dict) else None
    if not isinstance(allow, list) or not all(isinstance(one, str) and one for one in allow):
        raise WrongSettings(f"allow, in [tool.journy_track.coverage] of {file}, must be a list of patterns.")
    if unknown := sorted(set(table) - {"allow"}):
        raise WrongSettings(f"[tool.journy_track.coverage] of {file} has no setting {unknown[0]!r}: it has 'allow'.")
    return allow


def read_coverage(paths: Iterable[Path], allow: Sequence[str]) -> Coverage:
    """The coverage of the Python files in *paths*.

    *allow* lists names and routes, which may contain `*`, of handlers that do not need to track.
    """
    unread: dict[str, str] = {}
    project, _ = read_project(paths, unread)
    names = NameResolver(project)
    handlers, elsewhere = _handlers(project, names, unread)
    nodes = {one.node for handler in handlers for one in handler.functions}
    tracking = Tracking(names, Declarations(project), nodes)
    merged: dict[tuple[str, ...], Covered] = {}
    for handler in handlers:
        one = _covered(handler, tracking, allow)
        key = (one.name, one.file, str(one.line)) if handler.functions else (one.name, one.file, *one.routes)
        before = merged.get(key)
        if before is not None:
            routes = tuple(dict.fromkeys(before.routes + one.routes))
            one = replace(before, routes=routes, by=before.by or one.by, allowed=before.allowed or one.allowed)
        merged[key] = one
    found = sorted(merged.values(), key=lambda one: (one.file, one.line, one.name))
    missing = [one for one in found if one.by is None]
    unused = [pattern for pattern in allow if not any(_fits(pattern, one) for one in missing)]
    return Coverage(found, sorted(set(elsewhere)), unread, unused)


def _handlers(project: Project, names: NameResolver, unread: dict[str, str]) -> tuple[list[Handler], list[str]]:
    handlers: list[Handler] = []
    elsewhere: list[str] = []
    for module in project.modules:
        if not is_test_file(module.file):
            reader = HandlerReader(module, names)
            try:
                reader.visit(module.tree)
            except RecursionError:
                unread[module.file] = "is nested too deeply"
            handlers += reader.found
            elsewhere += reader.elsewhere
    return [one for one in handlers if not is_test_file(one.file)], elsewhere


def _covered(handler: Handler, tracking: Tracking, allow: Sequence[str]) -> Covered:
    by = next((found for one in handler.functions if (found := tracking.by(one)) is not None), None)
    where = None if by is None else f"{by.module.name}.{by.name}".removeprefix("src.")
    if where is None and handler.registered is not None and tracking.by_expression(*handler.registered):
        where = f"{handler.module}.{handler.function}".removeprefix("src.")
    one = Covered(handler.kind, handler.module, handler.function, (handler.route,), handler.file, handler.line, where)
    if where is not None:
        return one
    passed_by = any(map(tracking.passed_by, handler.functions))
    return replace(one, allowed=any(_fits(pattern, one) for pattern in allow), passed_by=passed_by)


def _fits(pattern: str, one: Covered) -> bool:
    return any(fnmatchcase(name, pattern) for name in (one.name, *one.routes))
