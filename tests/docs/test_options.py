"""The tables list every option and setting, with the actual defaults."""

from __future__ import annotations

import dataclasses
import re

import pytest

from journy_track._capture import decorators
from journy_track._model.config import Config

from .reading import code_spans, page, section

SETTINGS = page("reference/settings")


def test_each_option_of_the_decorator_is_explained_once():
    told = [name for row in section(page("guides/events"), "Decorate a function").rows for name in code_spans(row[0])]
    assert sorted(told) == sorted(decorators._OPTIONS)


def test_each_key_of_djangos_setting_is_explained_once():
    settings = pytest.importorskip("journy_track.integrations.django._settings", reason="needs Django")
    told = [name for row in section(page("guides/frameworks"), "Django").rows for name in code_spans(row[0])]
    assert sorted(told) == sorted(settings.OPTIONS)


def test_each_setting_is_explained_with_its_variable():
    settings = {field.name: field.metadata["env"] for field in dataclasses.fields(Config)}
    told: dict[str, str | None] = {}
    for row in section(SETTINGS, "Settings").rows:
        names, variables = code_spans(row[0]), code_spans(row[1])
        told |= dict(zip(names, variables or [None] * len(names), strict=True))
    in_text = {"required": None, "allow_http": "JOURNY_ALLOW_HTTP"}  # explained next to related settings
    assert {**told, **in_text} == settings
    assert all(name in SETTINGS for name in in_text)


@pytest.mark.parametrize("row", section(SETTINGS, "Settings").rows, ids=lambda row: row[0])
def test_a_default_is_the_one_that_holds(row: list[str]):
    defaults = [getattr(Config(), name) for name in code_spans(row[0])]
    told = [part.strip() for part in re.split(r", |; ", row[2])]
    for default, said in zip(defaults, told, strict=False):
        assert said in _written(default), f"{row[0]}: {said}, and it is {default}"


def _written(default: object) -> set[str]:
    """Return the ways in which the page may write a default."""
    if default is None:
        return {"none", "requests"}  # the default HTTP client
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
