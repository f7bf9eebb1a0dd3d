"""OpenTelemetry: each event has the span's IDs, the span has the events, and our own requests are not traced."""

from __future__ import annotations

import pytest
import requests
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import journy_track
from journy_track import HttpRequest, HttpResponse


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(spans) -> TracerProvider:
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(spans))
    return made


@pytest.fixture
def tracer(provider):
    return provider.get_tracer("test")


@pytest.fixture
def instrumented(provider):
    """`requests`, instrumented as an application would do it."""
    instrumentor = RequestsInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield
    instrumentor.uninstrument()


def test_an_event_carries_the_ids_of_the_span_that_was_active_at_capture(api, tracker, tracer):
    with tracer.start_as_current_span("request") as outer:
        journy_track.track("signed_in", user="u1")
        with tracer.start_as_current_span("inner") as inner:
            journy_track.track("signed_out", user="u1")
    assert tracker.flush(5)
    for event, span in zip(api.events, (outer, inner), strict=True):
        ids = span.get_span_context()
        assert event.metadata == {"trace_id": f"{ids.trace_id:032x}", "span_id": f"{ids.span_id:016x}"}


def test_a_span_that_is_not_sampled_gives_its_ids_too(api, tracker):
    tracer = TracerProvider(sampler=ALWAYS_OFF).get_tracer("test")
    with tracer.start_as_current_span("request") as span:
        assert not span.is_recording()
        journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert api.events[0].metadata["trace_id"] == f"{span.get_span_context().trace_id:032x}"


def test_a_remote_parent_gives_its_ids(api, tracker):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    token = context.attach(propagate.extract({"traceparent": parent}))
    journy_track.track("signed_in", user="u1")
    context.detach(token)
    assert tracker.flush(5)
    assert api.events[0].metadata == {"trace_id": parent[3:35], "span_id": parent[36:52]}


def test_without_a_span_there_are_no_ids(api, tracker):
    journy_track.track("signed_in", user="u1")
    with trace.use_span(trace.NonRecordingSpan(trace.INVALID_SPAN_CONTEXT)):
        journy_track.track("signed_out", user="u1")
    assert tracker.flush(5)
    assert [event.metadata for event in api.events] == [{}, {}]


def test_ids_can_be_switched_off(api, tracer):
    tracker = journy_track.configure(base_url=api.url, trace_ids=False)
    with tracer.start_as_current_span("request"):
        journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert api.events[0].metadata == {}


def test_ids_never_overwrite_metadata_and_are_on_events_alone(api, tracker, tracer):
    with tracer.start_as_current_span("request"):
        journy_track.track("signed_in", user="u1", trace_id="mine")
        journy_track.upsert_user(user="u1", plan="pro")
    assert tracker.flush(5)
    assert api.events[0].metadata["trace_id"] == "mine"
    assert api.users[0].properties == {"plan": "pro"}


def test_a_decorated_function_gives_the_span_that_it_was_called_in(api, tracker, tracer):
    @journy_track.track_event("signed_in", user="u1")
    def sign_in() -> None:
        with tracer.start_as_current_span("inside"):
            pass

    with tracer.start_as_current_span("request") as span:
        sign_in()
    assert tracker.flush(5)
    assert api.events[0].metadata["span_id"] == f"{span.get_span_context().span_id:016x}"


# ── Events on the span ──


def test_events_are_recorded_on_the_span_when_asked_for(api, tracer, spans):
    tracker = journy_track.configure(base_url=api.url, span_events=True)
    with tracer.start_as_current_span("request"), journy_track.metadata(region="eu"):
        journy_track.track("signed_in", user="u1", plan="pro", seats=3, tags=["not", "here"])
        journy_track.upsert_user(user="u1", plan="pro")
    assert tracker.flush(5)
    (span,) = spans.get_finished_spans()
    (event,) = span.events
    assert (event.name, dict(event.attributes)) == ("signed_in", {"region": "eu", "plan": "pro", "seats": 3})


