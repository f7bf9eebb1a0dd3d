"""What `python -m benchmarks.sync` shows is true: in simulated time, with the library's own parts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))  # the benchmarks are in the repository, but not in the wheel

from benchmarks.sync import delay_beside, simulated


@pytest.mark.slow
def test_the_first_day_sends_each_account_once_and_the_next_what_changed(tmp_path):
    state = tmp_path / "journy.state"
    first = simulated(state, 4000)
    assert (first.accepted, first.refused, first.report.delivered, first.report.ok) == (4000, 0, 4000, True)
    assert first.minutes < 1.4 * 4000 / 900  # a share of half of 1 800
    second = simulated(state, 4000, changed=80)
    assert (second.accepted, second.refused, second.report.unchanged, second.report.ok) == (80, 0, 3920, True)


@pytest.mark.parametrize("rate", [0.5, 8.0])
def test_events_of_the_app_do_not_wait_for_a_sync(rate):
    _, p99, refused = delay_beside(rate, minutes=4)
    assert p99 < 2
    assert not refused
