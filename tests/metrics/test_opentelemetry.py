"""`instrument_metrics()`: our own numbers, as a real OpenTelemetry SDK reads them."""

from __future__ import annotations

import logging
import os
import threading
from time import perf_counter

import pytest
from opentelemetry import metrics

import journy_track
from journy_track import HttpRequest, InvalidArgument, MaybeSent
from journy_track._metrics import opentelemetry
from journy_track._metrics.instruments import DURATION, INSTRUMENTS
from journy_track._metrics.reading import Readings

from ..conftest import KEY

PROCESSED = "journy.sdk.item.processed"


def test_each_item_is_in_one_count_by_outcome_and_reason(api, tracker, seen):
    journy_track.instrument_metrics(seen.provider)
    journy_track.track("signed_in", user="u1")
    journy_track.track("nobody")
    assert tracker.flush(5)
    api.answer_next(status=400)
    journy_track.track("refused", user="u1")
    assert tracker.flush(5)
    assert seen.points(PROCESSED) == {
        ("delivered",): 1,
        ("published",): 0,
        ("coalesced",): 0,
        ("throttled",): 0,
        ("given_up", "400"): 1,
        ("dropped", "no_identity"): 1,
    }
    assert seen.value("journy.sdk.item.captured") == 3


def test_what_waits_is_seen_with_its_age_and_its_bound(hung_server, seen):
    tracker = journy_track.configure(KEY, base_url=hung_server, queue_size=17, max_connections=1)
    journy_track.instrument_metrics(seen.provider)
    for _ in range(3):
        journy_track.track("signed_in", user="u1")
    assert not tracker.flush(0.3)
    assert (seen.value("journy.sdk.item.inflight"), seen.value("journy.sdk.queue.size")) == (1, 2)
    assert seen.value("journy.sdk.queue.capacity") == 17
    assert seen.value("journy.sdk.queue.oldest_age") >= 0.3
    assert seen.value("journy.sdk.rate_limit.remaining") is None  # no response has reported it yet


def test_the_budget_the_circuit_and_the_health_are_those_of_stats_and_health(api, tracker, seen):
    journy_track.instrument_metrics(seen.provider)
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert seen.value("journy.sdk.rate_limit.limit") == 1_000_000
    assert seen.value("journy.sdk.rate_limit.remaining") == tracker.stats().calls_remaining
    assert seen.points("journy.sdk.circuit.status") == {("closed",): 1, ("open",): 0}
    assert seen.value("journy.sdk.healthy") == 1
    api.answer_next(status=403, count=5)
    journy_track.track("signed_in", user="u1")
    assert not tracker.flush(0.3)
    assert seen.points("journy.sdk.circuit.status") == {("closed",): 0, ("open",): 1}
    assert seen.value("journy.sdk.healthy") == 0


def test_requests_are_timed_by_status_in_buckets_that_suit_seconds(api, tracker, seen):
    journy_track.instrument_metrics(seen.provider)
    api.answer_next(status=503)
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(10)
    points = seen.metrics()[DURATION[0]].data.data_points
    assert {tuple(point.attributes.items()): point.count for point in points} == {
        (("http.response.status_code", 503), ("error.type", "503")): 1,
        (("http.response.status_code", 201),): 1,
    }
    assert points[0].explicit_bounds[0] == 0.005
    assert all(0 < point.sum < 5 for point in points)


def test_a_request_without_a_response_has_the_kind_of_error(seen):
    class Broken:
        def send(self, request: HttpRequest):
            raise MaybeSent("cut")

        def close(self): ...

    tracker = journy_track.configure(KEY, http_client=Broken(), max_age=0.01)
    journy_track.instrument_metrics(seen.provider)
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    (point,) = seen.metrics()[DURATION[0]].data.data_points
    assert point.attributes == {"error.type": "connection"}
    assert seen.points(PROCESSED)["given_up", "max_age"] == 1


def test_before_configure_nothing_is_counted_and_nothing_is_well(seen):
    journy_track.instrument_metrics(seen.provider)
    assert seen.value("journy.sdk.healthy") == 0
    assert seen.value("journy.sdk.item.captured") == 0
    assert seen.value("journy.sdk.queue.capacity") is None


