"""`journy-track guide`: prints the page of the docs, formatted for a terminal."""

from __future__ import annotations

import re

from docs.reading import DOCS

from .commands import run

PAGE = (DOCS / "start" / "guide.md").read_text(encoding="utf-8")


def test_in_a_pipe_it_is_the_page_without_its_comments():
    ended = run("guide")
    assert ended.exit_code == 0
    assert ended.stdout == run("guide", "--markdown").stdout
    assert ended.stdout == re.sub(r"<!--.*?-->\n+", "", PAGE, flags=re.DOTALL)
    assert "# Instrument an existing app" in ended.stdout


def test_it_is_about_one_page():
    assert len(run("guide").stdout.splitlines()) < 100
