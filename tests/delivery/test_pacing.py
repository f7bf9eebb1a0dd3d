"""The pacer: when this process may send its next request. All times are simulated."""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # the benchmarks are in the repository, but not in the wheel

from benchmarks._simulation import Process, Record, Simulation, SlidingLog
from benchmarks.pacing import BURSTS, ENDLESS, HALF, SUDDEN, Case, lone_burst, most_in_a_window, scripts, simulate
from journy_track._delivery import pacing
from journy_track._delivery.pacing import Pacer


class Api:
    """A pacer, the clock that it reads, and the responses that it gets."""

    def __init__(
        self, *, share: float | None = None, limit: int | None = 1800, seed: int = 1, bulk: bool = False
    ) -> None:
        self.now = 1000.0
        self.limit = limit
        self.pacer = Pacer(lambda: self.now, random.Random(seed).uniform, share=share, bulk=bulk)

    def ask(self, remaining: int | None, *, takes: float = 0.1, **answer: object) -> None:
        """Send one request, and get its response."""
        self.pacer.sent()
        self.now += takes
        self.pacer.answered(limit=self.limit, remaining=remaining, **answer)  # type: ignore[arg-type]

    def wait(self, in_flight: int = 0) -> float:
        """Return the seconds until the next request may be sent."""
        return self.pacer.ready_at(in_flight) - self.now

    def run(self, seconds: float, remaining: int | None, *, refused: bool = False) -> list[float]:
        """Send requests as soon as each is allowed, one at a time. Returns their times."""
        until, times = self.now + seconds, []
        while (ready := max(self.now, self.pacer.ready_at(0))) < until:
            self.now = ready
            times.append(ready)
            self.ask(remaining, refused=refused)
        self.now = until
        return times


# ── The first requests ──


def test_the_first_request_goes_at_once_and_the_second_waits_for_its_answer():
    api = Api()
    assert api.wait() <= 0
    api.pacer.sent()
    assert api.wait(in_flight=1) == math.inf
    api.now += 0.1
    api.pacer.answered(limit=1800, remaining=1799)
    assert api.wait() <= 0


def test_a_process_that_sees_only_itself_is_soon_held_back_by_its_connections_alone():
    api = Api()
    for remaining in range(1799, 1789, -1):
        api.ask(remaining)
    waits = []
    for in_flight in range(8):
        waits.append(api.wait(in_flight))
        api.pacer.sent()
        api.now += 0.025
    assert max(waits) <= 0.01


def test_a_process_that_sees_others_burst_too_takes_a_small_part():
    alone, among_many = Api(), Api()
    for step in range(1, 11):
        alone.ask(1800 - step)
        among_many.ask(1800 - 100 * step)
    alone.wait()
    among_many.wait()
    assert alone.pacer.rate > 200
    assert among_many.pacer.rate < alone.pacer.rate / 30


def test_events_that_come_seldom_do_not_wait():
    api = Api()
    for _ in range(100):
        assert api.wait() <= 0
        api.ask(900)
        api.now += 5.0


def test_an_answer_of_long_ago_says_nothing():
    api = Api()
    for remaining in range(60, 50, -1):
        api.ask(remaining)
    api.now += 61
    assert api.wait() <= 0
    assert api.wait(in_flight=1) == math.inf


# ── A busy key ──


def test_the_less_is_left_the_slower_all_go():
    def sent(remaining: int) -> int:
        api = Api()
        for _ in range(600):
            api.ask(remaining, takes=0.2)
        return len(api.run(10, remaining))

    assert sent(10) < sent(70) < sent(200)


def test_nothing_left_is_no_reason_to_stop_asking_for_ever():
    api = Api()
    api.run(120, 0)
    assert 0 < api.wait() <= pacing.WINDOW


@pytest.mark.slow
@pytest.mark.parametrize("limit", [600, 5400])
def test_a_limit_that_changes_is_followed(limit):
    simulation, dice, record, server = Simulation(), random.Random(21), Record(), SlidingLog(1800)
    pacer = Pacer(simulation.clock, dice.uniform)
    process = Process(simulation, server, pacer, dice, record)
    simulation.plan(0.0, process.never_rest)
    simulation.run(150.0)
    server.limit = limit
    simulation.run(450.0)
    # Where the new limit is below what was already sent, requests are refused until those are a minute old.
    assert sum(refused for _, refused in record.requests) <= 10
    used = sum(1 for at, _ in record.requests if at > 330) / 2
    assert used > 0.9 * min(limit, 60 * 8 / 0.18)
    assert pacer.limit == limit


def test_a_process_whose_requests_never_wait_saves_up_no_allowance():
    api = Api()
    for remaining in [900] * 30 + [200] * 60:
        api.now += 2.0
        assert api.wait() <= 0
        api.ask(remaining)
    assert api.pacer._trial == 1


