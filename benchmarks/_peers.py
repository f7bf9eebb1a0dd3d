"""The libraries that this one is compared with, each set up as its own documentation shows.

A peer is set up in a separate process. Its `make` returns a function that captures one event, of user `u1` in account
`acme` with two properties, by the documented call. Its queue and its worker are configured as in production.
"""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Capture = Callable[[str], object]

#: A response that every sender treats as success.
ANSWER = b'{"status": 1, "code": 200, "success": true, "meta": {"requestId": "r", "status": 201}}'
#: An address where nothing listens, so that a request that is sent anyway fails visibly.
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Peer:
    """One library. *make* takes the server's URL and the maximum number of events in its queue."""

    title: str
    package: str
    module: str
    setup: str
    make: Callable[[str, int], Capture]
    #: Whether each call blocks the calling thread.
    blocks: bool = False
    #: Whether it sends events over HTTP itself.
    sends: bool = True
    #: The promised minimum ratio of its cost to ours.
    times: float = 1.0


# ── Ours ──


def ours(url: str, size: int) -> Capture:
    import journy_track

    journy_track.configure("benchmark-key", base_url=url, queue_size=size)
    journy_track.user("u1").__enter__()
    journy_track.account("acme").__enter__()
    journy_track.metadata(plan="pro").__enter__()

    @journy_track.track_event("benchmarked", metadata=lambda call: {"marker": call.arguments["marker"]})
    def marked(marker: str) -> None: ...

    @journy_track.track_event("benchmarked", metadata={"marker": "constant"})
    def capture(marker: str) -> None: ...

    def either(marker: str) -> None:
        marked(marker) if marker else capture(marker)

    return either


# ── The others ──


def mixpanel(url: str, size: int) -> Capture:
    from mixpanel import BufferedConsumer, Mixpanel

    client = Mixpanel("token", consumer=BufferedConsumer(events_url=f"{url}/track"))
    return lambda marker: client.track("u1", "benchmarked", {"account": "acme", "plan": "pro", "marker": marker})


def queue_handler(url: str, size: int) -> Capture:
    import logging.handlers
    import queue

    waiting: Any = queue.Queue(size)
    logger = logging.getLogger("benchmark")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.handlers.QueueHandler(waiting))
    if url == NOWHERE:
        logging.handlers.QueueListener(waiting, logging.NullHandler()).start()
    return lambda marker: logger.info(
        "benchmarked", extra={"user": "u1", "account": "acme", "plan": "pro", "marker": marker}
    )


def snowplow(url: str, size: int) -> Capture:
    from snowplow_tracker import AsyncEmitter, SelfDescribing, SelfDescribingJson, Subject, Tracker

    place = urlsplit(url)
    logging.getLogger("snowplow_tracker").setLevel(logging.ERROR)  # otherwise it logs two lines per batch
    emitter = AsyncEmitter(str(place.hostname), protocol="http", port=place.port, batch_size=50, buffer_capacity=size)
    tracker = Tracker("ns", emitters=emitter, app_id="benchmark", subject=Subject().set_user_id("u1"))
    schema = "iglu:com.example/benchmarked/jsonschema/1-0-0"
    return lambda marker: tracker.track(
        SelfDescribing(SelfDescribingJson(schema, {"account": "acme", "plan": "pro", "marker": marker}))
    )


def otel_log(url: str, size: int) -> Capture:
    from opentelemetry._logs import LogRecord
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider()
    exporter = OTLPLogExporter(endpoint=f"{url}/v1/logs")
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter, max_queue_size=size))
    logger = provider.get_logger("benchmark")
    return lambda marker: logger.emit(
        LogRecord(
            event_name="benchmarked",
            body="benchmarked",
            attributes={"user": "u1", "account": "acme", "plan": "pro", "marker": marker},
        )
    )


def otel_span(url: str, size: int) -> Capture:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=size))
    tracer = provider.get_tracer("benchmark")

    def capture(marker: str) -> None:
        attributes = {"user": "u1", "account": "acme", "plan": "pro", "marker": marker}
        with tracer.start_as_current_span("benchmarked", attributes=attributes):
            pass

    return capture


def segment(url: str, size: int) -> Capture:
    from segment.analytics.client import Client

    client = Client("key", host=url, max_queue_size=size)
    return lambda marker: client.track(
        "u1", "benchmarked", {"plan": "pro", "marker": marker}, context={"groupId": "acme"}
    )


def rudder(url: str, size: int) -> Capture:
    from rudderstack.analytics.client import Client

    client = Client("key", host=url, max_queue_size=size)
    return lambda marker: client.track(
        "u1", "benchmarked", {"plan": "pro", "marker": marker}, context={"groupId": "acme"}
    )


def amplitude(url: str, size: int) -> Capture:
    from amplitude import Amplitude, BaseEvent

    client = Amplitude("0123456789abcdef0123456789abcdef")
    client.configuration.server_url = url
    logging.getLogger("amplitude").setLevel(logging.ERROR)  # otherwise its worker logs a line per event
    return lambda marker: client.track(
        BaseEvent(
            "benchmarked",
            user_id="user1",  # it rejects shorter IDs
            groups={"account": "acme"},
            event_properties={"plan": "pro", "marker": marker},
        )
    )


def posthog(url: str, size: int) -> Capture:
    from posthog import Posthog

    client = Posthog("key", host=url, max_queue_size=size)
    return lambda marker: client.capture(
        "benchmarked",
        distinct_id="u1",
        groups={"account": "acme"},
        properties={"plan": "pro", "marker": marker},
    )


