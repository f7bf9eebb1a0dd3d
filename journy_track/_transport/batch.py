"""Jobs to journy.io's API/SDK connector: batches of messages, under a write key."""

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

#: Segment's limits: messages in a request, bytes of one, and of a message.
MAX_MESSAGES, MAX_BYTES, MAX_MESSAGE = 2_500, 500_000, 32 * 1024
#: Bytes that a request has around its messages, at most: the key, the time.
_AROUND = 1_000
#: Bytes below which a body is not worth compressing.
GZIP_FROM = 4 * 1024
#: Of zlib: gzip's format. At level 1 it takes a third of the time, and what it makes is hardly larger.
_GZIP, _LEVEL = 31, 1


class BatchTransport:
    """Sends jobs in batches. *beside_rest*: what has no counterpart in full goes by the REST API."""

    key = KeyName("write key", "JOURNY_WRITE_KEY")
    in_turn = False
    # A server that knows a message by its ID drops it: what has one ID has to stay the same.
    merges = False
    is_idempotent = False
    #: There is no call that only tries a write key.
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
        #: Whether the server unpacks what is compressed; `None`: not known. journy.io does not document it.
        self._unpacks: bool | None = None
        #: Bytes of messages in a request: less after a 413, for as long as the process lives.
        self._max_bytes = MAX_BYTES - _AROUND
        #: Bytes of a job, on average.
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
            job.message = None  # before it is sent again, a delete may leave less of it
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
            # In no variable: error reports show those, and there is the key in both.
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
        """Whether what was refused may be taken uncompressed: as long as the server has taken nothing compressed."""
        status = response.status
        if packed and (status == 415 or (status == 400 and self._unpacks is not True)):
            self._unpacks = False
            return True
        if packed and isinstance(outcome, Delivered):
            self._unpacks = True
        elif not packed and status == 400:  # that was not it
            self._unpacks = None
        return False

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": "Basic " + b64encode(f"{self._write_key.reveal()}:".encode()).decode(),
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # compressed, a response has no bound
            "User-Agent": USER_AGENT,
            "Content-Type": "application/json",
        }

    def _body(self, texts: list[str]) -> bytes:
        return (
            f'{{"batch":[{",".join(texts)}],"sentAt":"{iso(datetime.now(UTC))}",'
            f'"writeKey":{json.dumps(self._write_key.reveal())}}}'
        ).encode()

    def probe(self, timeout: float | None = None) -> Outcome:
        """Send an empty batch: whether the server responds, and whether it refuses the key. No call tells more."""
        outcome = self._exchange([], timeout)
        assert not isinstance(outcome, (Published, Split, Unsendable)), "there was no job in it"
        return outcome

    def close(self) -> None:
        self._http.close()


def _has_several(jobs: Sequence[Job]) -> bool:
    """Whether this is one membership, of users who could go one by one."""
    return len(jobs) == 1 and isinstance(jobs[0].item, AddUsersToAccount) and jobs[0].refused is None


def _in_part(job: Job, outcome: Delivered) -> Unsendable | None:
    """What becomes of a membership whose users without an ID were left out; `None`: there were none."""
    if job.refused is not None or not lacks(job.item, in_part=False):
        return None
    why = (
        f"{job.item.label()} was sent without its users known by e-mail alone, who have no counterpart in batches. "
        "Pass their IDs, or set JOURNY_API_KEY as well as the write key."
    )
    return Unsendable("no_counterpart", why, outcome.response)


def _text_of(job: Job) -> str | Unsendable:
    """The messages of *job*, with commas between them."""
    try:
        messages = messages_of(job)
    except Exception as error:  # noqa: BLE001 - counted and logged: it must not hold up the others
        return Unsendable("internal_error", f"{job.item.label()} could not be written: {type(error).__name__}")
    if any(size_of(message) > MAX_MESSAGE for message in messages):
        return Unsendable("too_large", f"{job.item.label()} is larger than {MAX_MESSAGE} bytes")
    if not messages:
        return Unsendable("no_counterpart", f"{job.item.label()} is about nobody with an ID")
    return ",".join(messages)


def meaning(received: HttpResponse) -> Outcome:
    """What a response to a batch means for all of it."""
    response, document = response_of(received), document_of(received.body)
    status = response.status
    what = f"{status} {response.message}" if response.message else f"status {status}"
    if 200 <= status < 300 and document.get("success") is not False:
        # A portal's or a maintenance page, perhaps after journy.io has taken it.
        if received.body.strip() and not document:
            return Deferred(f"something in between responded with {status}", ambiguous=True, response=response)
        return Delivered(response)
    if 200 <= status < 300 or status in (400, 413, 422):  # it was read, and refused
        return Rejected(response, what)
    if status == 401 or (status == 403 and not received.body.lstrip().startswith(b"<")):  # else a firewall's page
        return Unauthorized(response)
    if status == 429:
        return Deferred("too many requests", ambiguous=False, response=response, retry_after=response.retry_after)
    if status < 200 or status >= 500 or status in (408, 425):
        reason, ambiguous = f"the server responded with {status}", status not in (408, 425)
        return Deferred(reason, ambiguous=ambiguous, response=response, retry_after=response.retry_after)
    # Of a wrong URL, or of something in between: nobody's verdict on what is in it.
    reason = f"the server responded with {status}: check batch_url"
    return Deferred(reason, ambiguous=False, response=response, retry_after=response.retry_after)