def test_counts_go_on_where_another_tracker_takes_the_place(api, tracker, seen):
    journy_track.instrument_metrics(seen.provider)
    journy_track.track("signed_in", user="u1")
    journy_track.track("nobody")
    assert tracker.flush(5)
    for size in range(100, 105):
        other = journy_track.configure(KEY, base_url=api.url, queue_size=size)
        journy_track.track("signed_in", user="u1")
        assert other.flush(5)
    assert seen.points(PROCESSED)["delivered",] == 6
    assert seen.points(PROCESSED)["dropped", "no_identity"] == 1
    assert seen.value("journy.sdk.queue.capacity") == 104
    assert sum(point.count for point in seen.metrics()[DURATION[0]].data.data_points) == 6
    assert len(opentelemetry._meters._readings._followed[1]) <= 2  # of ended trackers only the numbers are kept


def test_what_a_replaced_tracker_still_delivers_is_counted(api, tracker, seen):
    journy_track.instrument_metrics(seen.provider)
    api.answer_next(delay=0.3)
    journy_track.track("signed_in", user="u1")
    assert not tracker.flush(0.05)
    journy_track.configure(KEY, base_url=api.url, queue_size=100)
    assert seen.value("journy.sdk.item.inflight") + seen.value("journy.sdk.queue.size") == 1
    assert tracker.flush(5)
    assert seen.points(PROCESSED)["delivered",] == 1


def test_the_numbers_stay_after_the_end(api, tracker, seen):
    journy_track.instrument_metrics(seen.provider)
    journy_track.track("signed_in", user="u1")
    assert journy_track.shutdown(5)
    assert seen.points(PROCESSED)["delivered",] == 1
    assert seen.value("journy.sdk.healthy") == 0


def test_what_a_test_captures_is_not_counted(api, tracker, seen):
    journy_track.instrument_metrics(seen.provider)
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    with journy_track.testing.capture():
        journy_track.track("signed_in", user="u1")
        assert seen.points(PROCESSED)["delivered",] == 1
    assert seen.points(PROCESSED)["delivered",] == 1


def test_a_second_call_does_nothing_and_a_second_provider_sees_the_same(api, tracker, make_provider):
    one, other = make_provider(), make_provider()
    for seen in (one, one, other):
        journy_track.instrument_metrics(seen.provider)
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert one.points(PROCESSED) == other.points(PROCESSED)
    assert len(one.metrics()) == len(other.metrics()) == len(INSTRUMENTS) + 1
    assert [seen.metrics()[DURATION[0]].data.data_points[0].count for seen in (one, other)] == [1, 1]


def test_the_global_provider_may_be_set_later(run_program, api):
    done = run_program(
        """
        import journy_track
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader

        journy_track.instrument_metrics()
        reader = InMemoryMetricReader()
        metrics.set_meter_provider(MeterProvider([reader]))
        journy_track.instrument_metrics()                       # the same one, by another object
        journy_track.instrument_metrics(metrics.get_meter_provider())
        tracker = journy_track.configure()
        journy_track.track("signed_in", user="u1")
        assert tracker.flush(5)
        (some,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
        found = {metric.name: metric.data.data_points for metric in some.metrics}
        print(some.scope.name, len(some.metrics), len(found), found["journy.sdk.request.duration"][0].count)
        """,
        JOURNY_BASE_URL=api.url,
    )
    count = str(len(INSTRUMENTS) + 1)
    assert done.out.split() == ["journy_track", count, count, "1"], done.err
    assert done.err == ""


def test_without_an_sdk_it_does_nothing():
    journy_track.instrument_metrics(metrics.NoOpMeterProvider())
    assert journy_track.stats().captured == 0


def test_an_api_that_takes_no_advice_on_buckets_gets_the_histogram_all_the_same(api, tracker, seen):
    class Older:
        """The API of OpenTelemetry before 1.30."""

        def get_meter(self, name, version):
            meter = seen.provider.get_meter(name, version)
            newer = meter.create_histogram
            meter.create_histogram = lambda name, unit="", description="": newer(name, unit, description)
            return meter

    journy_track.instrument_metrics(Older())
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert seen.metrics()[DURATION[0]].data.data_points[0].count == 1


