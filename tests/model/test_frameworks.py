"""Known facts about a framework are found without importing an integration, once the framework is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

PAGES = "print(*sorted(name.rpartition('.')[2] for name in sys.modules if '._about.' in name))"
DECORATED = f"""
import sys
{{imports}}
import journy_track

@journy_track.track_event
def visit(): ...

{PAGES}
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_without_a_framework_no_page_is_loaded():
    assert run(DECORATED.format(imports="")) == ""


@pytest.mark.parametrize(
    ("module", "page"), [("celery", "celery"), ("click", "commands"), ("django", "django"), ("flask", "web")]
)
def test_an_imported_framework_has_its_page_loaded(module, page):
    pytest.importorskip(module, reason=f"imports {module}")
    assert page in run(DECORATED.format(imports=f"import {module}")).split()


def test_a_framework_that_is_imported_after_the_first_look_is_known_too():
    pytest.importorskip("celery", reason="raises Celery's Retry")
    code = """
import journy_track
from journy_track.testing import capture

@journy_track.track_event(on="error")
def pay(error): raise error

import celery.exceptions

with capture() as captured, journy_track.user("u1"):
    for error in (celery.exceptions.Retry(), ValueError()):
        try:
            pay(error)
        except Exception:
            pass
print(len(captured))
"""
    assert run(code) == "1"


def test_a_signal_that_comes_while_a_page_is_imported_finds_it_later():
    # Catches: a page that is marked as loaded too early, or treated as loaded while half-way.
    code = f"""
import sys, types
sys.modules["uwsgi"] = types.ModuleType("uwsgi")
from journy_track._model import frameworks

seen = []
def during(frame, event, argument):
    if event == "call" and frame.f_code.co_filename.endswith("_about/uwsgi.py") and not seen:
        seen.append(1)
        assert frameworks.in_use() == []
sys.setprofile(during)
frameworks.in_use()
sys.setprofile(None)
assert seen
assert len(frameworks.in_use()) == 1
{PAGES}
"""
    assert run(code) == "uwsgi"
