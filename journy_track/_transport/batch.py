"""Sends jobs to journy.io's API/SDK connector, as batches of messages with a write key."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from journy_track._model.http import HttpClient, HttpRequest, HttpResponse
from journy_track._model.items import AddUsersToAccount, Item
from journy_track._model.outcomes import (
    Deferred,
    Delivered,
    JobOutcome,
    Outcome,
    Published,
    Rejected,
    Response,
    Split,
    Unauthorized,
    Unsendable,
)
from journy_track._model.retry import size_of
from journy_track._model.secret import KeyName, Secret
from journy_track._model.values import iso
from journy_track._stores.store import Job
from journy_track._transport.batch_messages import lacks, log_lack, messages_of
from journy_track._transport.http import Http
from journy_track._transport.rest import USER_AGENT, document_of, requests_client, response_of

#: Segment's limits: messages per request, bytes per request, and bytes per message.
MAX_MESSAGES, MAX_BYTES, MAX_MESSAGE = 2_500, 500_000, 32 * 1024
#: The maximum number of bytes in a request besides its messages: the key, the time.
_AROUND = 1_000
#: Bodies with fewer bytes are not worth compressing.
GZIP_FROM = 4 * 1024
#: zlib parameters: the gzip format, and level 1, which takes a third of the time for a hardly larger result.
_GZIP, _LEVEL = 31, 1


class BatchTransport:
    """Sends jobs in batches. *beside_rest*: items without a full counterpart in batches are sent by the REST API."""

    key = KeyName("write key", "JOURNY_WRITE_KEY")
    in_turn = False
    # The server drops a message whose ID it already knows, so a message must not change under the same ID.
    merges = False
    is_idempotent = False
    #: There is no request that only tests a write key.
    try_key = None

    def __init__(
        self,
        write_key: Secret,
        url: str,
        timeout: float,
        http_client: HttpClient | None = None,
        make_client: Callable[[], HttpClient] = requests_client,
        *,
        beside_rest: bool = False,
    ) -> None:
        self._write_key = write_key
        self._url = url
        self._http = Http(url, timeout, http_client, make_client)
        self._beside_rest = beside_rest
        #: Whether the server accepts compressed bodies; `None`: unknown, as journy.io does not document it.
        self._unpacks: bool | None = None
        #: The maximum number of bytes of messages in a request. Reduced after a 413, until the process ends.
        self._max_bytes = MAX_BYTES - _AROUND
        #: The average number of bytes of a job.
        self._mean = 256.0

    @property
    def max_jobs(self) -> int:
        return max(1, min(MAX_MESSAGES, int(self._max_bytes / self._mean)))

    def lacks(self, item: Item, /) -> bool:
        return lacks(item, in_part=not self._beside_rest)

    def log_lack(self, item: Item, /) -> None:
        log_lack(item)

    def fits(self, jobs: Sequence[Job], /) -> int:
        left, places = self._max_bytes, MAX_MESSAGES
        for count, job in enumerate(jobs):
            text = _text_of(job)
            if isinstance(text, str):
                size = size_of(text) + 1
                left -= size
                places -= len(job.item.users) if isinstance(job.item, AddUsersToAccount) else 1
                self._mean += (size - self._mean) / 256
                if count and (left < 0 or places < 0):
                    return count
                job.message = text  # `send` comes next
        return len(jobs)

    def send(self, jobs: Sequence[Job], /, timeout: float | None = None) -> Sequence[JobOutcome]:
        outcomes: list[JobOutcome | None] = []
        texts: list[str] = []
        for job in jobs:
            if job.refused is not None:
                job.sole = job.item.users[0]
            text = _text_of(job) if job.message is None else job.message
            job.message = None  # a delete may remove part of it before it is sent again
            outcomes.append(text if isinstance(text, Unsendable) else None)
            if isinstance(text, str):
                texts.append(text)
        of_all = self._exchange(texts, timeout) if texts else None
        if isinstance(of_all, Rejected) and of_all.response is not None and _has_several(jobs):
            of_all = Split(of_all.response, of_all.reason, 0)
        if isinstance(of_all, Delivered) and not self._beside_rest:
            for place, job in enumerate(jobs):
                if isinstance(job.item, AddUsersToAccount) and outcomes[place] is None:
                    outcomes[place] = _in_part(job, of_all)
        return [outcome or of_all for outcome in outcomes]  # type: ignore[misc] # without texts each has its own

    def _exchange(self, texts: list[str], timeout: float | None) -> JobOutcome:
        large = sum(map(len, texts)) >= GZIP_FROM
        packed = large and self._unpacks is not False

        def request(seconds: float) -> HttpRequest:
            # Not stored in variables: error reports show those, and both headers and body contain the key.
            if not packed:
                return HttpRequest("POST", self._url, self._headers(), self._body(texts), seconds)
            headers = {**self._headers(), "Content-Encoding": "gzip"}
            return HttpRequest("POST", self._url, headers, zlib.compress(self._body(texts), _LEVEL, _GZIP), seconds)

        outcome = self._http.exchange(self._url, request, meaning, timeout)
        response = outcome.response
        if large and response is not None and self._may_be_packing(packed, outcome, response):
            return Split(response, "it may be taken as it is", len(texts))
        if isinstance(outcome, Rejected) and response is not None:
            if response.status == 413:
                sent = sum(map(size_of, texts))
                self._max_bytes = max(MAX_MESSAGE, min(self._max_bytes, sent // 2))
            if len(texts) > 1:
                return Split(response, outcome.reason, len(texts) // 2)
        return outcome

    def _may_be_packing(self, packed: bool, outcome: Outcome, response: Response) -> bool:
        """Whether a refused request may succeed uncompressed. After a compressed success, only a 415 means that."""
        status = response.status
        if packed and (status == 415 or (status == 400 and self._unpacks is not True)):
            self._unpacks = False
            return True
        if packed and isinstance(outcome, Delivered):
            self._unpacks = True
        elif not packed and status == 400:  # compression was not the cause
            self._unpacks = None
        return False

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": "Basic " + b64encode(f"{self._write_key.reveal()}:".encode()).decode(),
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # the size of a compressed response is not bounded
            "User-Agent": USER_AGENT,
            "Content-Type": "application/json",
        }

    def _body(self, texts: list[str]) -> bytes:
        return (
            f'{{"batch":[{",".join(texts)}],"sentAt":"{iso(datetime.now(UTC))}",'
            f'"writeKey":{json.dumps(self._write_key.reveal())}}}'
        ).encode()

    def probe(self, timeout: float | None = None) -> Outcome:
        """Send an empty batch, to see if the server responds and if it refuses the key. No request shows more."""
        outcome = self._exchange([], timeout)
        assert not isinstance(outcome, (Published, Split, Unsendable)), "there was no job in it"
        return outcome

    def close(self) -> None:
        self._http.close()


def _has_several(jobs: Sequence[Job]) -> bool:
    """Whether *jobs* is a single membership whose users can be sent one at a time."""
    return len(jobs) == 1 and isinstance(jobs[0].item, AddUsersToAccount) and jobs[0].refused is None


def _in_part(job: Job, outcome: Delivered) -> Unsendable | None:
    """Return the outcome of a membership if users without an ID were left out of it; `None` if none were."""
    if job.refused is not None or not lacks(job.item, in_part=False):
        return None
    why = (
        f"{job.item.label()} was sent without its users known by e-mail alone, who have no counterpart in batches. "
        "Pass their IDs, or set JOURNY_API_KEY as well as the write key."
    )
    return Unsendable("no_counterpart", why, outcome.response)


def _text_of(job: Job) -> str | Unsendable:
    """Return the messages of *job* as JSON, separated by commas."""
    try:
        messages = messages_of(job)
    except Exception as error:  # noqa: BLE001 - counted and logged: it must not hold up the others
        return Unsendable("internal_error", f"{job.item.label()} could not be written: {type(error).__name__}")
    if any(size_of(message) > MAX_MESSAGE for message in messages):
        return Unsendable("too_large", f"{job.item.label()} is larger than {MAX_MESSAGE} bytes")
    if not messages:
        return Unsendable("no_counterpart", f"{job.item.label()}: nobody in it has an ID, which batches need")
    return ",".join(messages)


def meaning(received: HttpResponse) -> Outcome:
    """Return the outcome of a whole batch, from the response to it."""
    response, document = response_of(received), document_of(received.body)
    status = response.status
    what = f"{status} {response.message}" if response.message else f"status {status}"
    if 200 <= status < 300 and document.get("success") is not False:
        # The page of a captive portal or a maintenance page, perhaps after journy.io has accepted the batch.
        if received.body.strip() and not document:
            return Deferred(f"a proxy or another server responded with {status}", ambiguous=True, response=response)
        return Delivered(response)
    if 200 <= status < 300 or status in (400, 413, 422):  # the batch was read and refused
        return Rejected(response, what)
    if status == 401 or (status == 403 and not received.body.lstrip().startswith(b"<")):  # HTML is a firewall's page
        return Unauthorized(response)
    if status == 429:
        return Deferred("too many requests", ambiguous=False, response=response, retry_after=response.retry_after)
    if status < 200 or status >= 500 or status in (408, 425):
        reason, ambiguous = f"the server responded with {status}", status not in (408, 425)
        return Deferred(reason, ambiguous=ambiguous, response=response, retry_after=response.retry_after)
    # The URL is wrong, or a proxy responded: this does not mean that the messages are invalid.
    reason = f"the server responded with {status}: check batch_url"
    return Deferred(reason, ambiguous=False, response=response, retry_after=response.retry_after)
