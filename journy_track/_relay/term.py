"""One time of leading: what a relay reads, sends and gives up, until its lease ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from journy_track._capture.queue import BoundedQueue
from journy_track._delivery.budget import budget_of
from journy_track._delivery.dispatcher import Dispatcher, Transport
from journy_track._delivery.ledger import Ledger
from journy_track._delivery.notices import Notices
from journy_track._delivery.taken import Taken
from journy_track._model.call import Call
from journy_track._model.clock import monotonic
from journy_track._model.config import Config
from journy_track._model.messages import captured_at_of, item_of, message_of
from journy_track._model.outcomes import Answer, Deferred, Outcome
from journy_track._relay.stream import Entry, RelayQueue, Settled

#: Items in memory, at most.
WINDOW = 2_000
#: Seconds between two looks for new messages.
POLL = 0.1


class Leased:
    """A transport that sends only while the lease surely holds, and waits for no answer beyond its end.

    After it another relay may send what comes next.
    """

    def __init__(self, transport: Transport, holds: Callable[[], bool], left: Callable[[], float]) -> None:
        self._transport = transport
        self._holds = holds
        self._left = left

    def send(self, call: Call, /, timeout: float | None = None) -> Outcome:
        if not self._holds():
            return Deferred("this relay does not lead any more", ambiguous=False)
        left = self._left()
        return self._transport.send(call, left if timeout is None else min(timeout, left))

    def close(self) -> None:
        self._transport.close()


class Term:
    """One time of leading: what was read, and what became of it. It ends with all that it holds, but *settled*."""

    def __init__(
        self,
        config: Config,
        transport: Transport,
        queue: RelayQueue,
        settled: deque[Settled],
        ring: Callable[[], None],
        inside: Callable[[], object],
        wall: Callable[[], float],
    ) -> None:
        key = config.usable_key
        assert key is not None, "a relay without a key does not run"
        self._notices = Notices()
        self._queue = queue
        self._ring = ring
        self._wall = wall
        self.ledger = Ledger(BoundedQueue(1, 1))
        self.ledger.keeper = self
        self.dispatcher = Dispatcher(
            config,
            transport,
            self.ledger,
            self._notices,
            budget_of(config.base_url, key, config.share),
            clock=monotonic,
            ring=ring,
            inside=inside,
        )
        self._settled = settled
        #: The ID behind which reading goes on.
        self._after = ""

    def turn(self) -> float:
        """Read and send. Answers seconds until the next turn. Raises `BrokerError`."""
        read = self._read()
        wait = self.dispatcher.dispatch()
        return 0.0 if read else POLL if wait is None else min(wait, POLL)

    def _read(self) -> int:
        room = min(500, WINDOW - self.dispatcher.waiting)
        if room <= 0:
            return 0
        if self._is_done():
            self._after = ""  # after a failover, say, a new message may have an older ID
        entries = self._queue.read(self._after, room)
        for entry in entries:
            self._put(entry)
            self._after = entry.id
        return len(entries)

    def _is_done(self) -> bool:
        """Whether all that was read has left the broker."""
        stats = self.ledger.stats()  # first: who settles an item appends it before it is counted
        return not (stats.spooled or stats.in_flight or self._settled)

    def _put(self, entry: Entry) -> None:
        self.ledger.found(1)
        taken: Taken | None = None
        try:
            taken = self._taken(entry)
            if taken is not None:
                self.dispatcher.put(taken)
        except Exception as error:  # noqa: BLE001 - each relay would die of the same message, and none come behind it
            self._notices.say("internal", "an item could not be made ready: %s", type(error).__name__)
            self._bury(entry, f"internal_error: {type(error).__name__}")
            if taken is None:
                self.ledger.missing(1, "internal_error")
                return
            taken.rows = ()  # its letter is written
            self.dispatcher.withdraw(taken, "internal_error")
            self.ledger.dropped(taken, "internal_error")  # counts nothing twice

    def _taken(self, entry: Entry) -> Taken | None:
        """What *entry* holds; `None`: nothing that can be read."""
        try:
            item = item_of(entry.text)
        except ValueError as error:
            self._bury(entry, f"unreadable: {error}")
            self.ledger.missing(1, "unreadable")
            return None
        now = self._wall()
        came = min(int(entry.id.split("-")[0]) / 1000, now)  # whoever adds it may choose any number
        captured_at = captured_at_of(entry.text) or came
        taken = self.ledger.read(item, entry.id, monotonic() - max(0.0, now - captured_at))
        taken.at = captured_at
        return taken

    def _bury(self, entry: Entry, reason: str) -> None:
        self._settled.append(Settled([entry.id], self._letter(entry.text, reason)))

    # ── What the ledger tells ──

    def settled(self, taken: Taken) -> None:
        self._settled.append(Settled(taken.rows))
        taken.rows = ()
        self._ring()

    def counted(self, taken: Taken) -> None:
        """Nobody waits for one item here."""

    def given_up(self, taken: Taken, reason: str, answer: Answer | None) -> None:
        try:
            message = message_of(taken.item, taken.at)
        except Exception as error:  # noqa: BLE001 - said, here and in the letter: the others go on
            kind = type(error).__name__
            self._notices.say("internal", "%s could not be written: %s", taken.item.label(), kind)
            message, reason = "", f"{reason}; its message could not be written: {kind}"
        letter = self._letter(message, reason, answer, taken.attempts)
        self._settled.append(Settled(taken.rows, letter))
        taken.rows = ()
        self._ring()

    def _letter(
        self,
        message: str,
        reason: str,
        answer: Answer | None = None,
        attempts: int = 0,
    ) -> dict[str, Any]:
        return {
            "message": message,
            "died": self._wall(),
            "reason": reason,
            "status": None if answer is None else answer.status,
            "request_id": None if answer is None else answer.request_id,
            "fields": {} if answer is None else dict(answer.fields),
            "attempts": attempts,
        }
