"""Everyday situations of a key in simulated time, each with an upper limit."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # the benchmarks are in the repository, but not in the wheel

from benchmarks import situations as at_a_key

SEED = 21


@pytest.mark.parametrize(("size", "seconds"), [(300, 5), (1000, 12), (1500, 50)])
def test_a_lone_process_on_a_fresh_key_is_as_fast_as_its_connections(size, seconds):
    found = at_a_key.alone(size)(SEED)
    assert found["seconds"] <= seconds
    assert found["refused"] == 0


@pytest.mark.parametrize(("refusals", "retry_after", "seconds"), [(1, None, 6), (2, 1.0, 12)])
def test_after_refusals_with_a_free_budget_delivery_soon_goes_on(refusals, retry_after, seconds):
    assert at_a_key.after_refusals(refusals, retry_after)(SEED)["seconds"] <= seconds


def test_without_rate_headers_the_rate_rises_to_thirty_a_second():
    found = at_a_key.no_headers(SEED)
    assert found["seconds"] <= 20
    assert found["most in a second"] <= 33  # intervals vary by 30 %


@pytest.mark.parametrize("latency", [2.2, 3.0])
def test_a_slow_server_gets_as_many_requests_as_the_connections_carry(latency):
    assert at_a_key.slow(latency)(SEED)["part of connections/latency"] >= 0.9


@pytest.mark.parametrize(
    ("neighbour", "processes", "rate", "least", "slowest"), [(28, 1, 1.5, 1.4, 21), (20, 4, 2.0, 7.5, 5)]
)
def test_beside_a_neighbour_that_does_not_pace_ours_get_what_it_leaves(neighbour, processes, rate, least, slowest):
    found = at_a_key.beside(neighbour, processes, rate)(SEED)
    assert found["a second"] >= least
    assert found["p99"] <= slowest
    assert found["refused %"] < 0.5
    assert found["neighbour refused, worst minute %"] < 1


def test_who_comes_later_to_a_key_with_room_gets_its_rate_at_once():
    found = at_a_key.beside(25, 1, 1.5, begin=100.0)(SEED)
    assert found["a second, before"] >= 1.3
    assert found["p99"] <= 5
    assert found["neighbour refused, worst minute %"] == 0


def test_who_comes_later_to_a_key_with_hardly_any_room_gets_most_of_its_rate():
    found = at_a_key.beside(28, 1, 1.5, begin=100.0)(SEED)
    assert found["a second"] >= 1.0
    assert found["refused %"] < 0.5
    assert found["neighbour refused, worst minute %"] < 1


@pytest.mark.parametrize(("processes", "least"), [(1, 0.71), (4, 2.2)])
def test_beside_a_neighbour_above_the_limit_we_get_a_share_and_are_seldom_refused(processes, least):
    found = at_a_key.beside(40, processes, 2.0)(SEED)
    assert found["a second"] >= least
    assert found["refused %"] <= 10


def test_a_fleet_is_at_full_speed_in_its_first_minute():
    found = at_a_key.fleet(SEED)
    assert found["p99"] <= 2
    assert found["worst process p50"] <= 0.1
    assert found["refused %"] == 0


def test_sixty_scripts_within_ten_seconds_are_each_done_within_five():
    found = at_a_key.scripts(1800)(SEED)
    assert (found["late %"], found["refused %"]) == (0, 0)


def test_three_scripts_in_a_row_at_a_limit_of_sixty_are_each_done_at_once():
    assert at_a_key.three_scripts(SEED)["slowest"] <= 3


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "processes", "percent"), [(120, 60, 1.5), (60, 30, 1.5), (600, 128, 0.7)])
def test_many_processes_at_a_low_limit_are_hardly_ever_refused(limit, processes, percent):
    assert at_a_key.low(limit, processes)(SEED)["refused %"] < percent


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"bulk": True}, {"share": 0.5}], ids=str)
def test_a_nightly_script_leaves_room_to_live_events(settings):
    found = at_a_key.nightly(**settings)(SEED)
    assert found["web p99"] <= 1
    assert found["nightly in 5 min"] > 4000


@pytest.mark.slow
@pytest.mark.parametrize("run", [at_a_key.endless_beside(10, 1), at_a_key.endless_beside(20, 4)])
def test_an_endless_backlog_does_not_cost_the_neighbour_its_requests(run: Callable[[int], dict[str, float]]):
    assert run(SEED)["neighbour refused, worst minute %"] < 1
