"""OpenTelemetry: who acts on spans, and along with the trace in messages to the hosts that `propagate_to` names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)

from journy_track._capture.carrier import HEADER
from journy_track._capture.context import known_ids
from journy_track._carriers import inject
from journy_track.integrations._outgoing import is_named

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Span, SpanProcessor
else:
    try:
        from opentelemetry.sdk.trace import SpanProcessor
    except ModuleNotFoundError:  # without the SDK there is nothing that would call it
        SpanProcessor = object

__all__ = ["JournyPropagator", "JournySpanProcessor"]

#: Where a span says to which host its message or call goes, newest convention first.
_HOSTS = ("server.address", "net.peer.name")
#: What marks the span of an HTTP request.
_HTTP = ("http.request.method", "http.method", "url.full", "http.url")


class JournyPropagator(TextMapPropagator):
    """Adds the carrier of `journy_track.inject()` to messages and calls that OpenTelemetry instruments, where they go
    to a host of `propagate_to`, as the broker's.

        OTEL_PROPAGATORS=tracecontext,baggage,journy

    The host is the one that the recording span names; where there is none, nothing is added. Nor is it to HTTP
    requests: a client that follows a redirect sends their headers on to any host, which cannot be noticed
    here. Those of requests, httpx, aiohttp and urllib3 get it from `propagate_to` itself. What comes in is not read:
    see `extract()` and `trust=` of the middlewares.
    """

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        """Add the carrier, where the host is named."""
        if is_named(_host_of(trace.get_current_span(context))):
            written: dict[str, str] = {}
            inject(written)
            for name, value in written.items():
                setter.set(carrier, name, value)

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """Reads nothing, and returns *context*."""
        return Context() if context is None else context

    @property
    def fields(self) -> set[str]:
        """The header that may be set."""
        return {HEADER}


def _host_of(span: Any) -> str | None:
    attributes = getattr(span, "attributes", None) or {}
    if any(name in attributes for name in _HTTP):
        return None
    return next((host for name in _HOSTS if isinstance(host := attributes.get(name), str)), None)


class JournySpanProcessor(SpanProcessor):
    """Puts who acts on each span that starts: ``enduser.id`` and ``journy.account.id``.

        provider.add_span_processor(JournySpanProcessor())                # the SDK's TracerProvider

    They are the IDs of the context, never an e-mail address or a domain; `enduser.id` is OpenTelemetry's own name. A
    span that starts before the user is known, as a server's span of a request, has none: the spans below it do, once
    `user()`, `set_user()` or an event of the request has found out. Nobody is asked, since that may query the
    database.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Add what is known."""
        user, account = known_ids()
        if user is not None:
            span.set_attribute("enduser.id", user)
        if account is not None:
            span.set_attribute("journy.account.id", account)
