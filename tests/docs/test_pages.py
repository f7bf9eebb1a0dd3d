"""Checks for README and each page: its links and headings, and that readers can navigate to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from .reading import DOCS, PAGES, README, REPOSITORY, ROOT, anchor, name_of, sections

LINK = re.compile(r"\]\(([^)\s]+)\)")
ALL = [README, *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")), *PAGES]


def links(path: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return sorted(set(LINK.findall(text)))


def target(path: Path, link: str) -> tuple[Path, str] | None:
    """Return the file and the fragment that *link* points to, `None` for a link to another website."""
    file, _, fragment = link.partition("#")
    if inside := REPOSITORY.match(file):
        return ROOT / file[inside.end() :], fragment
    if file.startswith("https://"):
        return None
    return (path.parent / file).resolve() if file else path, fragment


LINKS = [pytest.param(path, link, id=f"{name_of(path)}: {link}") for path in ALL for link in links(path)]


@pytest.mark.parametrize(("path", "link"), LINKS)
def test_a_link_leads_somewhere(path: Path, link: str):
    found = target(path, link)
    if found is None:
        return
    file, fragment = found
    assert file.exists()
    if fragment:
        assert fragment in [anchor(part.title) for part in sections(file.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("link", links(README))
def test_a_link_of_the_readme_works_where_there_is_no_repository(link: str):
    """The package index shows the README, too."""
    assert link.startswith("https://")


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_no_two_headings_of_a_page_have_the_same_address(path: Path):
    titles = [anchor(part.title) for part in sections(path.read_text(encoding="utf-8"))]
    if path.name != "CHANGELOG.md":  # its versions have the same groups
        assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_a_line_fits(path: Path):
    """Except tables, requests, and lines with a link."""
    long = [line for line in path.read_text(encoding="utf-8").splitlines() if len(line) > 120]
    assert not [line for line in long if not line.startswith(("|", "POST /")) and "](" not in line]


def leads_to(path: Path) -> Iterator[Path]:
    """Yield the pages that it links to or lists."""
    for link in links(path):
        found = target(path, link)
        if found is not None and found[0] in PAGES:
            yield found[0]
    text = path.read_text(encoding="utf-8")
    for listed in re.findall(r"^```\{toctree\}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for entry in listed.split():
            base = DOCS if entry.startswith("/") else path.parent
            pattern = f"{base}/{entry.lstrip('/')}.md"
            yield from (page for page in PAGES if fnmatch(str(page), pattern))


def test_the_readme_leads_to_each_page():
    reached, waiting = set(), [README]
    while waiting:
        path = waiting.pop()
        new = set(leads_to(path)) - reached
        reached |= new
        waiting += new
    assert set(PAGES) <= reached
