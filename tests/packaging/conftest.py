"""What users install: the wheel and the sdist, built once, and an environment with nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Built:
    """A wheel and an sdist."""

    wheel: Path
    sdist: Path


def build(source: Path, folder: Path) -> Built:
    """Build both, as a release does, but without isolation: the tests are offline."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Built(wheel, sdist)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def unpacked(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the sdist unpacks to."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built.sdist) as archive:
        archive.extractall(folder, filter="data")
    [inside] = folder.iterdir()
    return inside


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the wheel and its declared dependencies only."""

    folder: Path

    def install(self, wheel: Path) -> None:
        # As pip installs it, including scripts and metadata.
        command = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(self.folder),
            "install",
            "-q",
            "--no-deps",
            "--no-index",
        ]
        done = subprocess.run([*command, str(wheel)], capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr

    def add(self, *extras: str) -> None:
        """Copy the dependencies of these extras from the test environment, without a download."""
        [site] = self.folder.glob("lib/python*/site-packages")
        [own] = site.glob("journy_track-*.dist-info")
        for name in needed(Distribution.at(own), set(extras)):
            for file in distribution(name).files or ():
                target = site / file
                if ".." not in file.parts and not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.symlink_to(Path(str(file.locate())))

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment, as a user would right after the installation."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("JOURNY_", "PYTHON"))}
        return subprocess.run(
            [str(self.folder / "bin" / command[0]), *command[1:]],
            env={**kept, "COLUMNS": "300", **variables},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def needed(of: Distribution, extras: set[str]) -> set[str]:
    """Return the distributions that *of* depends on, directly and indirectly."""
    found: set[str] = set()
    waiting = [(of, extras)]
    while waiting:
        one, its_extras = waiting.pop()
        for text in one.requires or ():
            need = Requirement(text)
            asked = need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in its_extras | {""})
            if asked and need.name not in found:
                found.add(need.name)
                waiting.append((distribution(need.name), set(need.extras)))
    return found


@pytest.fixture(scope="session")
def _wheel_alone(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], timeout=300, check=True)
    environment = Environment(folder)
    environment.install(built.wheel)
    environment.add()
    return environment


@pytest.fixture(scope="session")
def bare(_wheel_alone: Environment) -> Environment:
    """Return the environment without any extra."""
    return _wheel_alone


@pytest.fixture
def with_extras(bare: Environment, tmp_path: Path) -> Iterator[Environment]:
    """Yield a copy of the environment, for a test to add extras to."""
    folder = tmp_path / "venv"
    shutil.copytree(bare.folder, folder, symlinks=True)
    for script in (folder / "bin").glob("journy-track"):
        script.write_text(script.read_text().replace(str(bare.folder), str(folder)))
    yield Environment(folder)
    shutil.rmtree(folder)
