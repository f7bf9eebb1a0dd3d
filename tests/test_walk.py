"""The path of one event through the library stays short: a reader who follows it reads these functions and files.

A ceiling is the measured value plus a small margin. Where a change exceeds it, look at what
`python -m benchmarks.walk --names` prints before you raise it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import pytest

sys.path.append(str(Path(__file__).parents[1]))  # the benchmarks are in the repository, but not in the wheel

from benchmarks.walk import measure


class Ceiling(NamedTuple):
    app_calls: float
    worker_calls: float
    files: int


#: Measured: 17 calls in 7 files on the app's side; on the worker's 111 to 113 (memory) and 154 to 156 (spool).
CEILINGS = {"memory": Ceiling(18, 118, 26), "spool": Ceiling(18, 162, 35)}


@pytest.mark.parametrize("case", CEILINGS)
def test_an_event_passes_few_functions_and_files(case):
    measured, ceiling = measure(case), CEILINGS[case]
    assert 10 < measured["app_calls"] <= ceiling.app_calls
    assert 50 < measured["worker_calls"] <= ceiling.worker_calls, measured["names"]
    assert 10 < measured["files"] <= ceiling.files, measured["names"]
    assert "_delivery/outbox.py: Outbox.put" in measured["names"]
    assert ("_stores/sqlite/store.py: SqliteStore.ack" in measured["names"]) == (case == "spool")
