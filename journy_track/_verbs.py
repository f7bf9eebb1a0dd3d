"""The verbs: what a `Tracker` and the module can do, written once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, overload

from journy_track._capture.blocks import (
    account_of,
    account_or_unset,
    given,
    user_of,
    user_or_unset,
)
from journy_track._capture.context import UNSET, Unset
from journy_track._capture.records import Records, contain
from journy_track._model.arguments import membership_users, moment, text
from journy_track._model.call import Call as Item
from journy_track._model.errors import InvalidArgument, described
from journy_track._model.forks import importing
from journy_track._model.identity import AccountIdentified, Identifier, UserIdentified
from journy_track._model.items import (
    MOST_USERS,
    AddUsersToAccount,
    DeleteAccount,
    DeleteUser,
    Event,
    Link,
    RemoveUsersFromAccount,
    UpsertAccount,
    UpsertUser,
)

if TYPE_CHECKING:
    from journy_track._capture.decorators import Decorator
    from journy_track._capture.functions import F
    from journy_track._capture.options import AccountOption, Call, On, UserOption

User = Identifier | UserIdentified
Account = Identifier | AccountIdentified


class Verbs:
    """Events, users and accounts. Every verb is queued: none blocks, none raises for what journy.io answers.

    Wrong arguments raise `InvalidArgument`, naming the argument; values that cannot travel are left out and
    reported by the worker.
    """

    #: Where captured items go now; `None`: nowhere.
    recorder: Records | None

    # ── Events ──

    def track(
        self,
        name: str,
        mapping: Mapping[str, object] | None = None,
        /,
        *,
        user: User | None | Unset = UNSET,
        account: Account | None | Unset = UNSET,
        happened_at: datetime | None = None,
        after_commit: bool = False,
        **metadata: object,
    ) -> None:
        """Record an event, with user, account and metadata of the context.

        *name* is past tense: `signed_in`. *user* and *account* override the context; `None` is nobody.
        *happened_at* is when it happened, where that was not now; a naive datetime is local time. Metadata
        goes by keyword, or in *mapping* for keys that are no identifiers or that are options; the keyword wins.
        *after_commit*: sent when the surrounding database transaction commits, never when it does not, with the
        context and the time of now; at once outside one. Knows Django, and sessions of SQLAlchemy that were
        given to `journy_track.integrations.sqlalchemy.instrument_sqlalchemy`. Raises `InvalidArgument` for an empty
        name and for what is no user, account, moment or mapping.
        """
        name = text(name, "name")
        at = None if happened_at is None else moment(happened_at, "happened_at")
        whose = user_or_unset(user)
        self._record(Event, name, mapping, metadata, whose, account_or_unset(account), after_commit, at)

    @overload
    def track_event(self, function: F, /) -> F: ...

    @overload
    def track_event(
        self,
        name: str = ...,
        /,
        *,
        metadata: Mapping[str, object] | Callable[[Call], Mapping[str, object] | None] | None = None,
        capture: tuple[str, ...] | list[str] = (),
        user: UserOption | Unset = UNSET,
        account: AccountOption | Unset = UNSET,
        on: On = "success",
        duration: bool = False,
        when: Callable[[Call], object] | None = None,
        after_commit: bool = False,
        at_most_every: float | timedelta | None = None,
    ) -> Decorator: ...

    def track_event(self, name: Any = UNSET, /, **options: Any) -> Any:
        """Decorate a function: each call that ends as asked becomes an event.

        Works on functions, methods, classmethods and staticmethods in either order, coroutine functions,
        generators, async generators, partials and callables; none of them changes its signature or kind.
        *name* defaults to the function's. Nothing that goes wrong while capturing reaches the caller.

        *metadata*: a mapping, or a function of the finished `Call` that returns one. *capture*: names of
        arguments to record; nothing is captured unasked. *user*, *account*: an ID, or a function of the
        finished call. *on*: `"success"`, `"error"` (an `Exception` leaves; adds `error_type`) or `"always"`.
        *duration*: adds `duration_ms`. *when*: a predicate on the finished call. *after_commit*: as in `track()`.
        *at_most_every*: seconds or a timedelta: at most one event per name and complete identity enters delivery
        in that window, in this process.

        Raises `InvalidArgument` for classes, an empty name, an unknown option or argument in *capture*, and
        for objects that a framework has registered already.
        """
        with importing:  # with wrapt, which who only calls track() does not need
            from journy_track._capture.decorators import decorated

        return decorated(self, name, options)

    # ── Users and accounts ──

    def upsert_user(
        self,
        mapping: Mapping[str, object] | None = None,
        /,
        *,
        user: User | None | Unset = UNSET,
        after_commit: bool = False,
        **properties: object,
    ) -> None:
        """Create or update a user (the context's, unless *user* is given).

        `None` as a property's value deletes that property; an empty text is a value.
        """
        self._record(UpsertUser, "", mapping, properties, user_or_unset(user), None, after_commit)

    def upsert_account(
        self,
        mapping: Mapping[str, object] | None = None,
        /,
        *,
        account: Account | None | Unset = UNSET,
        after_commit: bool = False,
        **properties: object,
    ) -> None:
        """Create or update an account (the context's, unless *account* is given).

        `None` as a property's value deletes that property.
        """
        self._record(UpsertAccount, "", mapping, properties, None, account_or_unset(account), after_commit)

    def add_users_to_account(self, account: Account, users: Iterable[User], *, after_commit: bool = False) -> None:
        """Make *users* (any number, IDs or `UserIdentified`) members of *account*."""
        self._membership(AddUsersToAccount, account, users, after_commit)

    def remove_users_from_account(
        self, account: Account, users: Iterable[User], *, after_commit: bool = False
    ) -> None:
        """Mark *users* (any number, IDs or `UserIdentified`) as removed from *account*. The users stay."""
        self._membership(RemoveUsersFromAccount, account, users, after_commit)

    def link(self, device_id: str | None, *, user: User | None | Unset = UNSET, after_commit: bool = False) -> None:
        """Join the web activity of a device to the user, as in ``link(request.cookies.get("__journey"))``.

        No device: silently nothing.
        """
        if device_id is not None and device_id != "":
            self._record(Link, text(device_id, "device_id"), None, None, user_or_unset(user), None, after_commit)

    def delete_user(self, user: User, /, *, after_commit: bool = False) -> None:
        """Delete a user: an ID or a `UserIdentified`. Never reads the context, and refuses `None`."""
        self._record(DeleteUser, "", None, None, _needed(user_of(user), "user"), None, after_commit)

    def delete_account(self, account: Account, /, *, after_commit: bool = False) -> None:
        """Delete an account: an ID or an `AccountIdentified`. Never reads the context, and refuses `None`."""
        self._record(DeleteAccount, "", None, None, None, _needed(account_of(account), "account"), after_commit)

    # ── Inside ──

    def _membership(
        self,
        kind: type[AddUsersToAccount | RemoveUsersFromAccount],
        account: Account,
        users: Iterable[User],
        after_commit: bool,
    ) -> None:
        where = _needed(account_of(account), "account")
        if not isinstance(users, (str, bytes)) and isinstance(users, Iterable):
            users = tuple(users)
            if not users:
                return
        taken = membership_users(users)
        for start in range(0, len(taken), MOST_USERS):
            self._record(kind, taken[start : start + MOST_USERS], None, None, None, where, after_commit)

    def _record(
        self,
        kind: type[Item],
        subject: Any,
        mapping: Mapping[str, object] | None,
        values: dict[str, object] | None,
        user: Any,
        account: Any,
        after_commit: bool,
        happened_at: datetime | None = None,
    ) -> None:
        if after_commit and after_commit is not True:
            raise InvalidArgument(f"after_commit must be True or False, got {described(after_commit)}")
        recorder = self.recorder
        try:
            # A mapping may be the app's own, and read what it gives from anywhere.
            merged = values if mapping is None else given(mapping, values or {})
            if recorder is None:
                return
            if after_commit:
                recorder = recorder.after_commit
            recorder.record(kind, subject, merged, user, account, None, happened_at)
        except InvalidArgument:
            raise
        except Exception as error:  # noqa: BLE001 - contained: tracking never fails the app
            if recorder is not None:
                contain(recorder, error, str(subject) if kind is Event else kind.operation, "capturing")


def _needed(value: Any, argument: str) -> Any:
    if value is None:
        raise InvalidArgument(f"{argument} is required and must not be None: this call asks no context")
    return value