def test_events_are_not_recorded_on_the_span_unasked(api, tracker, tracer, spans):
    with tracer.start_as_current_span("request"):
        journy_track.track("signed_in", user="u1")
    assert spans.get_finished_spans()[0].events == ()
    assert tracker.flush(5)


def test_a_span_that_is_not_recorded_or_not_there_takes_no_events_and_loses_none(api):
    tracker = journy_track.configure(base_url=api.url, span_events=True)
    journy_track.track("signed_in", user="u1")
    with TracerProvider(sampler=ALWAYS_OFF).get_tracer("test").start_as_current_span("request"):
        journy_track.track("signed_out", user="u1")
    assert tracker.flush(5)
    assert len(api.events) == 2


# ── Our own requests ──


def test_our_requests_make_no_spans_and_the_users_do(api, tracker, tracer, spans, instrumented):
    with tracer.start_as_current_span("request"):
        journy_track.track("signed_in", user="u1")
        assert tracker.flush(5)
        requests.get(f"{api.url}/validate", headers={"X-Api-Key": "a-key"}, timeout=5)
    ours, users = api.requests
    assert not {"traceparent", "tracestate", "baggage"} & set(ours.headers)
    assert "traceparent" in users.headers
    assert sorted(span.name for span in spans.get_finished_spans()) == ["GET", "request"]


class Session:
    """An HTTP client that the instrumentation sees: it uses `requests` like any app."""

    def __init__(self) -> None:
        self.seen: list[tuple[bool, dict[str, object]]] = []

    def send(self, request: HttpRequest, /) -> HttpResponse:
        self.seen.append((trace.get_current_span().get_span_context().is_valid, dict(baggage.get_all())))
        answer = requests.request(
            request.method, request.url, headers=dict(request.headers), data=request.body, timeout=request.timeout
        )
        return HttpResponse(answer.status_code, answer.headers, answer.content)

    def close(self) -> None:
        """Do nothing: no connection is kept open."""


def test_requests_of_another_http_client_are_hidden_from_instrumentations_too(api, tracer, spans, instrumented):
    session = Session()
    tracker = journy_track.configure(base_url=api.url, http_client=session)
    client = journy_track.Client(session, journy_track.ClientConfig("a-key", base_url=api.url))
    token = context.attach(baggage.set_baggage("customer", "jane"))
    with tracer.start_as_current_span("request"):
        journy_track.track("signed_in", user="u1")
        assert tracker.flush(5)
        assert client.get_api_key_details().success
        assert baggage.get_all() == {"customer": "jane"}
    context.detach(token)
    assert session.seen == [(False, {}), (False, {})]
    assert all(not {"traceparent", "baggage"} & set(request.headers) for request in api.requests)
    assert [span.name for span in spans.get_finished_spans()] == ["request"]


def test_the_api_of_opentelemetry_is_enough(api, run_program):
    done = run_program(
        """
        import sys

        class Hidden:
            def find_spec(self, name, path=None, target=None):
                if name.startswith(("opentelemetry.sdk", "opentelemetry.instrumentation")):
                    raise ModuleNotFoundError(name)

        sys.meta_path.insert(0, Hidden())
        import journy_track
        from opentelemetry import trace

        tracker = journy_track.configure(base_url=sys.argv[1], span_events=True)
        ids = trace.SpanContext(0xABC, 0xDEF, is_remote=False)
        with trace.use_span(trace.NonRecordingSpan(ids)):
            journy_track.track("signed_in", user="u1")
        assert tracker.flush(5)
        assert not [name for name in sys.modules if name.startswith("opentelemetry.sdk")]
        """,
        api.url,
    )
    assert done.status == 0, done.err
    assert api.events[0].metadata == {"trace_id": "abc".zfill(32), "span_id": "def".zfill(16)}
