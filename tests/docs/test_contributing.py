"""CONTRIBUTING.md describes the tree correctly: the files and functions that it names exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "journy_track"
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = sorted(set(re.findall(r"[\w./]*\w\.py\b", TEXT)))
FUNCTIONS = sorted(set(re.findall(r"\b(_?[A-Z]\w+)\.([a-z_]\w*)\b(?!\.)", TEXT)))


def members() -> dict[str, set[str]]:
    """Return the methods of each class of the package, without those of its base classes."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                names = {part.name for part in node.body if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef))}
                found.setdefault(node.name, set()).update(names)
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_file_that_it_names_is_there(name):
    places = (ROOT / name, PACKAGE / name, PACKAGE / "_delivery" / name, PACKAGE / "_stores" / "sqlite" / name)
    assert any(place.is_file() for place in places)


def test_every_method_that_it_names_is_there():
    classes = members()
    named = [(owner, name) for owner, name in FUNCTIONS if owner in classes]
    assert len(named) > 25
    assert [f"{owner}.{name}" for owner, name in named if name not in classes[owner]] == []
    assert {owner for owner, _ in FUNCTIONS} - {*classes} <= {"README", "CHANGELOG", "ContextVar"}
