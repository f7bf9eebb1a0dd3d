"""The released files: the same bytes from the same source, complete, and without anything else."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile

import journy_track

from .conftest import ROOT, Built, build

VERSION = journy_track.__version__
INFO = rf"journy_track-{re.escape(VERSION)}\.dist-info"
IN_THE_WHEEL = [
    r"journy_track/(\w+/)*\w+\.py",
    r"journy_track/py\.typed",
    r"journy_track/cli/guide\.md",
    r"journy_track/inspector/page/\w+\.(js|css|html|svg)",
    r"pytest_journy_track\.py",
    rf"{INFO}/(METADATA|RECORD|WHEEL|entry_points\.txt|licenses/LICENSE)",
]
IN_THE_SDIST = [
    r"(README|CHANGELOG|CONTRIBUTING|SECURITY)\.md",
    r"LICENSE|PKG-INFO|pyproject\.toml|\.gitignore",
    r"\.ci/(\w+/)*\w+(\.py)?",
    r"journy_track/(\w+/)*\w+\.py",
    r"journy_track/py\.typed",
    r"journy_track/inspector/page/\w+\.(js|css|html|svg)",
    r"docs/([\w-]+/)*[\w-]+\.(md|py|css|js)",
    r"(tests|benchmarks|examples)/(\w+/)*\w+\.(py|csv|svg|png|md|json|html|yaml|toml)",
    r"examples/relay/(Dockerfile(\.dockerignore)?|[\w-]+\.service)",
]


def names_in_the_wheel(built: Built) -> set[str]:
    with zipfile.ZipFile(built.wheel) as wheel:
        return set(wheel.namelist())


def names_in_the_sdist(built: Built) -> set[str]:
    with tarfile.open(built.sdist) as sdist:
        return {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}


def unexpected(names: set[str], patterns: list[str]) -> set[str]:
    return {name for name in names if not any(re.fullmatch(pattern, name) for pattern in patterns)}


def test_the_patterns_can_say_no():
    wrong = {"tests/conftest.py", "journy_track/__pycache__/client.cpython-311.pyc", "journy_track/x.sqlite3"}
    assert unexpected(wrong | {"journy_track/cli/app.py"}, IN_THE_WHEEL) == wrong


def test_the_wheel_holds_the_package_and_nothing_else(built):
    names = names_in_the_wheel(built)
    assert not unexpected(names, IN_THE_WHEEL)
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "journy_track").rglob("*") if path.is_file()}
    wanted = {name for name in there if "__pycache__" not in name and "/_plugin/" not in name}
    assert wanted <= names
    assert "journy_track/_plugin/pytest_journy_track.py" not in names  # it is a separate top-level module


def test_the_wheel_holds_the_shop_of_the_demo_as_it_is_among_the_examples(built):
    example = {path.name: path.read_bytes() for path in (ROOT / "examples" / "shop_jobs").glob("*.py")}
    with zipfile.ZipFile(built.wheel) as wheel:
        names = [name for name in wheel.namelist() if name.startswith("journy_track/cli/_shop/")]
        assert {name.rpartition("/")[2]: wheel.read(name) for name in names} == example
    assert len(example) == 4


def test_the_wheel_holds_the_guide_which_is_a_page_of_the_docs(built):
    with zipfile.ZipFile(built.wheel) as wheel:
        assert wheel.read("journy_track/cli/guide.md") == (ROOT / "docs" / "start" / "guide.md").read_bytes()


def test_the_sdist_holds_the_source_its_tests_and_nothing_else(built):
    names = names_in_the_sdist(built)
    assert not unexpected(names, IN_THE_SDIST)
    tests = {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("*.py")}
    assert tests | {"pyproject.toml", ".ci/oldest", "docs/conf.py", "CONTRIBUTING.md"} <= names


def test_two_builds_have_the_same_bytes(built, unpacked, tmp_path):
    # The second build is in another folder, from files with other timestamps.
    again = build(unpacked, tmp_path)
    assert again.wheel.read_bytes() == built.wheel.read_bytes()
    assert again.sdist.read_bytes() == built.sdist.read_bytes()


def test_the_tests_run_from_the_unpacked_sdist(unpacked):
    tests = ["tests/model/test_items.py", "tests/test_tracker.py", "tests/inspector/test_page.py"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=unpacked,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_metadata_says_what_it_is(built):
    with zipfile.ZipFile(built.wheel) as wheel:
        [name] = [name for name in wheel.namelist() if name.endswith("METADATA")]
        said = wheel.read(name).decode()
    for line in (
        f"Version: {VERSION}",
        "License-Expression: MIT",
        "Requires-Python: >=3.11",
        "Classifier: Typing :: Typed",
        "Description-Content-Type: text/markdown",
    ):
        assert f"\n{line}\n" in said
    for minor in (11, 12, 13):
        assert f"\nClassifier: Programming Language :: Python :: 3.{minor}\n" in said
