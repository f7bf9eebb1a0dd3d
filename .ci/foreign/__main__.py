"""Other people's test suites, with our decorators on every function of their packages.

    .venv/bin/python .ci/foreign                      all packages below
    .venv/bin/python .ci/foreign attrs click          these
    .venv/bin/python .ci/foreign --variants event,context --pytest "-x -k recipes" more-itertools
    .venv/bin/python .ci/foreign --no-tracker more-itertools          decorated, and nothing configured: far faster

Each package's suite runs undecorated, then once for each variant: `control` (a plain `functools.wraps` wrapper),
`event` (`@track_event`), `options` (`@track_event` with `capture`, `on="always"` and `duration`) and `context`
(`user()` above `metadata()`). Web frameworks have `control`, `integration` (ours on every app, and `@track_event` on
every view) and `async` (the same with callbacks that are coroutine functions). A tracker takes what they record, and
drops it instead of sending it. A variant with differences runs a second time, and so does the undecorated suite: what
is not the same twice is flaky. A test that ends otherwise than undecorated *and* than under `control` is our doing,
and listed: status 1. `refused` counts the functions that a decorator raised for; they ran undecorated.

pip fetches the packages as sdists, which hold the tests, into a scratch folder (`--scratch`, kept for the next time).
Each gets a virtual environment of its own there, with this checkout in it. Logs of pytest and lists of refused
functions stay beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INSIDE = Path(__file__).resolve().parent / "inside"
UNDECORATED = "undecorated"
VARIANTS = ("control", "event", "options", "context")
SYNC_VARIANTS = ("control", "integration")
FRAMEWORK_VARIANTS = (*SYNC_VARIANTS, "async")
KNOWN_VARIANTS = tuple(dict.fromkeys((*VARIANTS, *FRAMEWORK_VARIANTS)))
#: Seconds that one run of a suite may take.
LONGEST = 1200
ROW = "{:24} {:11} {:>6} {:>7} {:>5} {:>8}"
#: Differences that are printed for each variant of a package.
MAX_SHOWN = 10


@dataclass(frozen=True)
class Package:
    """How a package is imported and tested: *needs* are requirements of its tests, *pytest* their arguments.

    With *variants* of its own it is a framework, whose apps and views are changed instead of all its functions. With
    *script* that runs the tests, and not pytest.
    """

    imports: str
    needs: str = ""
    pytest: str = "tests"
    variants: tuple[str, ...] = VARIANTS
    script: str = ""
    extras: str = ""

    @property
    def is_framework(self) -> bool:
        return self.variants is not VARIANTS


PACKAGES = {
    "attrs": Package("attr,attrs", "cloudpickle hypothesis pympler", "tests -W ignore --ignore=tests/test_mypy.yml"),
    "blinker": Package("blinker", "pytest-asyncio", "tests -o asyncio_default_fixture_loop_scope=function"),
    "boltons": Package("boltons"),
    "cachetools": Package("cachetools"),
    "click": Package("click"),
    "django": Package(
        "django",
        "jinja2 pillow tblib",
        variants=SYNC_VARIANTS,
        # All of Django's tests take an hour: these are about requests.
        script="tests/runtests.py --parallel 1 asgi async auth_tests csrf_tests decorators generic_views handlers "
        "httpwrappers messages_tests middleware middleware_exceptions requests_tests responses sessions_tests "
        "signals signed_cookies_tests staticfiles_tests test_client test_client_regress test_utils urlpatterns "
        "urlpatterns_reverse view_tests",
    ),
    "fastapi": Package(
        "fastapi",
        "a2wsgi anyio[trio] dirty-equals flask httpx2 inline-snapshot logfire mypy opentelemetry-sdk "
        "opentelemetry-instrumentation-fastapi opentelemetry-exporter-otlp-proto-http pwdlib[argon2] pyjwt "
        "pytest-codspeed pytest-timeout pytest-xdist python-slugify pyyaml ruff sentry-sdk sqlmodel "
        "strawberry-graphql ty",
        "tests --ignore=tests/test_tutorial",  # which are thousands, all much alike
        variants=FRAMEWORK_VARIANTS,
        extras="[all]",
    ),
    # Its tests know pytest's insides of before 9.
    "flask": Package("flask", "asgiref pytest<9 python-dotenv", variants=SYNC_VARIANTS),
    "itsdangerous": Package("itsdangerous", "freezegun"),
    "jinja2": Package("jinja2", "trio"),
    "more-itertools": Package("more_itertools"),
    "packaging": Package("packaging", "pretend"),
    "pluggy": Package("pluggy", "", "testing"),
    "sortedcontainers": Package("sortedcontainers"),
    "starlette": Package(
        "starlette",
        "blockbuster httpx2[zstd] importlib-metadata opentelemetry-sdk pytest-codspeed trio",
        variants=FRAMEWORK_VARIANTS,
        extras="[full]",
    ),
    "tenacity": Package("tenacity", "tornado typeguard"),
    "toolz": Package("toolz", "", "--pyargs toolz"),
    "werkzeug": Package(
        "werkzeug", "cffi ephemeral-port-reserve pytest-timeout watchdog cryptography", "tests -k 'not reloader'"
    ),
}


@dataclass
class Result:
    """One run of a suite: how each test ended, and the status of pytest."""

    outcomes: dict[str, str]
    status: int
    refused: int = 0

    def differences(self, other: Result) -> set[str]:
        """The tests that ended otherwise there."""
        tests = self.outcomes.keys() | other.outcomes.keys()
        return {test for test in tests if self.outcomes.get(test) != other.outcomes.get(test)}


@dataclass
class Suite:
    """A package in its scratch folder."""

    name: str
    package: Package
    folder: Path
    arguments: list[str] = field(default_factory=list)
    tracker: bool = True

    def prepare(self) -> None:
        """Fetch and install it, unless that was done; and this checkout, as the last run may have been another's."""
        if not (self.folder / "ready").exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            fetch = ("pip", "download", "-q", "--no-deps", "--no-binary", self.name, "--dest", self.folder, self.name)
            _run(sys.executable, "-m", *fetch)
            [archive] = self.folder.glob("*.tar.gz")
            with tarfile.open(archive) as sources:
                sources.extractall(self.folder / "unpacked", filter="data")
            _run(sys.executable, "-m", "venv", self.folder / "venv")
            # Not by -e: the tests run the package as users have it.
            self._install("pytest", *self.package.needs.split(), f"{self._sources}{self.package.extras}")
            (self.folder / "ready").touch()
        self._install("-e", ROOT)

    def _install(self, *what: object) -> None:
        _run(self.folder / "venv/bin/pip", "install", "-q", *what)

    @property
    def version(self) -> str:
        """Its name and version."""
        return self._sources.name

    @property
    def _sources(self) -> Path:
        [sources] = (self.folder / "unpacked").iterdir()
        return sources

    def run(self, variant: str) -> Result:
        """Run its tests under *variant*."""
        outcomes, refused = self.folder / f"{variant}.outcomes", self.folder / f"{variant}.refused"
        for file in (outcomes, refused):
            file.unlink(missing_ok=True)
            file.touch()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "JOURNY_"))},
            "PYTHONPATH": str(INSIDE),
            "PYTHONHASHSEED": "0",
            # What was compiled undecorated is not to be found, and what is decorated not to be kept.
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPYCACHEPREFIX": str(self.folder / "no bytecode"),
            "FOREIGN_PACKAGES": self.package.imports,
            "FOREIGN_FRAMEWORK": self.package.imports if self.package.is_framework else "",
            "FOREIGN_VARIANT": variant,
            "FOREIGN_TRACKER": "1" if self.tracker else "",
            "FOREIGN_UNITTEST": "1" if self.package.script else "",
            "FOREIGN_OUTCOMES": str(outcomes),
            "FOREIGN_REFUSED": str(refused),
        }
        if self.package.script:
            command = ["python", *shlex.split(self.package.script)]
        else:
            # Our own plugin would judge what other people's tests leave behind.
            plugins = ("-p", "foreign_outcomes", "-p", "no:cacheprovider", "-p", "no:journy_track")
            # The hook imports frameworks before pytest can rewrite their asserts. They have none in plugins.
            quiet = ("-W", "ignore:Module already imported")
            command = ["pytest", "-q", *plugins, *quiet, *shlex.split(self.package.pytest)]
        with (self.folder / f"{variant}.log").open("w") as log:
            try:
                status = subprocess.run(
                    [self.folder / "venv/bin" / command[0], *command[1:], *self.arguments],
                    cwd=self._sources,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    timeout=LONGEST,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                status = -9
        ended: dict[str, str] = {}
        for line in outcomes.read_text().splitlines():
            test, outcome = json.loads(line)
            # A test reports more than once where it has subtests, or where its teardown fails.
            ended[test] = " and ".join(sorted({*ended.get(test, outcome).split(" and "), outcome}))
        if status < 0 or status > 1:  # a crash, or pytest itself: also where every test before it passed
            ended["(the run itself)"] = f"status {status}"
        return Result(ended, status, len(refused.read_text().splitlines()))


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, timeout=LONGEST, stdin=subprocess.DEVNULL)


