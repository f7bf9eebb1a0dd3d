"""Every public name is documented, with units, and is in the reference built from the docstrings."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from journy_track import Tracker, integrations

ROOT = Path(__file__).parents[2]
#: The modules that users import. Each lists its public names in `__all__`.
MODULES = [
    "journy_track",
    "journy_track.broker",
    "journy_track.inspector",
    "journy_track.testing",
    *(
        f"journy_track.integrations.{module.name}"
        for module in pkgutil.iter_modules(integrations.__path__)
        if not module.name.startswith("_")
        and (module.name != "arq" or find_spec("arq"))  # it needs another redis-py than Celery: not in `test`
    ),
]
#: Names that cannot have a docstring.
ALIASES = {"__version__", "APIResult"}
A_TIME = re.compile(r"\bfloat\b|\btimedelta\b")
A_UNIT = re.compile(r"\bseconds\b|\btimedelta\b")
#: Floats that need no unit: a part of the key's budget, and a time with its unit in its name.
NO_TIMES = {"share", "duration_ms"}


def module_of(name: str) -> Any:
    return importlib.import_module(name)


def public() -> Iterator[tuple[str, Any]]:
    """Yield each public name and each public member of our classes, with its object."""
    for module in MODULES:
        for name in sorted(set(module_of(module).__all__) - ALIASES):
            thing = getattr(module_of(module), name)
            yield f"{module}.{name}", thing
            if inspect.isclass(thing):
                for member, value in inspect.getmembers(thing):
                    source = value.fget if isinstance(value, property) else value
                    ours = (getattr(source, "__module__", None) or "").startswith("journy_track")
                    if not member.startswith("_") and inspect.isroutine(source) and ours:
                        yield f"{module}.{name}.{member}", value


PUBLIC = dict(public())


def annotations_of(thing: Any) -> dict[str, Any]:
    if inspect.isclass(thing):
        made = (
            {field.name: field.type for field in dataclasses.fields(thing)} if dataclasses.is_dataclass(thing) else {}
        )
        return {**getattr(thing.__init__, "__annotations__", {}), **made}
    return getattr(thing.fget if isinstance(thing, property) else thing, "__annotations__", {})


TIMED = [
    name
    for name, thing in PUBLIC.items()
    if any(A_TIME.search(str(kind)) for argument, kind in annotations_of(thing).items() if argument not in NO_TIMES)
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the documentation's site as a release does."""
    where = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", str(where / ".doctrees"), "docs"]
    built = subprocess.run(
        [*command, str(where / "html")], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert built.returncode == 0, built.stderr
    return where / "html"


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_public_says_what_it_is(name):
    said = inspect.getdoc(PUBLIC[name])
    assert said
    assert not said.startswith(f"{name.rpartition('.')[2]}("), "what a dataclass writes when nobody did"


@pytest.mark.parametrize("name", TIMED)
def test_what_takes_or_answers_a_time_names_its_unit(name):
    thing = PUBLIC[name]
    assert A_UNIT.search(
        " ".join([inspect.getdoc(thing) or "", inspect.getdoc(getattr(thing, "__init__", None)) or ""])
    )


def test_there_are_times_to_look_at():
    assert {"journy_track.flush", "journy_track.Tracker.shutdown", "journy_track.Health"} <= set(TIMED)


def test_what_is_raised_is_said_where_wrong_arguments_are_refused():
    refusing = ["configure", "track_event", "track", "user", "account", "metadata", "in_context", "verification_hash"]
    said = {name: inspect.getdoc(PUBLIC[f"journy_track.{name}"]) or "" for name in refusing}
    assert not [name for name, text in said.items() if not re.search(r"[Rr]aises? `", " ".join(text.split()))]


def inherited() -> set[str]:
    """Return the members that an item inherits from the class of all API calls: the reference omits them."""
    classes = {name: thing for name, thing in PUBLIC.items() if inspect.isclass(thing) and thing is not Tracker}
    return {
        name
        for name in PUBLIC
        if (c := classes.get(name.rpartition(".")[0])) and name.rpartition(".")[2] not in vars(c)
    }


def test_the_site_is_built_without_a_warning_and_has_every_public_name_and_no_private_one(site):
    inventory = (site / "objects.inv").read_bytes()
    text = zlib.decompress(inventory.split(b"\n", 4)[4]).decode()
    listed = {name for name, kind in re.findall(r"^(\S+) (\S+) ", text, re.MULTILINE) if kind.startswith("py:")}
    of_django = {"journy_track.integrations.django_snippet.register"}  # the name by which Django finds the tag
    assert set(PUBLIC) - listed - inherited() <= of_django
    assert not [name for name in listed if re.search(r"\._[a-z]", name)]


def test_the_site_asks_no_other_server_for_anything(site):
    """Links may lead elsewhere; fonts, styles, scripts and pictures are part of the site."""
    asking = {
        "*.html": r"<(?:script|img|link|iframe|source)\b[^>]*(?:src|href)=\"(?:https?:)?//[^>]*",
        "*.css": r"url\([\"']?(?:https?:)?//[^)]*|@import[^;]*//[^;]*",
    }
    texts = [(path.read_text(encoding="utf-8"), asks) for kind, asks in asking.items() for path in site.rglob(kind)]
    assert len(texts) > 50
    assert not [found for text, asks in texts for found in re.findall(asks, text)]


def test_the_site_searches_by_itself(site):
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert "troubleshooting" in index
    assert (site / "search.html").exists()
