"""The pytest plugin of journy_track: the fixture `journy_events`, and a block on sending to other machines.

It is a separate module with no imports of the library, since every pytest run in the environment imports it, whether
the library is used or not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from journy_track.testing import CapturedItems

#: Whether the library may send to hosts other than this machine. The transport reads it.
live = True

_before: list[bool] = []
_STRAYS = "journy_track_strays"
_ASSERTED = "journy_track_asserted"


def active() -> bool:
    """Whether tests are running. If so, wrong values raise where they are passed, unless `strict` is set."""
    return bool(_before)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the setting `journy_live` and the command-line options."""
    parser.addini("journy_live", "journy_track may send to journy.io from tests", type="bool", default=False)
    group = parser.getgroup("journy_track")
    group.addoption(
        "--journy-coverage", action="store_true", help="List the events in the code that no test asserted."
    )
    group.addoption(
        "--journy-coverage-fail-under",
        type=float,
        metavar="PERCENT",
        help="Fail if tests asserted less than this percentage of the events in the code. Implies --journy-coverage.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """From now on, send nothing, unless `journy_live` is set."""
    global live  # noqa: PLW0603 - what the transport looks at
    _before.append(live)
    live = bool(config.getini("journy_live"))


def pytest_unconfigure() -> None:
    """Clean up after the tests, but keep sending disabled: leftover items must not be sent at exit either."""
    global live  # noqa: PLW0603 - as above
    before = _before.pop() if _before else live
    if _before:  # this was a pytest run inside another one, which continues
        live = before
        return
    pools = sys.modules.get("journy_track._testing.pools")
    if pools is not None:
        pools.restore()


@pytest.fixture
def journy_events(request: pytest.FixtureRequest) -> Iterator[CapturedItems]:
    """The items that the test tracks, in order; nothing is sent. See `journy_track.testing.CapturedItems`."""
    from journy_track import testing

    with testing.capture(request.node.nodeid) as events:
        yield events


@pytest.hookimpl(hookwrapper=True)  # the old style, which works with every supported pytest
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test whose events would be lost, or that leaves an identity set, in the call and not in its teardown.

    What the test configures is undone at its end.
    """
    if "journy_track" not in sys.modules:
        yield
        return
    from journy_track import _runtime, testing
    from journy_track._testing import leaks

    before = leaks.watch()
    with _runtime.restored():
        outcome: Any = yield
    events = getattr(item, "funcargs", {}).get("journy_events")
    wrong = leaks.leaks_since(before)
    if isinstance(events, testing.CapturedItems) and events.problems:
        wrong = [*events.problems, *wrong]
        events.clear()
    if wrong and outcome.excinfo is None:
        outcome.force_exception(pytest.fail.Exception("\n".join(["journy_track:", *wrong]), pytrace=False))


# ── Strays: reported at the end of the run, also where the tests ran in other processes ──


def _strays() -> list[str]:
    capturing = sys.modules.get("journy_track._testing.capturing")
    if capturing is None:
        return []
    return [str(stray) for stray in capturing.strays]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In an xdist worker, pass on what it found; otherwise, check which events were asserted."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_STRAYS] = _strays()
        output[_ASSERTED] = sorted(_asserted())
        return
    least = session.config.getoption("journy_coverage_fail_under")
    wanted = least is not None or session.config.getoption("journy_coverage")
    if not wanted or session.config.getoption("collectonly"):
        return
    from journy_track.cli.covering.asserting import Asserted

    session.config.stash[_COVERAGE] = coverage = Asserted.read(session.config.rootpath, _asserted(), least)
    if not coverage.enough and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


_COVERAGE = pytest.StashKey[Any]()
_of_workers: list[str] = []
_asserted_in_workers: set[str] = set()


def _asserted() -> set[str]:
    matching = sys.modules.get("journy_track._testing.matching")
    return _asserted_in_workers | (set() if matching is None else matching.asserted)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """In the controlling process, collect what an xdist worker found."""
    output = getattr(node, "workeroutput", {})
    _of_workers.extend(output.get(_STRAYS, ()))
    _asserted_in_workers.update(output.get(_ASSERTED, ()))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Report which events no test asserted, and which tests left threads behind that continued to track."""
    coverage = config.stash.get(_COVERAGE, None)
    if coverage is not None:
        terminalreporter.section("journy_track: events that no test asserted")
        for line in coverage.lines():
            terminalreporter.line(line)
        terminalreporter.line(coverage.summary(), red=not coverage.enough)
    said = [*_of_workers, *_strays()]
    if said:
        terminalreporter.section("journy_track: tracked after the test had ended")
        for line in said:
            terminalreporter.line(line)
        terminalreporter.line("Wait for the thread in the test, or carry the context: journy_track.in_context().")