def logfire_info(url: str, size: int) -> Capture:
    import logfire
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces"), max_queue_size=size)
    logfire.configure(send_to_logfire=False, console=False, additional_span_processors=[processor], metrics=False)
    return lambda marker: logfire.info("benchmarked", user="u1", account="acme", plan="pro", marker=marker)


def sentry(url: str, size: int) -> Capture:
    import sentry_sdk

    place = urlsplit(url)
    sentry_sdk.init(dsn=f"http://key@{place.netloc}/1", transport_queue_size=min(size, 100))
    sentry_sdk.set_user({"id": "u1"})
    return lambda marker: sentry_sdk.capture_message(
        f"benchmarked {marker}", level="info", tags={"account": "acme", "plan": "pro"}
    )


def official_sdk(url: str, size: int) -> Capture:
    from journyio.account_identified import AccountIdentified
    from journyio.client import Client, Config
    from journyio.events import Event, Metadata
    from journyio.httpclient import HttpClientRequests
    from journyio.user_identified import UserIdentified

    client = Client(HttpClientRequests(), Config("key", url))

    def capture(marker: str) -> object:
        metadata = Metadata()
        metadata["plan"], metadata["marker"] = "pro", marker
        event = Event.for_user_in_account(
            "benchmarked", UserIdentified.by_user_id("u1"), AccountIdentified.by_account_id("acme")
        )
        return client.add_event(event.with_metadata(metadata))

    return capture


def _peer(title: str, package: str, module: str, make: Callable[[str, int], Capture], **more: Any) -> Peer:
    return Peer(title=title, package=package, module=module, make=make, **more)


PEERS = {
    "ours": _peer(
        "journy_track", "journy-track", "journy_track", ours,
        setup="@track_event function inside user(), account(), metadata(); default settings",
    ),
    "mixpanel": _peer(
        "mixpanel", "mixpanel", "mixpanel", mixpanel,
        setup="BufferedConsumer(), which sends on the calling thread at each 50th event", sends=False,
    ),
    "queue_handler": _peer(
        "logging QueueHandler", "python", "logging.handlers", queue_handler,
        setup="logger.info(extra=…) to a QueueHandler; a QueueListener drops them", sends=False,
    ),
    "snowplow": _peer(
        "snowplow", "snowplow-tracker", "snowplow_tracker", snowplow,
        setup="AsyncEmitter(batch_size=50), Tracker.track(SelfDescribing); its log lines off", sends=False,
    ),
    "otel_log": _peer(
        "OpenTelemetry log", "opentelemetry-sdk", "opentelemetry.sdk._logs", otel_log,
        setup="Logger.emit, BatchLogRecordProcessor, OTLP over HTTP",
    ),
    "otel_span": _peer(
        "OpenTelemetry span", "opentelemetry-sdk", "opentelemetry.sdk.trace", otel_span,
        setup="start_as_current_span, BatchSpanProcessor, OTLP over HTTP",
    ),
    "segment": _peer(
        "segment", "segment-analytics-python", "segment.analytics", segment,
        setup="Client.track, its consumer thread", times=7.0,
    ),
    "rudder": _peer(
        "rudder", "rudder-sdk-python", "rudderstack.analytics", rudder,
        setup="Client.track, its consumer thread",
    ),
    "amplitude": _peer(
        "amplitude", "amplitude-analytics", "amplitude", amplitude,
        setup="Amplitude.track, in-memory storage; its log line for each event off",
    ),
    "posthog": _peer(
        "PostHog", "posthog", "posthog", posthog,
        setup="Posthog.capture, its consumer thread", times=18.0,
    ),
    "logfire": _peer(
        "logfire", "logfire", "logfire", logfire_info,
        setup="logfire.info, send_to_logfire=False, its spans to a BatchSpanProcessor, OTLP over HTTP",
    ),
    "sentry": _peer(
        "Sentry", "sentry-sdk", "sentry_sdk", sentry,
        setup="capture_message with user and tags; its queue of 100 is full in a burst, and drops",
    ),
    "official_sdk": _peer(
        "official SDK", "journyio-sdk", "journyio.client", official_sdk,
        setup="Client.add_event: one request and one connection a call, to a server on this machine", blocks=True,
    ),
}  # fmt: skip


# ── The network, off ──


def network_off(stalled: threading.Event | None = None) -> None:
    """Make every network path that a peer uses respond at once, or, if *stalled* is given, only after it is set.

    The outermost layers are patched: requests' adapter, urllib3's pool manager and urllib. Everything that a peer's
    worker does before it sends still runs.
    """
    import urllib.request

    import requests
    import urllib3

    def answer() -> urllib3.HTTPResponse:
        if stalled is not None:
            stalled.wait()
        return urllib3.HTTPResponse(
            io.BytesIO(ANSWER), {"Content-Type": "application/json"}, 200, preload_content=False
        )

    def adapter(self: Any, request: Any, *_: Any, **__: Any) -> requests.Response:
        return self.build_response(request, answer())

    def pool(self: Any, method: str, url: str, *_: Any, **__: Any) -> urllib3.HTTPResponse:
        return answer()

    requests.adapters.HTTPAdapter.send = adapter  # type: ignore[method-assign]
    urllib3.PoolManager.request = pool  # type: ignore[method-assign]
    urllib.request.urlopen = lambda *_, **__: io.BytesIO(answer().read())  # type: ignore[assignment]
