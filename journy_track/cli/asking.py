"""Sends one request immediately, and explains a failure in a sentence with the remedy."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter, time
from urllib.parse import urlsplit

from journy_track._delivery.ways import batches_of
from journy_track._model.call import ApiCall
from journy_track._model.config import Config
from journy_track._model.items import Event
from journy_track._model.outcomes import (
    Deferred,
    Delivered,
    Outcome,
    Published,
    Rejected,
    Response,
    Split,
    Unauthorized,
    Unsendable,
)
from journy_track._model.secret import Secret
from journy_track._stores.store import Job
from journy_track._transport.rest import HttpTransport


@dataclass(frozen=True, slots=True)
class Asked:
    """The result of a call. *seconds* is the round trip, with connecting. *batched*: it was sent in a batch."""

    outcome: Outcome
    seconds: float
    batched: bool = False

    @property
    def response(self) -> Response | None:
        """The server's response; `None` if there was none."""
        return self.outcome.response

    @property
    def succeeded(self) -> bool:
        """Whether journy.io accepted it."""
        return isinstance(self.outcome, Delivered)


def ask(config: Config, call: ApiCall) -> Asked:
    """Send one call immediately, on its own connection."""
    key = config.rest_key
    assert key is not None, "commands end before this without a key"
    transport = HttpTransport(key, config.base_url, config.timeout, config.http_client)
    try:
        began = perf_counter()
        outcome = transport.send(call)
        return Asked(outcome, perf_counter() - began)
    finally:
        transport.close()


def send(config: Config, event: Event) -> Asked:
    """Send one event immediately: in a batch if there is a write key and batches support it, else by the REST API."""
    transport = None if config.write_key is None else batches_of(config, config.write_key)
    if transport is None or (config.rest_key is not None and transport.lacks(event)):
        return ask(config, event)
    job = Job(1, 0.0, time())
    job.item = event
    try:
        began = perf_counter()
        (outcome,) = transport.send([job])
        if isinstance(outcome, Split):  # it was compressed, which the server may not support
            (outcome,) = transport.send([job])
        seconds = perf_counter() - began
    finally:
        transport.close()
    if isinstance(outcome, (Published, Split, Unsendable)):  # a single job cannot be split: nothing was sent
        outcome = Rejected(None, getattr(outcome, "why", "it cannot be sent"))
    return Asked(outcome, seconds, batched=True)


def probe(config: Config, write_key: Secret) -> Asked:
    """Send an empty batch, the only way to check whether the server responds and refuses the write key.

    It changes nothing. Whether the server accepts an empty batch is not documented: see `problem_of`.
    """
    transport = batches_of(config, write_key)
    try:
        began = perf_counter()
        outcome = transport.probe()
        return Asked(outcome, perf_counter() - began, batched=True)
    finally:
        transport.close()


def problem_of(probed: Asked, batch_url: str) -> str | None:
    """What is wrong, after `probe`; `None` if no problem is known.

    A server that rejects the batch because of its content has accepted both the address and the key.
    """
    if probed.succeeded or (isinstance(probed.outcome, Rejected) and probed.response is not None):
        return None
    return why_batch(probed.outcome, batch_url)


def why_batch(outcome: Outcome, batch_url: str) -> str:
    """Why a batch was not accepted, and the remedy."""
    match outcome:
        case Unauthorized(response):
            return (
                f"journy.io refuses this write key ({response.status}). Check that it was copied completely and "
                "still exists: journy.io, Settings, Connections, API/SDK Connector."
            )
        case Deferred(response=None):
            return _unreachable(outcome, batch_url)
        case Deferred(reason, retry_after=seconds):
            again = "" if seconds is None else f" Try again in {seconds:.0f} s."
            return f"{urlsplit(batch_url).netloc} did not accept the batch: {reason}.{again}"
        case Rejected(_, reason):
            return f"The batch was refused: {reason}."
        case Delivered(response):
            return f"The server at {batch_url} is not journy.io: status {response.status}."


def why(outcome: Outcome, base_url: str) -> str:
    """Why the call failed, and the remedy."""
    match outcome:
        case Unauthorized(response):
            return _refused(response)
        case Deferred(response=response):
            return _unreachable(outcome, base_url) if response is None else _not_now(outcome, response, base_url)
        case Rejected(response, reason):
            return (
                f"The request was refused: {reason}." if response is None else _rejected(response, reason, base_url)
            )
        case Delivered(response):
            return (
                f"The server at {base_url} is not journy.io: its response ({response.status}) has an unexpected form."
            )


def _refused(response: Response) -> str:
    about = f"({_about(response)})"
    if response.status == 401:
        return (
            f"journy.io does not know this key {about}. Check that it was copied completely and still exists: "
            "journy.io, Settings, Connections."
        )
    return (
        f"journy.io knows this key but refuses the call {about}. It is disabled or lacks the permission: "
        "journy.io, Settings, Connections."
    )


_SLOW = "A firewall may be dropping packets; to wait longer, raise JOURNY_TIMEOUT (seconds)."
#: What to do if there is no response, by words in the reason.
_REMEDIES = {
    "resolved": "Check the host in the base URL, this machine's DNS, and whether it needs a proxy (HTTPS_PROXY).",
    "connection was refused": "Nothing listens there: check the base URL. The local inspector: journy-track inspect.",
    "PySocks": "Install it where this runs, or check HTTPS_PROXY, ALL_PROXY and NO_PROXY.",
    "certificate": "If a proxy of your company inspects TLS, name its certificates in REQUESTS_CA_BUNDLE.",
    "proxy": "Check HTTPS_PROXY, ALL_PROXY and NO_PROXY.",
    "in time": _SLOW,
    "timed out": _SLOW,
}


def _unreachable(outcome: Deferred, base_url: str) -> str:
    remedy = next((remedy for words, remedy in _REMEDIES.items() if words in outcome.reason), "")
    return f"Cannot reach {urlsplit(base_url).netloc}: {outcome.reason}. {remedy}".rstrip()


def _not_now(outcome: Deferred, response: Response, base_url: str) -> str:
    if response.status == 429:
        again = f" Try again in {response.retry_after:.0f} s." if response.retry_after else ""
        return f"The key's rate budget is used up ({_about(response)}).{again}"
    if response.request_id is None:
        return (
            f"Something between here and journy.io responded ({response.status}, without a request ID): a proxy, a "
            f"login page, or another server. Check the base URL {base_url}, HTTPS_PROXY and NO_PROXY."
        )
    return f"journy.io cannot accept it now: {outcome.reason} ({_about(response)}). Try again later."


def _rejected(response: Response, reason: str, base_url: str) -> str:
    fields = "".join(f" {name}: {what}" for name, what in response.fields.items())
    if 300 <= response.status < 400:
        return f"{urlsplit(base_url).netloc} responded with {reason}."
    return f"journy.io refuses it: {response.message or reason} ({_about(response)}).{fields}"


def _about(response: Response) -> str:
    return f"{response.status}, request ID {response.request_id}" if response.request_id else str(response.status)
