"""Sends jobs to a broker, in batches and in the order of capture. A relay sends them on to journy.io."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from journy_track._model.broker import Broker, BrokerError, BrokerRefused, Message
from journy_track._model.broker_url import SCHEMES, scheme_of
from journy_track._model.forks import importing
from journy_track._model.items import Item
from journy_track._model.messages import MAX_BYTES, message_of
from journy_track._model.outcomes import Deferred, JobOutcome, Published, Rejected, Unsendable
from journy_track._model.retry import ByteLimit, backoff, size_of
from journy_track._model.secret import KeyName, Secret
from journy_track._stores.store import Job

#: The maximum number of messages in one call of the broker.
MAX_MESSAGES = 100
#: The maximum number of seconds before a failed broker is tried again: an attempt costs little.
MAX_PAUSE = 5.0


class BrokerTransport:
    """Publishes jobs to *broker*, each with an increasing number that stays the same when it is published again.

    *wait_before* returns the seconds to wait before the next attempt, given the number of failures so far.
    """

    key = KeyName("broker's password", "JOURNY_BROKER_URL")
    max_jobs = MAX_MESSAGES
    in_turn = True
    merges = False
    is_idempotent = True
    #: A broker does not check journy.io's key.
    try_key = None

    def __init__(self, broker: Broker, wait_before: Callable[[int], float] = backoff) -> None:
        self.broker = broker
        self._wait_before = wait_before
        self._numbers = itertools.count(1)
        self._failures = 0
        self._limit = ByteLimit()

    def lacks(self, item: Item, /) -> bool:
        return False

    def log_lack(self, item: Item, /) -> None: ...

    def fits(self, jobs: Sequence[Job], /) -> int:
        left = self._limit.bytes
        for count, job in enumerate(jobs):
            text = _text_of(job)
            left -= 0 if isinstance(text, Unsendable) else size_of(text)
            if count and left < 0:
                return count
            if isinstance(text, str):
                job.message = text  # `send` comes next
        return len(jobs)

    def send(self, jobs: Sequence[Job], /, timeout: float | None = None) -> Sequence[JobOutcome]:
        outcomes: list[JobOutcome | None] = []
        messages: list[Message] = []
        for job in jobs:
            message = self._message(job)
            outcomes.append(None if isinstance(message, Message) else message)
            if isinstance(message, Message):
                messages.append(message)
        published = iter(self._publish(messages) if messages else ())
        return [next(published) if outcome is None else outcome for outcome in outcomes]

    def _message(self, job: Job) -> Message | Unsendable:
        text = _text_of(job) if job.message is None else job.message
        job.message = None  # a delete may remove part of it before it is published again
        if isinstance(text, Unsendable):
            return text
        if size_of(text) > MAX_BYTES:
            return Unsendable("too_large", f"{job.item.label()} is larger than {MAX_BYTES} bytes")
        if not job.published_as:
            job.published_as = next(self._numbers)
        return Message(job.published_as, text)

    def _publish(self, messages: list[Message]) -> Sequence[JobOutcome]:
        """Publish *messages* and return the outcome of each."""
        count, failed = 0, ""
        try:
            count = self.broker.publish(messages)
            if count != len(messages):
                failed = "it is full"
            if not 0 <= count <= len(messages):
                count, failed = 0, "publish() returned an impossible count"
            self._limit.succeeded()
        except BrokerRefused as refused:
            return [Rejected(None, str(refused))] * len(messages)
        except BrokerError as error:
            failed = str(error)
            self._limit.failed()
        except Exception as error:  # noqa: BLE001 - a broker of the app's own may raise anything
            count, failed = 0, f"publish() raised {type(error).__name__}"
            self._limit.failed()
        self._failures = self._failures + 1 if failed else 0
        pause = min(MAX_PAUSE, self._wait_before(self._failures)) if failed else 0.0
        deferred = Deferred(failed, ambiguous=False, retry_after=pause)
        return [Published()] * count + [deferred] * (len(messages) - count)

    def close(self) -> None:
        self.broker.close()


def _text_of(job: Job) -> str | Unsendable:
    try:
        return message_of(job.item, job.at, job.id())
    except Exception as error:  # noqa: BLE001 - counted and logged: it must not hold up the others
        return Unsendable("internal_error", f"{job.item.label()} could not be written: {type(error).__name__}")


def _redis(url: Secret) -> Broker:
    with importing:
        from journy_track._stores.redis.broker import RedisBroker

    return RedisBroker(url)


#: The function that creates the broker for each URL scheme. To add one, write a `Broker` and add a line here.
MAKERS: dict[str, Callable[[Secret], Broker]] = dict.fromkeys(SCHEMES, _redis)


def broker_at(place: Secret | Broker) -> Broker:
    """Return the broker at a URL whose scheme was checked before; the app's own `Broker` is returned as is."""
    return MAKERS[scheme_of(place.reveal())](place) if isinstance(place, Secret) else place