# ── Refusals ──


def test_a_refusal_stops_the_whole_process_for_a_while():
    api = Api()
    for remaining in range(1799, 1789, -1):
        api.ask(remaining)
    api.ask(0, refused=True)
    assert 1 <= api.wait() <= 3
    assert api.wait(in_flight=7) == api.wait()


def test_after_a_refusal_one_request_tries_and_the_others_wait_for_it():
    api = Api()
    api.ask(0, refused=True)
    api.now += 3.1
    assert api.wait() <= 0
    api.pacer.sent()
    assert api.wait(in_flight=1) == math.inf


def test_after_a_refusal_on_a_contested_key_what_has_waited_does_not_go_all_at_once():
    api = Api()
    api.run(20, 3)
    api.ask(0, refused=True)
    api.now += 20.0
    assert api.wait() <= 0
    api.pacer.sent()
    assert api.wait(in_flight=1) == math.inf
    api.pacer.answered(limit=1800, remaining=3)
    assert api.wait(in_flight=1) < math.inf


def test_retry_after_is_honoured_and_not_to_the_second():
    waits = set()
    for seed in range(5):
        api = Api(seed=seed)
        api.ask(0, refused=True, retry_after=30.0)
        waits.add(api.wait())
    assert min(waits) >= 30
    assert max(waits) <= 37.5
    assert len(waits) == 5


@pytest.mark.parametrize("retry_after", [-5.0, 0.0, None])
def test_without_a_usable_retry_after_the_pauses_grow(retry_after):
    api = Api()
    waits = []
    for _ in range(6):
        api.ask(0, refused=True, retry_after=retry_after)
        waits.append(api.wait())
        api.now += waits[-1]
    assert waits[-1] > 5 * waits[0]


def test_a_retry_after_of_years_is_not_believed():
    api = Api()
    api.ask(0, refused=True, retry_after=1e9)
    assert api.wait() <= 1.25 * pacing.MAX_PAUSE


def test_requests_that_were_on_their_way_do_not_lengthen_the_pause():
    api = Api()
    for _ in range(8):
        api.pacer.sent()
    for _ in range(8):
        api.pacer.answered(limit=1800, remaining=0, refused=True)
    assert api.wait() <= 3


def test_a_server_that_refuses_everything_for_hours_gets_a_dozen_requests_an_hour():
    api = Api()
    api.run(3600, 0, refused=True)
    assert len(api.run(3600, 0, refused=True)) <= 24


# ── Headers ──


def test_without_rate_headers_the_rate_rises_from_two_to_at_most_thirty_a_second():
    api = Api(limit=None)
    slow = [api.wait()]
    api.ask(None, takes=0.02)
    for _ in range(5):
        slow.append(api.wait())
        api.now += max(0.0, slow[-1])
        api.ask(None, takes=0.02)
    assert sum(slow) > 1
    for _ in range(300):
        api.now += max(0.0, api.wait())
        api.ask(None, takes=0.001)
    began, count = api.now, 300
    for _ in range(count):
        while (wait := api.wait()) > 0:
            api.now += wait
        api.ask(None, takes=0.001)
    assert 25 <= count / (api.now - began) <= 31
    assert (api.pacer.limit, api.pacer.remaining) == (None, None)


def test_without_rate_headers_a_refusal_halves_the_rate_and_it_rises_slowly_then():
    api = Api(limit=None)
    api.run(60, None)
    before = api.pacer._blind
    api.ask(None, refused=True)
    assert api.pacer._blind == before / 2
    api.now += 10.0
    for _ in range(20):
        api.ask(None)
    assert api.pacer._blind < 0.65 * before


def test_when_the_rate_headers_vanish_what_is_left_is_counted_down():
    api = Api()
    for remaining in (1799, 1798, 1797):
        api.ask(remaining)
    api.limit = None
    for _ in range(3):
        api.ask(None)
    assert api.pacer.remaining == 1794


def test_headers_that_never_change_let_a_process_send_no_more_than_the_limit():
    api = Api()
    times = api.run(300, 1700)
    assert most_in_a_window(times) <= 1800


@pytest.mark.parametrize(("limit", "remaining"), [(0, 0), (-5, 3), (1800, -7), (10, 10**9), (1, 0), (1, 1)])
def test_numbers_that_make_no_sense_do_no_harm(limit, remaining):
    api = Api(limit=limit)
    times = api.run(120, remaining)
    most = pacing.MAX_BLIND if limit <= 0 else pacing.MAX_TRY * limit / pacing.WINDOW + 2
    assert 0 < len(times) <= most * 120


def test_a_request_that_never_reached_the_server_counts_as_one():
    api = Api(share=0.5, limit=10)
    api.ask(9)
    for _ in range(4):
        api.ask(None)
    assert api.wait() > 50


