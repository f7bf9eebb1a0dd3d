"""Tracing with OpenTelemetry's API only: IDs and events of the active span, and no spans for our own requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace

# Context keys that instrumentations check to suppress themselves. The API's own constants for them, which not every
# version exports, are added in `_untraced`.
_SUPPRESS = ("suppress_instrumentation", "suppress_http_instrumentation")

current_span: Callable[[], trace.Span] = trace.get_current_span
NO_SPAN = trace.INVALID_SPAN


def trace_ids(trace_id: int, span_id: int) -> dict[str, str]:
    """`trace_id` and `span_id` as lower-case hex; an empty dict for an invalid span."""
    if not 0 < trace_id < 1 << 128 or not 0 < span_id < 1 << 64:
        return {}
    return {"trace_id": trace.format_trace_id(trace_id), "span_id": trace.format_span_id(span_id)}


def record_on_span(name: str, attributes: Mapping[str, Any], span: trace.Span | None = None) -> None:
    """Add an event to *span* (by default, the active one), if it is still being recorded."""
    span = span or trace.get_current_span()
    if span.is_recording():
        span.add_event(name, {k: v for k, v in attributes.items() if type(v) in (str, bool, int, float)})


@contextmanager
def untraced() -> Iterator[None]:
    """Hide what happens in the block from instrumentations: no spans, no `traceparent`, no baggage."""
    token = otel_context.attach(_UNTRACED)
    try:
        yield
    finally:
        otel_context.detach(token)


def stay_untraced() -> None:
    """Do the same for everything that this thread does from now on."""
    otel_context.attach(_UNTRACED)


def _untraced() -> otel_context.Context:
    names = (getattr(otel_context, f"_SUPPRESS_{kind}INSTRUMENTATION_KEY", None) for kind in ("", "HTTP_"))
    keys = (*_SUPPRESS, *(key for key in names if key))
    # Otherwise empty: without a span there is nothing to propagate.
    return otel_context.Context(dict.fromkeys(keys, True))


_UNTRACED = _untraced()