def compared(suite: Suite, variants: Iterable[str]) -> list[str]:
    """Run *suite* under all *variants*, print a row for each, and give what is our doing, a line each."""
    suite.prepare()
    undecorated = suite.run(UNDECORATED)
    if undecorated.status not in (0, 1):
        return [f"{suite.name} does not run undecorated: see {suite.folder / UNDECORATED}.log"]
    control = suite.run("control")
    flaky: set[str] | None = None
    ours: list[str] = []
    for variant in variants:
        result = control if variant == "control" else suite.run(variant)
        differs = result.differences(undecorated)
        if differs:
            if flaky is None:
                flaky = undecorated.differences(suite.run(UNDECORATED))
            differs = differs & suite.run(variant).differences(undecorated) - flaky
        mine = set() if variant == "control" else differs & result.differences(control)
        tests = len(undecorated.outcomes)
        print(ROW.format(suite.version, variant, tests, len(differs), len(mine), result.refused), flush=True)
        lines = [
            f"{test}: {undecorated.outcomes.get(test, 'not run')}, here {result.outcomes.get(test, 'not run')}"
            for test in sorted(mine)
        ]
        (suite.folder / f"{variant}.differences").write_text("".join(f"{line}\n" for line in lines))
        if len(lines) > MAX_SHOWN:
            lines[MAX_SHOWN:] = [f"and {len(lines) - MAX_SHOWN} more: {suite.folder / variant}.differences"]
        ours += [f"{suite.name} {variant}: {line}" for line in lines]
    return ours


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=f"some of {', '.join(PACKAGES)}; else all")
    parser.add_argument("--variants", default="", help=f"some of {', '.join(KNOWN_VARIANTS)}")
    parser.add_argument("--pytest", default="", help="more arguments for pytest")
    parser.add_argument("--no-tracker", dest="tracker", action="store_false", help="configure nothing")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "journy-foreign")
    given = parser.parse_args()
    variants = given.variants.split(",") if given.variants else list(KNOWN_VARIANTS)
    for known, wanted in ((PACKAGES, given.packages), (KNOWN_VARIANTS, variants)):
        if unknown := [name for name in wanted if name not in known]:
            parser.error(f"not known here: {', '.join(unknown)}")
    print(ROW.format("package", "variant", "tests", "differ", "ours", "refused"))
    ours: list[str] = []
    for name in given.packages or PACKAGES:
        suite = Suite(name, PACKAGES[name], given.scratch / name, shlex.split(given.pytest), given.tracker)
        try:
            ours += compared(suite, [variant for variant in suite.package.variants if variant in variants])
        except subprocess.SubprocessError as error:
            ours.append(f"{name} could not be installed: {error}")
    print("", *ours, f"pytest's output: {given.scratch}/PACKAGE/VARIANT.log", sep="\n")
    return 1 if ours else 0


if __name__ == "__main__":
    sys.exit(main())
