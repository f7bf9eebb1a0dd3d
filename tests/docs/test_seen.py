"""The page about metrics: its names, units and commands exist."""

from __future__ import annotations

import re

import pytest

from journy_track._metrics.instruments import DURATION, INSTRUMENTS, Reading
from journy_track._metrics.prometheus import Durations, text_of
from journy_track._model.numbers import Stats
from journy_track._model.outcomes import Published
from journy_track._relay.relay import Status
from journy_track.cli import monitor

from .reading import code_spans, page, section
from .test_commands import parse, words

METRICS = page("guides/observability")


def test_each_metric_is_in_the_table_with_its_kind_and_unit():
    told = {row[0].strip("`"): row[1] for row in section(METRICS, "Metrics").rows}
    name, unit, _ = DURATION
    there = {some.name: f"{some.kind}, `{some.unit}`" for some in INSTRUMENTS} | {name: f"histogram, `{unit}`"}
    assert told == there


def test_a_model_is_a_metric_of_the_conventions():
    conventions = pytest.importorskip("opentelemetry.semconv._incubating.metrics.otel_metrics")
    known = {value for name, value in vars(conventions).items() if name.startswith("OTEL_")}
    models = {span for row in section(METRICS, "Metrics").rows for span in code_spans(row[3])}
    assert models
    assert models <= known


def test_each_name_of_prometheus_is_one_that_is_exported():
    durations = Durations()
    durations.add(0.1, Published())
    reading = Reading(Stats(), is_ok=True, oldest=1.0, is_refused=False)
    status = Status("active", Stats(), 1, broker_waiting=0, dead_letters=0)
    text = text_of([*INSTRUMENTS, *monitor._of_relay(status)], reading) + durations.text()
    there = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    told = set(re.findall(r"\bjourny_(?:sdk|relay)_\w+", METRICS))
    assert len(told) > 5
    assert told <= there


def test_a_relay_hangs_after_the_time_that_the_page_says():
    (live,) = (row for row in section(METRICS, "A relay").rows if row[0] == "`/live`")
    assert f"not responded for {monitor.HANGS:.0f} s" in live[2]


@pytest.mark.parametrize("line", re.findall(r"^\$ (journy-track .*)", METRICS, re.MULTILINE))
def test_a_command_is_one_that_there_is(line: str):
    parse(words(line)[1:])
