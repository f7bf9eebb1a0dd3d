"""The pre-commit hooks and the hosted workflows run what `.ci/run` runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / ".pre-commit-config.yaml"
WORKFLOWS = ROOT / ".github" / "workflows"

pytestmark = pytest.mark.skipif(not HOOKS.exists(), reason="an sdist has no hooks and no workflows")


def test_the_hooks_bring_the_release_of_ruff_that_is_tested_with():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (pinned,) = (
        requirement.removeprefix("ruff==").removesuffix("*")
        for requirement in project["optional-dependencies"]["test"]
        if requirement.startswith("ruff==")
    )
    assert f"rev: v{pinned}" in HOOKS.read_text(encoding="utf-8")


def test_the_hosted_workflow_runs_all_of_it_and_the_fast_lane_on_each_python():
    versions = re.search(
        r"^for version in (.+); do$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert versions
    workflow = (WORKFLOWS / "ci.yml").read_text(encoding="utf-8")
    assert "- run: .ci/run\n" in workflow
    assert '-m "not slow"' in workflow
    matrix = ", ".join(f'"{version}"' for version in versions[1].split())
    assert f"python: [{matrix}, " in workflow


def test_a_release_asks_for_no_password():
    release = (WORKFLOWS / "release.yml").read_text(encoding="utf-8")
    assert "id-token: write" in release
    assert "secrets." not in release
