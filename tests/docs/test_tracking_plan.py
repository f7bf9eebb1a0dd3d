"""The pages about the tracking plan and the guide: their commands and settings exist."""

from __future__ import annotations

import pytest

from journy_track.cli.covering.coverage import allow_list

from .reading import blocks, page
from .test_commands import parse, words

PAGES = {name: blocks(page(name), name) for name in ("start/guide", "guides/tracking-plan")}
TYPED = [
    line.removeprefix("$ ")
    for page in PAGES.values()
    for block in page
    if block.language == "console"
    for line in block.source.splitlines()
]


@pytest.mark.parametrize("line", [line for line in TYPED if line.startswith("journy-track ")])
def test_a_command_is_one_that_there_is(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parse(words(line)[1:])


def test_the_options_of_pytest_are_those_of_the_plugin(pytestconfig):
    options = {word.partition("=")[0] for line in TYPED if line.startswith("pytest") for word in words(line)[1:]}
    named = {option for option in options if option.startswith("--")}
    assert named == {"--journy-coverage", "--journy-coverage-fail-under"}
    for option in named:
        assert pytestconfig.getoption(option, "missing") != "missing"


@pytest.mark.parametrize("page", PAGES)
def test_the_settings_are_read(tmp_path, page):
    (settings,) = [block for block in PAGES[page] if block.language == "toml"]
    (tmp_path / "pyproject.toml").write_text(settings.source)
    assert allow_list(tmp_path / "pyproject.toml") == ["shop.admin.*", "GET /health"]
