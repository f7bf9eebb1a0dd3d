"""The pytest plugin of journy_track: the fixture `journy_events`, and nothing sent from tests to the world.

A module of its own, which loads nothing: every pytest on the machine imports it, whether the library is used or not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from journy_track.testing import CapturedItems

#: Whether the library may send to hosts that are not this machine. The transport looks here.
live = True

_before: list[bool] = []
_STRAYS = "journy_track_strays"


def active() -> bool:
    """Whether tests run now. Then wrong values raise where they are passed, unless `strict` is set."""
    return bool(_before)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Make `journy_live` known."""
    parser.addini("journy_live", "journy_track may send to journy.io from tests", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """From now on nothing is sent, unless it was asked for."""
    global live  # noqa: PLW0603 - what the transport looks at
    _before.append(live)
    live = bool(config.getini("journy_live"))


def pytest_unconfigure() -> None:
    """The tests are over, the process is not: what they left behind may not be sent at its exit either."""
    global live  # noqa: PLW0603 - as above
    before = _before.pop() if _before else live
    if _before:  # this was a pytest within a pytest, which goes on
        live = before
        return
    pools = sys.modules.get("journy_track._testing.pools")
    if pools is not None:
        pools.restore()


@pytest.fixture
def journy_events(request: pytest.FixtureRequest) -> Iterator[CapturedItems]:
    """What the test tracks, in order; nothing is sent. See `journy_track.testing.CapturedItems`."""
    from journy_track import testing

    with testing.capture(request.node.nodeid) as events:
        yield events


@pytest.hookimpl(hookwrapper=True)  # the old style: it works with every pytest that may be there
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test whose events would be lost, or that leaves an identity set, here and not in its teardown.

    What the test configures ends with it.
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
    """In a worker of xdist: hand the strays over."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_STRAYS] = _strays()


_of_workers: list[str] = []


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """In the process that leads: take over what a worker of xdist found."""
    _of_workers.extend(getattr(node, "workeroutput", {}).get(_STRAYS, ()))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Report which tests left threads behind that went on tracking."""
    said = [*_of_workers, *_strays()]
    if said:
        terminalreporter.section("journy_track: tracked after the test had ended")
        for line in said:
            terminalreporter.line(line)
        terminalreporter.line("Wait for the thread in the test, or carry the context: journy_track.in_context().")