def test_what_is_no_provider_is_refused():
    with pytest.raises(InvalidArgument, match="meter_provider must be an OpenTelemetry MeterProvider"):
        journy_track.instrument_metrics("a provider")  # type: ignore


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_counts_its_own_and_a_scrape_starts_nothing_there(run_program, api):
    done = run_program(
        """
        import os, journy_track
        from journy_track import _runtime
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader

        reader = InMemoryMetricReader()
        journy_track.instrument_metrics(MeterProvider([reader]))

        def delivered():
            found = [metric for metric in reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
                     if metric.name == "journy.sdk.item.processed"]
            return next(point.value for point in found[0].data.data_points
                        if point.attributes["journy.outcome"] == "delivered")

        journy_track.configure(queue_size=50)
        journy_track.track("signed_in", user="u1")
        journy_track.flush(5)
        tracker = journy_track.configure()                        # so that there is a past, too
        journy_track.track("signed_in", user="u1")
        journy_track.flush(5)
        print("parent", delivered(), flush=True)
        if (child := os.fork()) == 0:
            print("child", delivered(), len(tracker._pipelines), flush=True)
            journy_track.track("signed_in", user="u1")
            journy_track.flush(5)
            print("child", delivered(), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        print("parent", delivered())
        """,
        JOURNY_BASE_URL=api.url,
    )
    assert done.out.splitlines() == ["parent 2", "child 0 0", "child 1", "parent 2"], done.err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_worker_may_set_the_global_provider_that_its_parent_has_instrumented(run_program, api):
    done = run_program(
        """
        import os, journy_track
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader

        journy_track.configure()                                  # as gunicorn --preload does
        journy_track.instrument_metrics()
        workers = []
        for number in (1, 2):
            if (worker := os.fork()) == 0:                        # post_fork
                reader = InMemoryMetricReader()
                metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
                for _ in range(number):
                    journy_track.track("signed_in", user="u1")
                journy_track.flush(10)
                (scope,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
                found = {metric.name: metric.data.data_points for metric in scope.metrics}
                captured, timed = found["journy.sdk.item.captured"], found["journy.sdk.request.duration"]
                print(captured[0].value, timed[0].count, flush=True)
                os._exit(0)
            workers.append(worker)
            os.waitpid(worker, 0)
        """,
        JOURNY_BASE_URL=api.url,
    )
    assert done.out.splitlines() == ["1 1", "2 2"], done.err


def test_a_reading_that_fails_is_logged_once_and_the_scrape_goes_on(tracker, seen, monkeypatch, caplog):
    journy_track.instrument_metrics(seen.provider)
    monkeypatch.setattr(Readings, "_now", lambda self: 1 / 0)
    assert seen.metrics() == {}
    assert seen.metrics() == {}
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "metrics of journy_track could not be read or recorded: ZeroDivisionError" in record.getMessage()


def test_a_histogram_that_fails_holds_nothing_back(api, tracker, seen, monkeypatch, caplog):
    journy_track.instrument_metrics(seen.provider)
    monkeypatch.setattr(opentelemetry, "attributes_of", lambda outcome: 1 / 0)
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert [event.name for event in api.events] == ["signed_in"]
    assert "ZeroDivisionError" in caplog.text


def test_one_scrape_reads_once_and_two_at_a_time_do_not_disturb_each_other(tracker, make_provider, monkeypatch):
    providers = [make_provider(), make_provider()]
    for seen in providers:
        journy_track.instrument_metrics(seen.provider)
    taken: list[int] = []
    now = Readings._now
    monkeypatch.setattr(Readings, "_now", lambda self: (taken.append(1), now(self))[1])
    known = len(INSTRUMENTS) - 2  # no response has reported the rate limit yet
    assert len(providers[0].metrics()) == known
    assert len(taken) == 1
    threads = [threading.Thread(target=lambda seen=seen: [seen.metrics() for _ in range(50)]) for seen in providers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(taken) >= 51
    assert all(len(seen.metrics()) == known for seen in providers)


@pytest.mark.slow
def test_a_scrape_reads_all_numbers_in_far_less_than_a_millisecond(api, tracker, seen):
    journy_track.instrument_metrics(seen.provider)
    for number in range(2000):
        journy_track.track("signed_in", user=f"u{number % 50}")
    assert tracker.flush(30)
    readings = opentelemetry._meters._readings

    def scrape() -> None:
        for instrument in INSTRUMENTS:
            list(instrument.read(readings.read(instrument.name)))

    best = min(_took(scrape) for _ in range(200))
    assert best < 400e-6, f"{best * 1e6:.0f} µs"


def _took(call) -> float:
    began = perf_counter()
    call()
    return perf_counter() - began
