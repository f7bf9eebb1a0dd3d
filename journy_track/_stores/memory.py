"""The store in memory, which only passes jobs on to the outbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from journy_track._model.items import DeleteAccount, DeleteUser
from journy_track._stores.store import Changes, DeadLetter, Job


class MemoryStore:
    """Passes jobs on as they arrive. Only the outbox keeps them, so nothing has to be removed or can be lost here."""

    durable = False
    is_open = True
    unsettled = 0

    def __init__(self) -> None:
        self._jobs: list[Job] = []

    @property
    def unread(self) -> bool:
        return bool(self._jobs)

    def append(self, jobs: Sequence[Job], /) -> int:
        self._jobs.extend(jobs)
        return len(jobs)

    def fetch(self, limit: int, /) -> list[Job]:
        fetched, self._jobs = self._jobs[:limit], self._jobs[limit:]
        return fetched

    def ack(self, jobs: Sequence[Job], /) -> None: ...
    def dead_letter(self, job: Job, letter: DeadLetter, /) -> None: ...
    def forget(self, job: Job, /) -> None: ...

    def purge(self, delete: DeleteUser | DeleteAccount, job: Job, /) -> int:
        return 0

    def look(self) -> None: ...

    def changes(self) -> Changes:
        return _NONE

    def checkpoint(self) -> Callable[[], bool]:
        return lambda: True

    def has_orphans(self) -> bool:
        return False

    def tidy(self) -> None: ...
    def close(self) -> None: ...


_NONE = Changes()
