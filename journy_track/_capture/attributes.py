"""User, account and metadata as one value, as set by a block, a request or an actor."""

from __future__ import annotations

from enum import Enum
from typing import Final

from journy_track._model.frozendict import FrozenDict
from journy_track._model.identity import AccountIdentified, UserIdentified


class Unset(Enum):
    """Marks an argument that was left out, since `None` means no user or account."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
_EMPTY: Final = FrozenDict()


class Attributes:
    """User, account and metadata. Immutable. With `UNSET`, the user or account of the layer beneath applies."""

    # Not a frozen dataclass: setting its fields would take four times as long, and each block creates one.
    __slots__ = ("account", "measured", "metadata", "user")

    #: Whether nothing is captured in the layers above this one.
    suppressed: bool = False

    def __init__(
        self,
        user: UserIdentified | None | Unset = UNSET,
        account: AccountIdentified | None | Unset = UNSET,
        metadata: FrozenDict = _EMPTY,
    ) -> None:
        self.user: UserIdentified | None | Unset = user
        self.account: AccountIdentified | None | Unset = account
        self.metadata: FrozenDict = metadata
        #: The last result of `measure()`; -1 before the first call. Most blocks see no event and are never measured.
        self.measured: int = -1

    def measure(self) -> int:
        """Return about how many bytes of this an item captured with it keeps alive."""
        size = text_size(self.metadata) + identity_size(self.user) + identity_size(self.account)
        self.measured = size
        return size

    def over(self, beneath: Attributes) -> Attributes:
        """These attributes, filled in from *beneath* where nothing is set here."""
        if beneath is NO_ATTRIBUTES:
            return self
        if self is NO_ATTRIBUTES:
            return beneath
        user, account, metadata = self.user, self.account, self.metadata
        kind = Suppressed if beneath.suppressed else Attributes
        return kind(
            beneath.user if user is UNSET else user,
            beneath.account if account is UNSET else account,
            FrozenDict({**beneath.metadata, **metadata}) if metadata else beneath.metadata,
        )


class Suppressed(Attributes):
    """The attributes of a skipped request, or of a carrier from code in which nothing is tracked."""

    __slots__ = ()

    suppressed = True


NO_ATTRIBUTES: Final = Attributes()
NOTHING_TRACKED: Final = Suppressed()


def text_size(metadata: FrozenDict) -> int:
    """About how many bytes of text *metadata* holds, which an item that shares it may keep alive."""
    return sum(byte_size(key) + (byte_size(value) if type(value) is str else 16) for key, value in metadata.items())


def identity_size(who: UserIdentified | AccountIdentified | None | Unset) -> int:
    """About how many bytes of text *who* takes, including the names under which the outbox orders it."""
    if who is None or who is UNSET:
        return 0
    key, other = (who.user_id, who.email) if isinstance(who, UserIdentified) else (who.account_id, who.domain)
    return 3 * ((byte_size(key) if key else 0) + (byte_size(other) if other else 0))


def byte_size(text: str) -> int:
    """The most bytes that *text* can take: one per character in ASCII, otherwise up to four."""
    return len(text) if text.isascii() else 4 * len(text)