# ── A known share ──


@pytest.mark.parametrize("share", [0.01, 0.25, 1.0])
def test_a_share_is_never_exceeded_and_nearly_used(share):
    api = Api(share=share)
    times = api.run(600, 1000)
    quota = int(share * 1800)
    assert most_in_a_window(times) <= quota
    # one request at a time, each takes a tenth of a second
    assert len(times) >= min(0.95 * quota * 10, 0.9 * 6000)


def test_a_share_holds_whatever_the_others_do():
    assert len(Api(share=0.25).run(300, 3)) == pytest.approx(len(Api(share=0.25).run(300, 1700)), abs=2)


def test_a_share_pauses_on_a_refusal_as_well():
    api = Api(share=0.25)
    api.ask(0, refused=True)
    assert api.wait() >= 1


def test_of_bulk_a_share_is_a_ceiling():
    times = Api(share=0.25, bulk=True).run(300, 1500)
    assert most_in_a_window(times) <= 450
    assert len(times) >= 0.9 * 450 * 5


def test_bulk_with_a_share_leaves_live_events_what_they_use():
    api = Api(share=0.5, bulk=True)
    assert len(api.run(300, 200)) < 900  # of 4 500: live events use almost the whole limit


@pytest.mark.parametrize("share", [0, -0.1, 1.1, math.nan])
def test_a_share_is_a_part(share):
    with pytest.raises(ValueError, match="share"):
        Pacer(share=share)


# ── What it costs ──


def test_memory_is_bounded_by_the_requests_of_one_window():
    api = Api(limit=10_000_000)
    for _ in range(5000):
        api.ask(9_000_000, takes=0.1)
    kept = [len(value) for value in vars(api.pacer).values() if hasattr(value, "__len__")]
    assert max(kept) <= 601


# ── Many processes, simulated ──


@pytest.mark.slow
@pytest.mark.parametrize(("server", "processes"), [("log", 8), ("log", 32), ("counter", 8), ("fixed", 8)])
def test_processes_that_share_a_key_use_it_and_are_hardly_ever_refused(server, processes):
    result = simulate(Case(ENDLESS, server, processes, seed=21, until=240.0))
    assert result.refused <= (1.0 if server == "counter" else 0.0)
    assert result.used > 90
    assert result.first_minute == 0


def test_at_half_the_load_nothing_waits():
    result = simulate(Case(HALF, "log", 8, seed=21, until=240.0))
    assert result.refused == 0
    assert result.slowest < 0.05


def test_bursts_of_eight_processes_at_half_the_load_wait_shortly():
    result = simulate(Case(BURSTS, "log", 8, seed=21, until=400.0))
    assert result.refused == 0
    assert result.median <= 2


@pytest.mark.slow
def test_a_backlog_that_comes_to_a_quiet_process_is_sent_without_a_refusal():
    result = simulate(Case(SUDDEN, "log", 1, seed=21, until=440.0))
    assert (result.first_minute, result.refused) == (0, 0)
    assert result.used > 90


@pytest.mark.parametrize(("after", "later"), [(0.0, 0.8), (70.0, 0.3)])
def test_a_lone_burst_goes_as_fast_as_the_connections_carry_it(after, later):
    ours = lone_burst(100, after=after, seed=21)
    unpaced = lone_burst(100, after=after, seed=21, naive=True)
    assert ours <= unpaced + later


@pytest.mark.parametrize("limit", [600, 1800])
def test_short_scripts_one_after_another_each_send_their_burst_in_time(limit):
    # Catches: a second request so late that the first reading is forgotten, so that the total rate is never known.
    assert max(scripts(6, limit // 18, limit=limit, seed=21)) < 5  # the default shutdown_timeout


@pytest.mark.slow
def test_shares_that_add_up_to_one_are_never_refused():
    result = simulate(Case(ENDLESS, "log", 4, seed=21, share=0.25, until=240.0))
    assert result.refused == 0
    assert result.used > 95
    assert result.most_in_a_window <= 450


@pytest.mark.slow
@pytest.mark.parametrize("headers", ["missing", "never changing"])
def test_bad_headers_end_in_no_storm(headers):
    # The fewer the refusals, the longer a single process takes to find out what it may send.
    result = simulate(Case(ENDLESS, "log", 32, seed=21, headers=headers))
    assert result.refused < 6.5


def test_the_tracker_paces_itself_with_the_very_class_that_is_simulated() -> None:
    from benchmarks import pacing as simulated
    from journy_track._delivery.budget import budget_of
    from journy_track._model.secret import Secret

    budget = budget_of("http://127.0.0.1:9", Secret("a key of this test"))
    assert type(budget._pacer) is Pacer is simulated.Pacer
