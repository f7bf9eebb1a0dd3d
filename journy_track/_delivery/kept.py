"""Detects upserts that change nothing, from what journy.io confirmed to any process, even before a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from journy_track._delivery.throttle import REMEMBERED, Memory, names_of_subject
from journy_track._model.items import DeleteAccount, DeleteUser, Item, UpsertAccount, UpsertUser
from journy_track._model.notices import Notices
from journy_track._state.digests import Confirmed, Digests, Hasher
from journy_track._stores.store import StoreError

#: The minimum number of seconds for which digests are kept, even if they are not used yet.
_KEPT = 30 * 24 * 3600.0
#: The fraction of the time over which items that were confirmed on one day are spread when they are sent again.
SPREAD = 0.5
#: Seconds until storing digests is retried after a failure.
_PAUSE = 1.0
#: Seconds by which a clock may be ahead of the one that wrote the digest.
_AHEAD = 60.0


class _Upserted(NamedTuple):
    """An upsert in delivery: its digest, and the number under which it will be confirmed."""

    digest: bytes
    number: int


class KeptUnchanged:
    """Remembers what journy.io last confirmed for each identity, in *digests* that outlive the process.

    If an upsert differs, its old digest is removed before it is sent, and the new one is stored once it is confirmed.
    So whenever the process dies, no digest claims something that journy.io may not have. *seconds* is how long a
    confirmation counts; each identity has its own time between half of it and all of it. With 0, nothing is skipped,
    but digests are stored for others.
    """

    def __init__(
        self,
        digests: Digests,
        secret: str,
        base_url: str,
        seconds: float,
        notices: Notices,
        wall: Callable[[], float],
    ) -> None:
        self._digests = digests
        self._secret, self._base_url = secret, base_url
        self._seconds = seconds
        self._notices = notices
        self._wall = wall
        self._hasher: Hasher | None = None
        #: Whether the digests may have been started over since, with another salt.
        self._stale = False
        self._salt = b""
        #: Confirmations that could not be stored wait until this time, in seconds since the epoch.
        self._again_at = 0.0
        self._sent: Memory[_Upserted] = Memory()
        self._confirmed: dict[bytes, Confirmed] = {}
        #: The names whose digests could not be removed yet. Their digests are ignored until then.
        self._owed: set[bytes] = set()

    def is_unchanged(self, item: Item, number: int, now: float) -> bool:
        """Return whether *item* need not be sent. If it is sent, it will be confirmed under *number*."""
        if not isinstance(item, (UpsertUser, UpsertAccount)):
            return False
        try:
            hasher = self._hashes()
            names, digest = self._names(item, hasher), hasher.of_body(item.body())
            known = {} if any(name in self._sent for name in names) else self._digests.find(names)
            if self._seconds and all(self._counts(name, known.get(name), digest) for name in names):
                return True
            if known:
                self._forget(known)
        except StoreError as error:
            self._note(error)
        self.sends(item, number)
        return False

    def _counts(self, name: bytes, known: Confirmed | None, digest: bytes) -> bool:
        if known is None or known.digest != digest or name in self._owed or len(self._owed) >= REMEMBERED:
            return False
        lasts = self._seconds * (1 - SPREAD * int.from_bytes(name[:2]) / 0x10000)
        return -_AHEAD <= self._wall() - known.at < lasts

    def sends(self, item: Item, number: int) -> None:
        """Record that *item* is sent under *number*. Called again when another item is merged into it."""
        if isinstance(item, (UpsertUser, UpsertAccount)) and self._hasher is not None:
            sent = _Upserted(self._hasher.of_body(item.body()), number)
            for name in self._names(item, self._hasher):
                self._sent.keep(name, sent)
                self._confirmed.pop(name, None)  # an older confirmation that may still wait to be saved

    def confirmed(self, item: Item, number: int, now: float) -> None:
        """Record that journy.io accepted all of *item*, for `save` to store, unless another was queued since."""
        if isinstance(item, (UpsertUser, UpsertAccount)) and self._hasher is not None:
            for name in self._names(item, self._hasher):
                sent = self._sent.get(name)
                if sent is not None and sent.number == number:
                    del self._sent[name]
                    self._confirmed[name] = Confirmed(sent.digest, self._wall())

    def save(self) -> None:
        """Store the confirmations. Called before the items are reported as settled."""
        if self._confirmed and not 0 < self._again_at - self._wall() <= _PAUSE:
            self._save()

    def _save(self) -> None:
        try:
            self._hashes()
            if self._owed:
                self._forget(())
            self._digests.keep(self._confirmed, self._wall() + max(self._seconds, _KEPT))
            self._confirmed = {}
        except StoreError as error:  # retried later, with whatever is confirmed by then
            self._note(error)
            self._again_at = self._wall() + _PAUSE
            if len(self._confirmed) >= REMEMBERED:
                self._confirmed = {}

    def forget(self, item: Item) -> None:
        """Forget the identity of *item*, which was deleted or failed, so that its next upsert is sent."""
        if isinstance(item, (UpsertUser, UpsertAccount, DeleteUser, DeleteAccount)):
            try:
                names = self._names(item, self._hashes())
                for name in names:
                    self._sent.pop(name, None)
                    self._confirmed.pop(name, None)
                self._forget(names)
            except StoreError as error:
                self._note(error)

    def close(self, *, save: bool = True) -> None:
        """Store the remaining confirmations, unless *save* is false, and close the digests."""
        if self._confirmed and save:
            self._save()
        self._digests.close()

    def _hashes(self) -> Hasher:
        if self._hasher is None or self._stale:
            salt = self._digests.salt()
            if self._hasher is None or salt != self._salt:
                self._hasher, self._salt = Hasher(self._secret, salt, self._base_url), salt
                self._confirmed = {}  # their names were hashed with the old salt
            self._stale = False
        return self._hasher

    def _names(self, item: UpsertUser | UpsertAccount | DeleteUser | DeleteAccount, hasher: Hasher) -> list[bytes]:
        return [hasher.of_name(name) for name in names_of_subject(item)]

    def _forget(self, names: Iterable[bytes]) -> None:
        self._owed.update(names)
        self._digests.forget(self._owed)
        self._owed.clear()

    def _note(self, error: StoreError) -> None:
        self._stale = True
        self._notices.log(
            "state",
            "the record of what journy.io confirmed cannot be used: %s. Unchanged users and accounts are sent again.",
            error,
        )
