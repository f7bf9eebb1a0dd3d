"""The tutorial and the guides, each followed to the letter."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from .following import Reader
from .reading import DOCS, anchor, blocks, sections

#: The pages that say of themselves that they are followed.
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if "tests/docs/following.py" in page.read_text(encoding="utf-8")]
NAMES = [str(page.relative_to(DOCS)) for page in PAGES]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_guide_does_what_it_says(page: Path, api, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    with Reader(tmp_path / "shop", api) as reader:
        reader.follow(blocks(page.read_text(encoding="utf-8"), str(page.relative_to(DOCS.parent))))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_its_links_lead_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not fragment or fragment in [anchor(part.title) for part in sections(target.read_text())], link


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_its_lines_fit(page: Path):
    assert not [line for line in page.read_text(encoding="utf-8").splitlines() if len(line) > 120 and line[:1] != "|"]
