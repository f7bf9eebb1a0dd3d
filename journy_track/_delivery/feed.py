"""The feed puts jobs into a store, reads ahead from it for the dispatcher, and removes settled jobs.

Captured items are stored before they are sent. While the store cannot be used, jobs wait in memory and are sent from
there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from journy_track._delivery.dispatcher import Dispatcher
from journy_track._delivery.ledger import Ledger, Outcome
from journy_track._model.errors import printable, shortened
from journy_track._model.items import DeleteAccount, DeleteUser
from journy_track._model.messages import message_of, read
from journy_track._model.notices import Notices
from journy_track._model.outcomes import Response
from journy_track._stores.store import DeadLetter, Job, Store, StoreError
from journy_track._stores.trouble import Trouble

#: The maximum number of jobs appended to the store at once.
MAX_APPENDED = 500
#: Seconds until the next turn while something waits here and nothing is due earlier.
LATER = 1.0


class Feed:
    """Keeps jobs in *store* until they are settled. Any thread may settle jobs; only the worker may call the rest.

    Up to *window* jobs are read ahead, at most *chunk* of them per turn, so that items captured meanwhile are stored
    soon. *wall* returns seconds since the epoch. The dispatcher that gets the jobs is passed as *to*.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        notices: Notices,
        trouble: Trouble,
        *,
        window: int,
        chunk: int,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.store = store
        self.trouble = trouble
        self._ledger = ledger
        self._notices = notices
        self._window = max(1, window)
        self._chunk = min(chunk, max(1, window // 4))
        self._clock = clock
        self._wall = wall
        #: Jobs that are not in the store yet, and jobs that were fetched but not yet put into the dispatcher. They
        #: are attributes so that a worker that dies leaves them to the next one.
        self._pending: list[Job] = []
        self._fetched: deque[Job] = deque()
        ledger.forget = store.forget

    # ── The worker's side ──

    def look(self, to: Dispatcher) -> None:
        """Pick up what other processes changed in the store."""
        self.store.look()
        self._follow_changes(to)

    def _follow_changes(self, to: Dispatcher) -> None:
        changes = self.store.changes()
        if changes.adopted:
            self._ledger.adopted(changes.adopted)
        for reason, count in changes.lost.items():
            self._ledger.lost(count, reason)
        for job, reason in changes.withdrawn:
            to.withdraw(job, reason)
        for job, item in changes.amended:
            to.amend(job, item)

    def add(self, jobs: list[Job], to: Dispatcher) -> None:
        """Store *jobs*, which are new."""
        self._pending += jobs
        if self._pending and (append := self.store.append) is not None and not self.trouble.is_on:
            try:
                self._append(append, to)
            except StoreError as error:
                self.trouble.note(error)
        # Jobs that cannot be stored are delivered from memory, unless they would overtake jobs in the store.
        if self._pending and not self.store.unread:
            pending, self._pending = self._pending, []
            for job in pending:
                to.put(job)

    def _append(self, append: Callable[[list[Job]], int], to: Dispatcher) -> None:
        while self._pending:
            jobs = self._pending[:MAX_APPENDED]
            count = append(jobs)
            del self._pending[:MAX_APPENDED]
            if self.store.durable:
                self._kept(jobs[:count], to)
                for job in jobs[count:]:
                    self._ledger.settle(job, "dropped", "spool_full")
        if self.trouble.reason is not None:
            self.trouble.over()

    def _kept(self, jobs: list[Job], to: Dispatcher) -> None:
        self._ledger.stored(jobs)
        # A delete is put into the dispatcher only when it is read back, perhaps days later. The jobs that it makes
        # unnecessary are removed now.
        for job in jobs:
            if isinstance(job.item, (DeleteUser, DeleteAccount)):
                to.purge(job.item)
                self._ledger.lost(self.store.purge(job.item, job), "deleted")

    def fetch(self, to: Dispatcher) -> float | None:
        """Read ahead within the window. Returns the seconds until the next turn, or `None` if nothing waits here."""
        store = self.store
        if self._pending:  # the store could not be used a moment ago
            self.add([], to)
        # A merged job no longer waits at the dispatcher, but the store keeps it until the other one is settled.
        room = self._window - max(to.waiting, store.unsettled) if store.durable else self._window
        if self._fetched:
            self._hand_on([], to)
        if store.unread and room >= self._chunk:
            try:
                jobs = store.fetch(self._chunk if store.durable else room)
            except StoreError as error:
                self.trouble.note(error)
            else:
                self._hand_on(jobs, to)
                if jobs and room - len(jobs) >= self._chunk and store.unread:
                    return 0.0
        store.tidy()
        return LATER if self._pending or store.unread else None

    def _hand_on(self, jobs: list[Job], to: Dispatcher) -> None:
        durable = self.store.durable
        if durable:
            self._follow_changes(to)
            self._ledger.fetched(jobs)
        self._fetched.extend(jobs)
        while self._fetched:
            job = self._fetched.popleft()
            if not durable:
                to.put(job)
                continue
            try:
                if job.item is None:
                    self._parse(job)
                to.put(job)
            except ValueError as error:
                self._reject(job, "unreadable", f"unreadable: {printable(shortened(str(error)))}")
            except Exception as error:  # noqa: BLE001 - each process would fail at it again, and hold up the others
                kind = type(error).__name__
                self._notices.log(
                    "internal",
                    "an item could not be prepared: %s. It is dead-lettered and counted as internal_error. Please "
                    "report this.",
                    kind,
                )
                self._reject(job, "internal_error", f"internal_error: {kind}")
                to.withdraw(job, "internal_error")  # nothing is counted twice
            job.message = None

    def _parse(self, job: Job) -> None:
        """Restore the item of *job* from the stored message."""
        job.item, message_id = read(job.message or "")
        job.message_id = message_id or job.message_id
        age = max(0.0, self._wall() - job.at)  # never negative, even if the wall clock has jumped
        job.taken_at = job.renewed_at = self._clock() - age

    def _reject(self, job: Job, reason: str, details: str) -> None:
        """Dead-letter *job*, which cannot be sent, and count it as dropped for *reason*."""
        self.store.dead_letter(job, self._letter(job, details, None))
        self._ledger.settle(job, "dropped", reason)

    # ── Any thread ──

    def settle(
        self, job: Job, outcome: Outcome, reason: str = "", response: Response | None = None, into: Job | None = None
    ) -> None:
        """End *job* with *outcome*, like `Ledger.settle`, and remove it from the store."""
        if self.store.durable:
            if outcome == "given_up":
                self.store.dead_letter(job, self._letter(job, reason, response))
            elif job.receipts:
                self.store.ack([job])
        self._ledger.settle(job, outcome, reason, response, into)

    def settle_delivered(self, jobs: Sequence[Job], response: Response) -> None:
        """End *jobs* as delivered, like `Ledger.settle_delivered`, and remove them from the store."""
        if self.store.durable and (kept := [job for job in jobs if job.receipts]):
            self.store.ack(kept)
        self._ledger.settle_delivered(jobs, response)

    def _letter(self, job: Job, reason: str, response: Response | None) -> DeadLetter:
        try:
            message = message_of(job.item, job.at, job.message_id) if job.message is None else job.message
        except Exception as error:  # noqa: BLE001 - logged, and in the letter: the others go on
            kind = type(error).__name__
            self._notices.log("internal", "%s could not be written: %s", job.item.label(), kind)
            message, reason = "", f"{reason}; its message could not be written: {kind}"
        if response is None:
            return DeadLetter(0, job.at, message, self._wall(), reason, attempts=job.attempts)
        return DeadLetter(
            0,
            job.at,
            message,
            self._wall(),
            reason,
            response.status,
            response.request_id,
            response.fields,
            job.attempts,
        )
