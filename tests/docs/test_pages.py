"""What holds for each page of the documentation: its links, and the way to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .reading import DOCS, README, anchor, sections

PAGES = sorted(DOCS.glob("*.md"))
LINKS = [
    pytest.param(page, link, id=f"{page.stem}: {link}")
    for page in PAGES
    for link in sorted(set(re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))))
]


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_a_link_leads_somewhere(page: Path, link: str):
    if link.startswith("https://"):
        return
    path, _, fragment = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.exists()
    assert not fragment or fragment in [anchor(part.title) for part in sections(target.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_readme_leads_to_it(page: Path):
    assert f"docs/{page.name}" in README.read_text(encoding="utf-8")
