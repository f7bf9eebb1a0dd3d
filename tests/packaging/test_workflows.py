"""The hosted workflows are valid, and everything that their jobs call exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))


def jobs_of(path: Path) -> dict[str, dict]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]


SCRIPTS = [
    pytest.param(step["run"], id=f"{path.stem}: {name}, step {number}")
    for path in WORKFLOWS
    for name, job in jobs_of(path).items()
    for number, step in enumerate(job["steps"], 1)
    if "run" in step
]
LANE = jobs_of(FOLDER / "ci.yml")["fast-lane"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_job_has_a_machine_and_an_end_and_steps(path):
    for job in jobs_of(path).values():
        assert job["runs-on"]
        assert job["timeout-minutes"] <= 60
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_script_is_one_and_calls_what_is_there(script):
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, timeout=60, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    for path in re.findall(
        r"(?<![\w/.])((?:\.ci|tests|journy_track)(?:/\w+(?:\.py)?)+|README\.md|CHANGELOG\.md)", script
    ):
        assert (ROOT / path).exists(), path
    for program in re.findall(r"^\.ci/\w+", script, re.MULTILINE):
        assert (ROOT / program).stat().st_mode & 0o111, f"{program} cannot be run"


def test_every_system_runs_every_python_and_the_free_threaded_one_may_fail():
    matrix = LANE["strategy"]["matrix"]
    assert [name.partition("-")[0] for name in matrix["os"]] == ["ubuntu", "macos", "windows"]
    assert {"3.11", "3.12", "3.13", "3.14", "3.14t"} <= set(matrix["python"])
    assert LANE["continue-on-error"] == "${{ endsWith(matrix.python, 't') }}"


@pytest.mark.parametrize(
    ("system", "python", "folder"), [("Linux", "python3", ".venv/bin"), ("Windows", "python", ".venv/Scripts")]
)
def test_the_command_of_the_readme_is_run_with_the_folders_of_the_system(system, python, folder):
    (script,) = (step["run"] for step in LANE["steps"] if "README" in step.get("name", ""))
    assert script.count('bash -ec "$test_command"') == 1
    shown = script.replace('bash -ec "$test_command"', 'printf %s "$test_command"')
    environment = {"RUNNER_OS": system, "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(
        ["bash", "-euc", shown], env=environment, cwd=ROOT, text=True, capture_output=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == (f"{python} -m venv .venv && {folder}/pip install -q -e '.[all,test]' && {folder}/pytest")
