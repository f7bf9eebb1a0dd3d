"""Our text for Prometheus matches OpenTelemetry's own exporter, and the dashboard queries metrics that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import journy_track
from journy_track._metrics import opentelemetry
from journy_track._metrics.instruments import BUCKETS, INSTRUMENTS, Instrument, Reading
from journy_track._metrics.prometheus import Durations, text_of
from journy_track._model.numbers import Stats
from journy_track._model.outcomes import Deferred, Delivered, Published, Response, Unsendable

exporter = pytest.importorskip("opentelemetry.exporter.prometheus", reason="needs opentelemetry-exporter-prometheus")
prometheus = pytest.importorskip("prometheus_client")
DASHBOARD = Path(__file__).parents[2] / "examples" / "observability" / "grafana.json"


def families(text: str) -> dict[str, Any]:
    """Return what Prometheus reads, by name."""
    from prometheus_client.parser import text_string_to_metric_families

    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(family: Any) -> dict[tuple[Any, ...], float]:
    """Return its values by name and labels, except labels that are empty or name the scope."""
    return {
        (
            sample.name,
            *sorted((k, v) for k, v in sample.labels.items() if v and not k.startswith("otel_scope")),
        ): sample.value
        for family_sample in [family.samples]
        for sample in family_sample
    }


@pytest.fixture
def exported(api, tracker) -> str:
    """Return what the real exporter shows after a few items."""
    from opentelemetry.sdk.metrics import MeterProvider

    registry = prometheus.CollectorRegistry()
    provider = MeterProvider([exporter.PrometheusMetricReader(registry=registry)], shutdown_on_exit=False)
    journy_track.instrument_metrics(provider)
    journy_track.track("signed_in", user="u1")
    journy_track.track("nobody")
    assert tracker.flush(5)
    api.answer_next(status=400)
    journy_track.track("refused", user="u1")
    assert tracker.flush(5)
    return prometheus.generate_latest(registry).decode()


def test_our_text_is_the_exporters_but_for_the_scope(exported):
    theirs = families(exported)
    del theirs["target_info"]
    reading = opentelemetry._meters._readings._now()
    durations = Durations()
    for status in (201, 400):
        durations.add(0.004, Delivered(Response(status)))
    ours = families(text_of(INSTRUMENTS, reading) + durations.text())
    assert ours.keys() == theirs.keys()
    for name, family in ours.items():
        assert (family.type, family.documentation) == (theirs[name].type, theirs[name].documentation)
        if family.type != "histogram":
            assert samples(family) == samples(theirs[name])
        else:
            assert samples(family).keys() == samples(theirs[name]).keys()


def test_a_label_with_quotes_and_line_breaks_stays_one_label():
    nasty = 'a "b"\\\n# c'
    one = Instrument("journy.sdk.x", "gauge", "{item}", "X.", lambda _: [(1, {"error.type": nasty})])
    text = text_of([one], Reading(Stats(), is_ok=True, oldest=None, is_refused=False))
    (sample,) = families(text)["journy_sdk_x"].samples
    assert sample.labels == {"error_type": nasty}


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("max_age", "max_age"),
        ("missing permission", "missing permission"),
        ("status 404", "404"),
        ("422 The field 4711 is wrong", "422"),
        ("a redirect (301), which is never followed", "301"),
        ("the URL has no valid host name", "rejected"),
        ("others", "rejected"),
    ],
)
def test_what_is_given_up_has_few_kinds_whatever_the_server_says(reason, kind):
    reading = Reading(Stats(given_up_for={reason: 2}), is_ok=True, oldest=None, is_refused=False)
    processed = next(some for some in INSTRUMENTS if some.name == "journy.sdk.item.processed")
    assert (2, {"journy.outcome": "given_up", "error.type": kind}) in list(processed.read(reading))


def test_a_duration_falls_into_the_bucket_that_ends_at_it():
    durations = Durations()
    for seconds in (0.0, 0.005, 0.006, 11.0):
        durations.add(seconds, Published())
    durations.add(3.0, Deferred("no response in time", ambiguous=True, timed_out=True))
    durations.add(3.0, Unsendable("too_large", "it is too large"))  # no request was made
    found = samples(families(durations.text())["journy_sdk_request_duration_seconds"])
    name = "journy_sdk_request_duration_seconds"
    assert found[f"{name}_bucket", ("le", "0.005")] == 2
    assert found[f"{name}_bucket", ("le", str(BUCKETS[-1]))] == 3
    assert found[f"{name}_bucket", ("le", "+Inf")] == found[f"{name}_count",] == 4
    assert found[f"{name}_sum",] == pytest.approx(11.011)
    assert found[f"{name}_count", ("error_type", "timeout")] == 1


# ── The dashboard ──


def queries() -> list[str]:
    """Return the queries of all panels."""
    board = json.loads(DASHBOARD.read_text())
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]


def test_the_dashboard_asks_for_metrics_that_are_exported(exported):
    there = {sample.name for family in families(exported).values() for sample in family.samples} | relay_names()
    asked = {name for query in queries() for name in re.findall(r"journy_\w+", re.sub(r"\bby \([^)]*\)", "", query))}
    labels = {"journy_outcome", "journy_circuit_state"}
    assert asked - labels
    assert asked - labels <= there
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in there} - {"target_info"} <= {
        re.sub(r"_(bucket|sum|count)$", "", name) for name in asked
    }, "a metric that no panel shows"


def relay_names() -> set[str]:
    from journy_track._relay.relay import Status
    from journy_track.cli.monitor import _of_relay

    status = Status("active", Stats(), 1, broker_waiting=0, dead_letters=0)
    text = text_of(_of_relay(status), Reading(Stats(), is_ok=True, oldest=None, is_refused=False))
    return {sample.name for family in families(text).values() for sample in family.samples}


def test_the_dashboard_groups_by_labels_that_are_exported(exported):
    there = {label for family in families(exported).values() for sample in family.samples for label in sample.labels}
    scraped = {"job", "instance"}
    used = {
        label for query in queries() for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")
    }
    matched = {label for query in queries() for label in re.findall(r"[{,]\s*(\w+)\s*=", query)}
    assert used | matched <= there | scraped | {"le"}


def test_the_panels_of_the_dashboard_have_their_place_and_their_unit():
    board = json.loads(DASHBOARD.read_text())
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(set(places)) == len(places)
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource", "job"]
