"""A pytest plugin that writes down how each test ended, as it ends: an interpreter that crashes loses none.

`watch_unittest` does the same for suites that run without pytest.
"""

from __future__ import annotations

import functools
import json
import os
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Python goes on where that raises, and nothing would be decorated: here it raises again.
import sitecustomize  # noqa: F401

_FILE = Path(os.environ["FOREIGN_OUTCOMES"])


def _write(test: str, outcome: str) -> None:
    with _FILE.open("a", encoding="utf-8") as file:
        file.write(json.dumps([test, outcome]) + "\n")


def pytest_runtest_logreport(report: Any) -> None:
    """A test has three phases; only the first one that does not pass counts."""
    if report.when == "call" or report.outcome != "passed":
        expected = "xfailed" if hasattr(report, "wasxfail") else ""
        _write(
            report.nodeid, expected + report.outcome if report.when == "call" else f"{report.when} {report.outcome}"
        )


def pytest_collectreport(report: Any) -> None:
    """A module that cannot be imported has no tests."""
    if report.failed:
        _write(report.nodeid, "not collected")


def watch_unittest() -> None:
    """Write down how tests of unittest end, also those within other tests."""

    def watched(report: Callable[..., None], outcome: str) -> Callable[..., None]:
        @functools.wraps(report)
        def reported(result: Any, test: Any, *details: Any) -> None:
            _write(test.id(), outcome)
            report(result, test, *details)

        return reported

    for ending in ("Success", "Failure", "Error", "Skip", "ExpectedFailure", "UnexpectedSuccess"):
        report = getattr(unittest.TestResult, f"add{ending}")
        setattr(unittest.TestResult, f"add{ending}", watched(report, ending))
