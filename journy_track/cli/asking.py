"""One request at once, and in a sentence why it failed and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from urllib.parse import urlsplit

from journy_track._model.call import Call
from journy_track._model.config import Config
from journy_track._model.outcomes import Answer, Deferred, Delivered, Outcome, Rejected, Unauthorized
from journy_track._transport.http import HttpTransport


@dataclass(frozen=True, slots=True)
class Asked:
    """A call and what became of it. *seconds* is the round trip, with connecting."""

    outcome: Outcome
    seconds: float

    @property
    def answer(self) -> Answer | None:
        """What the server said; `None` without an answer."""
        return self.outcome.answer

    @property
    def succeeded(self) -> bool:
        """Whether journy.io took it."""
        return isinstance(self.outcome, Delivered)


def ask(config: Config, call: Call) -> Asked:
    """Make one call, at once and on a connection of its own."""
    key = config.usable_key
    assert key is not None, "commands end before this without a key"
    transport = HttpTransport(key, config.base_url, config.timeout, config.http_client)
    try:
        began = perf_counter()
        outcome = transport.send(call)
        return Asked(outcome, perf_counter() - began)
    finally:
        transport.close()


def why(outcome: Outcome, base_url: str) -> str:
    """Why the call failed, and the remedy."""
    match outcome:
        case Unauthorized(answer):
            return _refused(answer)
        case Deferred(answer=answer):
            return _unreachable(outcome, base_url) if answer is None else _not_now(outcome, answer, base_url)
        case Rejected(answer, reason):
            return f"The request was refused: {reason}." if answer is None else _rejected(answer, reason, base_url)
        case Delivered(answer):
            return f"What answered at {base_url} is not journy.io: its answer to {answer.status} has another form."


def _refused(answer: Answer) -> str:
    about = f"({_about(answer)})"
    if answer.status == 401:
        return (
            f"journy.io does not know this key {about}. Check that it was copied completely and still exists: "
            "journy.io, Settings, Connections."
        )
    return (
        f"journy.io knows this key but refuses the call {about}. It is disabled or lacks the permission: "
        "journy.io, Settings, Connections."
    )


#: What to do about a reason for which there is no answer.
_REMEDIES = {
    "resolved": "Check the host in the base URL, this machine's DNS, and whether it needs a proxy (HTTPS_PROXY).",
    "connection was refused": "Nothing listens there: check the base URL. The local inspector: journy-track inspect.",
    "certificate": "If a proxy of your company inspects TLS, name its certificates in REQUESTS_CA_BUNDLE.",
    "proxy": "Check HTTPS_PROXY and NO_PROXY.",
    "in time": "A firewall may drop the packets; JOURNY_TIMEOUT sets the seconds.",
    "timed out": "A firewall may drop the packets; JOURNY_TIMEOUT sets the seconds.",
}


def _unreachable(outcome: Deferred, base_url: str) -> str:
    remedy = next((remedy for words, remedy in _REMEDIES.items() if words in outcome.reason), "")
    return f"Cannot reach {urlsplit(base_url).netloc}: {outcome.reason}. {remedy}".rstrip()


def _not_now(outcome: Deferred, answer: Answer, base_url: str) -> str:
    if answer.status == 429:
        again = f" Try again in {answer.retry_after:.0f} s." if answer.retry_after else ""
        return f"The key's rate budget is used up ({_about(answer)}).{again}"
    if answer.request_id is None:
        return (
            f"Something between here and journy.io answered ({answer.status}, without a request ID): a proxy, a "
            f"login page, or another server. Check the base URL {base_url}, HTTPS_PROXY and NO_PROXY."
        )
    return f"journy.io could not answer now: {outcome.reason} ({_about(answer)}). Try again later."


def _rejected(answer: Answer, reason: str, base_url: str) -> str:
    fields = "".join(f" {name}: {what}" for name, what in answer.fields.items())
    if 300 <= answer.status < 400:
        return f"{urlsplit(base_url).netloc} answered with {reason}."
    return f"journy.io refuses it: {answer.message or reason} ({_about(answer)}).{fields}"


def _about(answer: Answer) -> str:
    return f"{answer.status}, request ID {answer.request_id}" if answer.request_id else str(answer.status)
