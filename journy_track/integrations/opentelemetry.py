"""OpenTelemetry: the user and account on spans, and propagated with the trace to the hosts in `propagate_to`."""

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
    except ModuleNotFoundError:  # without the SDK, nothing would call the processor
        SpanProcessor = object

__all__ = ["JournyPropagator", "JournySpanProcessor"]

#: Span attributes that name the host a message or call is sent to, newest convention first.
_HOSTS = ("server.address", "net.peer.name")
#: Attributes that mark the span of an HTTP request.
_HTTP = ("http.request.method", "http.method", "url.full", "http.url")


class JournyPropagator(TextMapPropagator):
    """Adds the carrier of `journy_track.inject()` to messages and calls to the hosts in `propagate_to`.

    These are messages and calls that OpenTelemetry instruments; a message's host is that of the broker.

        OTEL_PROPAGATORS=tracecontext,baggage,journy

    The host is the one named by the recording span; without one, nothing is added. Nothing is added to HTTP requests
    either: a client that follows a redirect sends the headers on to any host, which cannot be detected here. Requests
    made with requests, httpx, aiohttp and urllib3 get the carrier through `propagate_to` itself. Incoming carriers
    are not read: see `extract()` and the middlewares' `trust=`.
    """

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        """Add the carrier if `propagate_to` lists the span's host."""
        if is_named(_host_of(trace.get_current_span(context))):
            written: dict[str, str] = {}
            inject(written)
            for name, value in written.items():
                setter.set(carrier, name, value)

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """Return *context* unchanged; nothing is read."""
        return Context() if context is None else context

    @property
    def fields(self) -> set[str]:
        """The header that `inject` may set."""
        return {HEADER}


def _host_of(span: Any) -> str | None:
    attributes = getattr(span, "attributes", None) or {}
    if any(name in attributes for name in _HTTP):
        return None
    return next((host for name in _HOSTS if isinstance(host := attributes.get(name), str)), None)


class JournySpanProcessor(SpanProcessor):
    """Sets the user and account on each span that starts: ``enduser.id`` and ``journy.account.id``.

        provider.add_span_processor(JournySpanProcessor())                # the SDK's TracerProvider

    They are the IDs of the context, never an e-mail address or a domain; `enduser.id` is OpenTelemetry's own name. A
    span that starts before the user is known, such as a server's request span, does not get them. Its child spans do,
    once the user was determined by `user()`, `set_user()` or an event of the request. The processor does not call
    the middleware's callbacks, since they may query the database.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Add the IDs that are known."""
        user, account = known_ids()
        if user is not None:
            span.set_attribute("enduser.id", user)
        if account is not None:
            span.set_attribute("journy.account.id", account)
