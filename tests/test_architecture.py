"""Imports only point downwards, and everything public is exported and documented."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import journy_track
from journy_track.integrations._about import PAGES

PACKAGE = Path(journy_track.__file__).parent
MODEL = {"_model", "_version"}
ROOMS = {"_capture", "_delivery", "_state", "_stores", "_transport"}
#: Where the app's thread hands items over to the worker: the only capture module that both sides import.
BORDER = "_capture.queue"
#: What each room may import from this library besides itself. Rooms not listed are public, and may import anything.
MAY_IMPORT = {
    "_version": set(),
    "_model": {"_version"},
    "_capture": MODEL,
    "_stores": MODEL,
    "_state": MODEL | {"_stores"},
    "_delivery": MODEL | {"_state", "_stores", BORDER},
    "_transport": MODEL | {"_stores"},
    "_process": MODEL,
    "_verbs": MODEL | {"_capture"},
    "_bulk": MODEL | {"_capture"},
    "_client": MODEL | {"_capture"},
    "client": MODEL | {"_client", "_delivery", "_transport"},
    "_delivery/pipeline.py": MODEL | ROOMS | {"_process"},  # where everything is put together
    "_delivery/ways.py": MODEL | {"_state", "_stores", "_transport"},
    "_relay": MODEL | ROOMS,
    "_tracker": MODEL | ROOMS | {"_bulk", "_process", "_verbs"},
    "_runtime": MODEL | ROOMS | {"_bulk", "_process", "_verbs", "_tracker", "client"},
    "_sync": MODEL | ROOMS | {"_bulk", "_process", "_runtime", "_tracker"},
    "_typed": MODEL | {"_capture", "_verbs", "_runtime"},
    "_metrics": MODEL | {"_tracker", "_runtime"},
    "_carriers": MODEL | {"_capture", "_runtime"},
    "_testing": MODEL | {"_capture", "_delivery", "_tracker", "_runtime"},
    "inspector": set(),
}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Return the rooms of this library that a module imports, including imports inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    inside = {name.removeprefix("journy_track.") for name in names if name.startswith("journy_track.")}
    return {BORDER if name.startswith(f"{BORDER}.") else name.split(".")[0] for name in inside}


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if room_of(path) in MAY_IMPORT)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    allowed = MAY_IMPORT.get(path.relative_to(PACKAGE).as_posix()) or MAY_IMPORT[room_of(path)]
    here = {room_of(path)} | ({BORDER} if "_capture" in {room_of(path), *allowed} else set())
    assert imported_rooms(path) - here <= allowed


def test_every_private_room_has_its_floor():
    private = {room_of(path) for path in PACKAGE.rglob("*.py") if room_of(path).startswith("_")}
    assert private - {"__init__", "__main__", "_plugin"} <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.name == "_version.py"


#: A replacement for the standard library's event loop or sockets (trio, gevent) is a runtime, not a framework.
FRAMEWORKS = (
    *(
        "aiohttp",
        "apscheduler",
        "arq",
        "blinker",
        "celery",
        "click",
        "django",
        "dramatiq",
        "fastapi",
        "flask",
        "gunicorn",
        "huey",
        "litestar",
    ),
    "rq",
    "taskiq",
    *("quart", "sanic", "sentry", "sqlalchemy", "starlette", "tornado", "typer", "uvicorn", "uwsgi", "werkzeug"),
)
CORE = [path for path in MODULES if room_of(path) != "inspector"]


def test_a_class_has_a_name_of_its_own():
    places: dict[str, list[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        if "_shop" in path.parts:  # in a wheel: an example with its own names
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    shared = {name: sorted(paths) for name, paths in places.items() if len(paths) > 1}
    # Each framework has one: it is the name that people write, and the module tells them apart.
    assert shared.keys() == {"JournyMiddleware"}, shared


def test_no_method_is_there_only_to_raise_that_it_is_not():
    raised = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise) and "NotImplementedError" in ast.dump(node)
    ]
    assert raised == []


def words_of_the_code(path: Path) -> Iterator[str]:
    """Yield the names and strings of a module, except docstrings and comments."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    alone = {node.value for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    for node in nodes:
        for _, value in [] if node in alone else ast.iter_fields(node):
            yield from (text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str))


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_core_names_no_framework(path):
    # What has to be known about a framework is in integrations/_about: see _model/frameworks.py.
    named = re.compile(
        rf"\b_?({'|'.join(FRAMEWORKS)})(?![a-z])|[a-z]_({'|'.join(FRAMEWORKS)})(?![a-z])", re.IGNORECASE
    )
    assert not [word for word in words_of_the_code(path) if named.search(word)]


def test_a_page_about_a_framework_imports_nothing_of_it():
    pages = sorted({f"journy_track.integrations._about.{page}" for page in PAGES.values()})
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {', '.join(pages)}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {name.partition(".")[0] for name in done.stdout.split()} & {*FRAMEWORKS, *PAGES}


def homes_as_type_checkers_see_them() -> dict[str, str]:
    """Return where each public name is imported from, read from the branch that never runs."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    branch = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.name: node.module.removeprefix("journy_track").removeprefix(".")
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_all_is_what_is_there_and_what_type_checkers_see():
    homes = homes_as_type_checkers_see_them()
    submodules = {name for name, home in homes.items() if home == ""}
    assert submodules == set(journy_track._SUBMODULES)
    assert {name: home for name, home in homes.items() if home} == journy_track._HOME_OF
    listed = [name for names in journy_track._HOMES.values() for name in names.split()]
    assert sorted(journy_track.__all__) == sorted([*listed, "__version__"])
    assert set(dir(journy_track)) >= {*journy_track.__all__, *submodules}


@pytest.mark.parametrize("name", sorted({*journy_track.__all__, *journy_track._SUBMODULES}))
def test_a_name_that_was_asked_for_is_a_plain_attribute(name):
    assert getattr(journy_track, name) is vars(journy_track)[name]


def test_what_took_the_place_of_a_name_keeps_it_when_another_is_asked_for(monkeypatch):
    monkeypatch.delitem(vars(journy_track), "track", raising=False)
    monkeypatch.setattr(journy_track, "upsert_user", "a mock")
    assert callable(journy_track.track)
    assert journy_track.upsert_user == "a mock"


@pytest.mark.parametrize(
    "name", sorted(set(journy_track.__all__) - {"__version__", "APIResult"})
)  # an alias has no docstring
def test_everything_public_says_what_it_is(name):
    documented = inspect.getdoc(getattr(journy_track, name))
    assert documented
    assert not documented.startswith(f"{name}(")  # the default docstring of a dataclass


@pytest.mark.parametrize("name", sorted(set(journy_track.__all__) - {"__version__"}))
def test_every_public_method_says_what_it_does(name):
    thing = getattr(journy_track, name)
    if inspect.isclass(thing):
        mute = [
            method
            for method, value in inspect.getmembers(thing, inspect.isfunction)
            if not method.startswith("_")
            and value.__module__.startswith("journy_track")
            and not inspect.getdoc(value)
        ]
        assert not mute


@pytest.mark.parametrize(
    ("former", "name"),
    [
        ("Group", "DefinitionGroup"),
        ("Named", "NamedDefinition"),
        ("Result", "APIResult"),
        ("current", "current_context"),
    ],
)
def test_the_names_of_earlier_versions_stay_importable(former, name):
    assert getattr(journy_track, former) == getattr(journy_track, name)
    assert former not in journy_track.__all__


def test_the_version_is_a_version():
    assert journy_track.__version__[0].isdigit()


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        journy_track.no_such_name  # noqa: B018
