"""Imports point down, and what is public is there and says what it is."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import journy_track

PACKAGE = Path(journy_track.__file__).parent
MODEL = {"_model", "_version"}
ROOMS = {"_capture", "_delivery", "_transport"}
#: What each room may import of this library, beside itself. Rooms that are not here are public: they may import all.
MAY_IMPORT = {
    "_version": set(),
    "_model": {"_version"},
    "_capture": MODEL,
    "_spool": MODEL,
    "_delivery": MODEL | {"_spool"},
    "_transport": MODEL,
    "_process": MODEL,
    "_verbs": MODEL | {"_capture"},
    "client": MODEL | {"_delivery", "_transport"},
    "_engine": MODEL | ROOMS | {"_process", "_spool"},
    "_relay": MODEL | ROOMS,
    "_tracker": MODEL | ROOMS | {"_engine", "_process", "_verbs"},
    "_runtime": MODEL | ROOMS | {"_process", "_verbs", "_tracker", "client"},
    "_testing": MODEL | {"_capture", "_delivery", "_tracker", "_runtime"},
    "inspector": set(),
}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """The rooms of this library that a module imports, also inside its functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name.split(".")[1] for name in names if name.startswith("journy_track.")}


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if room_of(path) in MAY_IMPORT)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    assert imported_rooms(path) - {room_of(path)} <= MAY_IMPORT[room_of(path)]


def test_every_private_room_has_its_floor():
    private = {room_of(path) for path in PACKAGE.rglob("*.py") if room_of(path).startswith("_")}
    assert private - {"__init__", "__main__", "_plugin"} <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.name == "_version.py"


def homes_as_type_checkers_see_them() -> dict[str, str]:
    """Where each public name is imported from, in the branch that never runs."""
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
    assert sorted(journy_track.__all__) == sorted([*journy_track._HOME_OF, "__version__"])
    assert set(dir(journy_track)) >= {*journy_track.__all__, *submodules}


@pytest.mark.parametrize("name", sorted({*journy_track.__all__, *journy_track._SUBMODULES}))
def test_a_name_that_was_asked_for_is_a_plain_attribute(name):
    assert getattr(journy_track, name) is vars(journy_track)[name]


def test_what_took_the_place_of_a_name_keeps_it_when_another_is_asked_for(monkeypatch):
    monkeypatch.delitem(vars(journy_track), "track", raising=False)
    monkeypatch.setattr(journy_track, "upsert_user", "a mock")
    assert callable(journy_track.track)
    assert journy_track.upsert_user == "a mock"


@pytest.mark.parametrize("name", sorted(set(journy_track.__all__) - {"__version__", "Result"}))  # an alias has none
def test_everything_public_says_what_it_is(name):
    documented = inspect.getdoc(getattr(journy_track, name))
    assert documented
    assert not documented.startswith(f"{name}(")  # what a dataclass writes when nobody did


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


def test_the_version_is_a_version():
    assert journy_track.__version__[0].isdigit()


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        journy_track.no_such_name  # noqa: B018
