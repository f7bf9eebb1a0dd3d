"""The README is of a piece: its links lead somewhere, its tables say what the code says."""

from __future__ import annotations

import dataclasses
import re

import pytest

from journy_track._capture import decorators
from journy_track._model.config import Config

from .reading import README, ROOT, anchor, code_spans, section, sections

TEXT = README.read_text()
TITLES = [part.title for part in sections(TEXT)]


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)\s]+)\)", TEXT))))
def test_a_link_leads_somewhere(link: str):
    if link.startswith("#"):
        assert link[1:] in map(anchor, TITLES)
    elif not link.startswith("https://"):
        assert (ROOT / link).exists()


def test_no_two_headings_have_the_same_address():
    assert len(set(map(anchor, TITLES))) == len(TITLES)


def test_the_contents_name_each_section():
    contents = TEXT[TEXT.index("**Contents:**") :].split("\n\n")[0]
    listed = re.findall(r"\[([^\]]+)\]\(#([^)]+)\)", contents)
    headings = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
    assert [title for title, _ in listed] == headings[1:]  # the first one is above them
    assert all(anchor(title) == address for title, address in listed)


def test_the_first_success_is_within_three_screens():
    """A screen has 50 lines. What readers do not see takes none."""
    visible = re.sub(r"<!--.*?-->\n", "", TEXT[: TEXT.index("**Contents:**")], flags=re.DOTALL)
    assert len(visible.splitlines()) <= 3 * 50


def test_each_option_of_the_decorator_is_explained_once():
    told = [name for row in section(TEXT, "Decorate").rows for name in code_spans(row[0])]
    assert sorted(told) == sorted(decorators._OPTIONS)


def test_each_key_of_djangos_setting_is_explained_once():
    settings = pytest.importorskip("journy_track.integrations.django._settings", reason="needs Django")
    told = [name for row in section(TEXT, "Django").rows for name in code_spans(row[0])]
    assert sorted(told) == sorted(settings.OPTIONS)


def test_each_setting_is_explained_with_its_variable():
    settings = {field.name: field.metadata["env"] for field in dataclasses.fields(Config)}
    told: dict[str, str | None] = {}
    for row in section(TEXT, "Settings").rows:
        names, variables = code_spans(row[0]), code_spans(row[1])
        told |= dict(zip(names, variables or [None] * len(names), strict=True))
    in_text = {"required": None, "allow_http": "JOURNY_ALLOW_HTTP"}  # beside what they belong to
    assert {**told, **in_text} == settings
    assert all(name in TEXT for name in in_text)


@pytest.mark.parametrize("row", section(TEXT, "Settings").rows, ids=lambda row: row[0])
def test_a_default_is_the_one_that_holds(row: list[str]):
    defaults = [getattr(Config(), name) for name in code_spans(row[0])]
    told = [part.strip() for part in re.split(r", |; ", row[2])]
    for default, said in zip(defaults, told, strict=False):
        assert said in _written(default), f"{row[0]}: {said}, and it is {default}"


def _written(default: object) -> set[str]:
    """How a default may be written."""
    if default is None:
        return {"none", "requests"}  # the HTTP client that is taken then
    if default == ():
        return {"none"}
    if isinstance(default, bool):
        return {str(default).lower()}
    if isinstance(default, (int, float)):
        number = f"{default:,.0f}".replace(",", " ")
        units = {
            f"{default / 3600:g} h",
            f"{default:g} s",
            f"{default / 1024**2:g} MiB",
            f"{default / 1024**3:g} GiB",
        }
        return {number, "0: off" if default == 0 else number} | units
    if isinstance(default, str):
        return {f"`{default}`", f'`"{default}"`'}
    return {"`{}`"} if default == {} else set()
