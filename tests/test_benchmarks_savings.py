"""The numbers that `benchmarks/savings.py` prints are exact."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))  # the benchmarks are in the repository, but not in the wheel

from benchmarks.savings import AT_MOST_EVERY, COLUMNS, Case, Page, simulate, workload

pytestmark = pytest.mark.slow

LOAD, SEED, MINUTES = 1.5, 21, 2.0
PAGES = workload(LOAD, SEED, MINUTES)


def run(name: str, load: float = LOAD):
    return simulate(Case(load, **COLUMNS[name], seed=SEED, minutes=MINUTES))


def seen_again(pages: list[Page]) -> int:
    """Count the views within the window of a counted one, independently of the library's own method."""
    last: dict[int, float] = {}
    again = 0
    for page in pages:
        if page.viewed and page.at - last.get(page.user, float("-inf")) < AT_MOST_EVERY:
            again += 1
        elif page.viewed:
            last[page.user] = page.at
    return again


def the_same_again(pages: list[Page]) -> int:
    """Count the upserts that repeat the previous one of the same user or account."""
    last: dict[int, int] = {}
    accounts = [page.user // 10 for page in pages if page.signed_in]  # the properties never change
    again = len(accounts) - len(set(accounts))
    for page in pages:
        again += last.get(page.user) == page.section
        last[page.user] = page.section
    return again


@pytest.mark.parametrize("name", COLUMNS)
def test_every_captured_call_was_sent_or_saved(name):
    result = run(name)
    stats = result.stats
    assert stats.captured == sum(page.calls for page in PAGES)
    assert stats.captured == stats.delivered + stats.coalesced + stats.throttled
    assert (stats.delivered, stats.retried) == (result.accepted, result.refused)
    assert (stats.queued, stats.given_up, stats.dropped) == (0, 0, {})


def test_with_nothing_every_call_is_sent():
    result = run("nothing")
    assert result.saved == 0
    assert result.most_waiting > 100  # there was something to merge


def test_what_waits_for_the_budget_merges_and_what_need_not_wait_hardly():
    assert run("merging").saved > 5
    assert run("merging", load=0.3).saved < 1


def test_at_most_every_saves_the_views_of_its_window():
    assert run("at_most_every").stats.throttled == seen_again(PAGES) > 100


def test_skip_unchanged_saves_what_was_confirmed_before():
    pages = workload(0.3, SEED, MINUTES)
    coalesced = run("skip_unchanged", load=0.3).stats.coalesced
    assert 0.95 * the_same_again(pages) < coalesced <= the_same_again(pages)


def test_a_case_has_one_result():
    assert run("all three") == run("all three")
