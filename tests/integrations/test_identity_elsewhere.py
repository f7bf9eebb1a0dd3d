"""The user and account IDs on spans and log lines: only where they are already known, without asking for them."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import journy_track
from journy_track.integrations.logging import JournyFilter
from journy_track.integrations.opentelemetry import JournySpanProcessor
from journy_track.integrations.structlog import add_identity


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(spans):
    provider = TracerProvider()
    provider.add_span_processor(JournySpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return provider.get_tracer("test")


@pytest.fixture
def lines():
    """Return a logger, and a function that returns its formatted lines."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(JournyFilter())
    handler.setFormatter(logging.Formatter("user=%(user_id)s account=%(account_id)s %(message)s"))
    log = logging.getLogger("shop.identity")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield log, lambda: out.getvalue().splitlines()
    log.removeHandler(handler)


class Database:
    """A request's user that logs its query, as Django does with DEBUG."""

    def __init__(self, log: logging.Logger) -> None:
        self.log, self.queries = log, 0

    def user(self, environ: Any) -> str:
        self.queries += 1
        self.log.info("SELECT")
        return "u1"


def serve(app: Any, **middleware: Any) -> None:
    from journy_track.integrations.wsgi import JournyMiddleware

    body = JournyMiddleware(app, **middleware)({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None)
    assert list(body) == []
    if hasattr(body, "close"):
        body.close()


# ── Spans ──


def test_a_span_has_the_ids_of_who_acts_and_no_address(tracer, spans):
    with journy_track.user("u1", email="jane@acme.com"), journy_track.account("acme", domain="acme.com"):
        tracer.start_span("inside").end()
    tracer.start_span("outside").end()
    assert [dict(span.attributes) for span in spans.get_finished_spans()] == [
        {"enduser.id": "u1", "journy.account.id": "acme"},
        {},
    ]


def test_whoever_is_known_by_an_address_alone_is_not_named(tracer, spans):
    with journy_track.user(email="jane@acme.com"), journy_track.account(domain="acme.com"):
        tracer.start_span("inside").end()
    assert dict(spans.get_finished_spans()[0].attributes) == {}


def test_a_span_asks_nobody_and_those_after_the_first_event_have_the_user(tracker, tracer, spans):
    database = Database(logging.getLogger("shop.quiet"))

    def app(environ, start_response):
        tracer.start_span("before").end()
        assert database.queries == 0
        journy_track.track("opened_page")
        tracer.start_span("after").end()
        start_response("200 OK", [])
        return []

    serve(app, user=database.user)
    assert [dict(span.attributes) for span in spans.get_finished_spans()] == [{}, {"enduser.id": "u1"}]


def test_an_event_and_its_span_have_each_others_names(api, tracker, tracer, spans):
    with journy_track.user("u1"), tracer.start_as_current_span("checkout"):
        journy_track.track("paid")
    assert tracker.flush(5)
    (span,) = spans.get_finished_spans()
    assert span.attributes["enduser.id"] == "u1"
    assert api.events[0].metadata["trace_id"] == f"{span.context.trace_id:032x}"


def test_the_propagator_is_there_without_the_sdk(run_program):
    done = run_program(
        """
        import sys
        sys.modules["opentelemetry.sdk"] = None
        from journy_track.integrations.opentelemetry import JournyPropagator, JournySpanProcessor
        print(JournyPropagator().fields)
        """
    )
    assert done.out.strip() == "{'journy-track'}", done.err


# ── Log lines ──


def test_a_log_line_has_the_ids_of_who_acts_and_no_address(lines):
    log, written = lines
    with journy_track.user("u1", email="jane@acme.com"), journy_track.account("acme", domain="acme.com"):
        log.info("inside")
    log.info("outside")
    with journy_track.user(email="jane@acme.com"):
        log.info("by address")
    assert written() == [
        "user=u1 account=acme inside",
        "user=None account=None outside",
        "user=None account=None by address",
    ]


def test_what_a_record_says_itself_stays(lines):
    log, written = lines
    with journy_track.user("u1"):
        log.info("line", extra={"user_id": "u2"})
    assert written() == ["user=u2 account=None line"]


def test_a_log_line_asks_nobody_not_even_for_the_query_that_asks(api, tracker, lines):
    log, written = lines
    database = Database(log)

    def app(environ, start_response):
        log.info("before")
        assert database.queries == 0
        journy_track.track("opened_page")
        log.info("after")
        start_response("200 OK", [])
        return []

    serve(app, user=database.user)
    assert written() == [
        "user=None account=None before",
        "user=None account=None SELECT",
        "user=u1 account=None after",
    ]


def test_structlog_has_the_same(capsys):
    structlog = pytest.importorskip("structlog", reason="needs structlog")
    logger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stdout),
        processors=[add_identity, structlog.processors.JSONRenderer(sort_keys=True)],
    )
    with journy_track.user("u1", email="jane@acme.com"), journy_track.account("acme"):
        logger.info("inside")
        logger.info("told", user_id="u2")
    logger.info("outside")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"event": "inside", "user_id": "u1", "account_id": "acme"},
        {"event": "told", "user_id": "u2", "account_id": "acme"},
        {"event": "outside"},
    ]
