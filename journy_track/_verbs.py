"""The verbs that `Tracker` and the `journy_track` module share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, overload

from journy_track._capture import mistakes
from journy_track._capture.attributes import UNSET, Unset
from journy_track._capture.inputs import account_of, check_mapping, declaration_of, event_of, user_of
from journy_track._capture.lookalikes import are_plain, look_at
from journy_track._capture.own_code import uncaptured
from journy_track._capture.records import Records, contain
from journy_track._capture.targets import salvaged, target_of
from journy_track._model.arguments import check_flag, moment, several, text
from journy_track._model.call import ApiCall
from journy_track._model.forks import importing
from journy_track._model.identity import AccountIdentified, Identifier, UserIdentified
from journy_track._model.items import (
    MAX_USERS,
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
    from journy_track._capture.typed import EventObject

    T = TypeVar("T")

User = Identifier | UserIdentified
Account = Identifier | AccountIdentified


class Verbs:
    """Events, users and accounts. Every call is queued: it neither blocks nor raises.

    If a value is wrong, such as an empty ID, the item is sent without it, provided that it still makes sense.
    Otherwise it is dropped and counted as `invalid`. Either way, the place in your code is logged. While `strict`,
    the call raises `InvalidArgument` instead. The worker leaves out and logs metadata and property values that cannot
    be sent.
    """

    #: Where captured items go now; `None`: nothing is captured.
    recorder: Records | None

    # ── Events ──

    @overload
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
    ) -> None: ...

    @overload
    def track(
        self,
        event: EventObject,
        /,
        *,
        user: User | None | Unset = UNSET,
        account: Account | None | Unset = UNSET,
        happened_at: datetime | None = None,
        after_commit: bool = False,
    ) -> None: ...

    @overload
    def track(
        self,
        declared: type[T],
        event: T,
        /,
        *,
        user: User | None | Unset = UNSET,
        account: Account | None | Unset = UNSET,
        happened_at: datetime | None = None,
        after_commit: bool = False,
    ) -> None: ...

    def track(
        self,
        name: Any,
        mapping: Any = None,
        /,
        *,
        user: User | None | Unset = UNSET,
        account: Account | None | Unset = UNSET,
        happened_at: datetime | None = None,
        after_commit: bool = False,
        **metadata: object,
    ) -> None:
        """Record an event, with the user, account and metadata of the context.

        *name* should be in the past tense: `signed_in`. *user* and *account* override the context; `None` means none.
        *happened_at* is when it happened, if not now; a naive datetime is taken as local time. Pass metadata by
        keyword, or in *mapping* if a key is not an identifier or is the name of an option; a keyword overrides
        *mapping*. *after_commit*: send the event when the surrounding database transaction commits, with the context
        and time of this call, and drop it if the transaction rolls back; outside a transaction, send it at once. This
        works with Django, and with SQLAlchemy sessions that were passed to
        `journy_track.integrations.sqlalchemy.instrument_sqlalchemy`.

        Instead of a name, pass a typed event (see `event`): ``track(SignedUp(plan="pro"))``. For a TypedDict, pass
        its class first: ``track(SignedUp, SignedUp(plan="pro"))``.

        A wrong *happened_at* is replaced by the current time. With a wrong *user* the event is about the account
        only, never about the context's user. While `strict`, both raise `InvalidArgument`.
        """
        self._record(Event, name, mapping, metadata, user, account, after_commit, happened_at)

    @overload
    def track_event(self, function: F, /) -> F: ...

    @overload
    def track_event(
        self,
        declared: type[Any],
        /,
        *,
        user: UserOption | Unset = UNSET,
        account: AccountOption | Unset = UNSET,
        duration: bool = False,
        when: Callable[[Call], object] | None = None,
        after_commit: bool = False,
        at_most_every: float | timedelta | None = None,
    ) -> Decorator: ...

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
        """Decorate a function: each call whose outcome matches *on* becomes an event.

        Works on functions, methods, classmethods and staticmethods (above or below those decorators), coroutine
        functions, generators, async generators, partials and callables, and keeps their signature and kind. *name*
        defaults to the function's name. Errors while capturing never reach the caller.

        A call that returns a task or a future ends when the task or future is done. A call that returns a context
        manager made by `contextlib.contextmanager` ends with its `with` block.

        *metadata*: a mapping, or a function of the finished `Call` that returns one. *capture*: names of the
        arguments to record; others are not recorded. *user*, *account*: an ID, or a function of the finished call.
        *on*: `"success"`, `"error"` (the call raises an `Exception`; adds `error_type`) or `"always"`.
        *duration*: adds `duration_ms`. *when*: a predicate on the finished call. *after_commit*: as in `track()`.
        *at_most_every*: seconds or a timedelta. In that time, this process delivers at most one event per name, user
        and account.

        With the class of a typed event (see `event`) in place of *name*, each event of that class that the function
        returns or yields is tracked. The function may return `None` for no event. *metadata*, *capture* and *on* are
        then not available.

        Raises `InvalidArgument` for classes, an empty name, an unknown option, an argument in *capture* that the
        function does not have (or whose value a decorator below may hide), and for objects that a framework has
        already registered.
        """
        with importing:  # apps that only call track() do not need it
            from journy_track._capture import decorators

        # Check the type only: a lazy object must not be evaluated.
        declaration = declaration_of(name) if issubclass(type(name), type) else None
        if declaration is not None:
            with importing:
                from journy_track._capture import typed_calls

            return typed_calls.track_event(self, declaration, options)
        return decorators.track_event(self, name, options)

    # ── Users and accounts ──

    def upsert_user(
        self,
        mapping: Mapping[str, object] | None = None,
        /,
        *,
        user: User | None | Unset = UNSET,
        user_id: Identifier | None | Unset = UNSET,
        email: str | None = None,
        after_commit: bool = False,
        **properties: object,
    ) -> None:
        """Create or update a user: the context's user, unless *user* or *user_id* names one.

        *email* is that user's address; without an ID it identifies the user. A property whose value is `None` is
        deleted; an empty string is a value. If a property has the name of one of these arguments, pass it in
        *mapping*.
        """
        self._record(UpsertUser, email, mapping, properties, user, None, after_commit, named=user_id)

    def upsert_account(
        self,
        mapping: Mapping[str, object] | None = None,
        /,
        *,
        account: Account | None | Unset = UNSET,
        account_id: Identifier | None | Unset = UNSET,
        domain: str | None = None,
        after_commit: bool = False,
        **properties: object,
    ) -> None:
        """Create or update an account: the context's account, unless *account* or *account_id* names one.

        *domain* is the account's domain; without an ID it identifies the account. A property whose value is `None` is
        deleted. If a property has the name of one of these arguments, pass it in *mapping*.
        """
        self._record(UpsertAccount, domain, mapping, properties, None, account, after_commit, named=account_id)

    def add_users_to_account(self, account: Account, users: Iterable[User], *, after_commit: bool = False) -> None:
        """Make *users* (any number, IDs or `UserIdentified`) members of *account*."""
        self._membership(AddUsersToAccount, account, users, after_commit)

    def remove_users_from_account(
        self, account: Account, users: Iterable[User], *, after_commit: bool = False
    ) -> None:
        """Mark *users* (any number, IDs or `UserIdentified`) as removed from *account*. The users themselves stay."""
        self._membership(RemoveUsersFromAccount, account, users, after_commit)

    def link(self, device_id: str | None, *, user: User | None | Unset = UNSET, after_commit: bool = False) -> None:
        """Link the web activity of a device to the user, as in ``link(request.cookies.get("__journey"))``.

        Does nothing if *device_id* is `None` or empty.
        """
        self._record(Link, device_id, None, None, user, None, after_commit)

    def delete_user(self, user: User, /, *, after_commit: bool = False) -> None:
        """Delete a user: an ID or a `UserIdentified`. Ignores the context, and does not accept `None`."""
        self._record(DeleteUser, "", None, None, user, None, after_commit)

    def delete_account(self, account: Account, /, *, after_commit: bool = False) -> None:
        """Delete an account: an ID or an `AccountIdentified`. Ignores the context, and does not accept `None`."""
        self._record(DeleteAccount, "", None, None, None, account, after_commit)

    # ── Inside ──

    @property
    def strict(self) -> bool:
        """Whether wrong values raise where they are passed. Without settings, they do while tests run."""
        return mistakes.tests_run()

    def _membership(
        self,
        kind: type[AddUsersToAccount | RemoveUsersFromAccount],
        account: Account,
        users: Iterable[User],
        after_commit: bool,
    ) -> None:
        try:
            users = several(users)  # iterate here, and only once: it may be a generator
        except Exception as error:
            if self.strict:
                raise
            self._drop(self.recorder, kind, error)
            return
        self._record(kind, users, None, None, None, account, after_commit)

    def _record(
        self,
        kind: type[ApiCall],
        subject: Any,
        mapping: Mapping[str, object] | None,
        values: dict[str, object] | None,
        user: Any,
        account: Any,
        after_commit: bool,
        happened_at: datetime | None = None,
        *,
        named: Any = UNSET,
    ) -> None:
        recorder = self.recorder
        at = None
        try:
            if kind is Event:  # inlined: the hot path
                if type(subject) is not str or not subject.isidentifier():  # most are identifiers, and valid
                    subject, mapping = event_of(subject, mapping)
                    subject = text(subject, "name")
                if user is not UNSET:
                    user = user_of(user)
                if account is not UNSET:
                    account = account_of(account)
                if happened_at is not None:
                    at = uncaptured(moment, happened_at, "happened_at")  # its time zone may be a class of the app
            else:
                target = target_of(kind, subject, user, account, named)
                if target is None:
                    return
                subject, user, account = target
            if mapping is not None:
                check_mapping(mapping)
            if after_commit is not False:
                check_flag(after_commit, "after_commit")
            if recorder is not None:
                self._keep(recorder, kind, subject, mapping, values, user, account, after_commit, at)
        except Exception as error:
            given = kind, subject, mapping, user, account, named, after_commit, happened_at
            if not self._went_on(recorder, kind, given, values, error):
                raise

    def _keep(
        self,
        recorder: Records,
        kind: type[ApiCall],
        subject: Any,
        mapping: Mapping[str, object] | None,
        values: dict[str, object] | None,
        user: Any,
        account: Any,
        after_commit: bool,
        at: datetime | None,
    ) -> None:
        """Pass the checked arguments to *recorder*. Contains any exception."""
        try:
            if values and kind is Event and not are_plain(values):
                look_at("track", subject, values)
            if mapping is not None:
                if type(mapping) is dict and not values:
                    values = mapping.copy()
                else:  # it may be a class of the app, which may run any code
                    values = uncaptured(_merged, mapping, values or {})
            if after_commit:
                recorder = recorder.after_commit
            if type(subject) is tuple:
                for start in range(0, len(subject), MAX_USERS):
                    recorder.record(kind, subject[start : start + MAX_USERS], None, None, account)
            else:
                recorder.record(kind, subject, values, user, account, None, at)
        except Exception as error:  # noqa: BLE001 - contained: tracking never fails the app
            contain(recorder, error, subject if kind is Event else kind.operation, "capturing")

    def _went_on(
        self,
        recorder: Records | None,
        kind: type[ApiCall],
        given: tuple[Any, ...],
        values: dict[str, object] | None,
        mistake: Exception,
    ) -> bool:
        """Record what is usable of a call with wrong values, or drop it. Returns false if the call must raise."""
        try:
            if self.strict:
                return False
            if recorder is None:
                return True
            left = uncaptured(salvaged, *given)
            if left.target is not None:
                if left.unusable:
                    mistakes.log_mistake(f"{kind.operation}()", mistake, f"it was recorded without {left.without}")
                subject, user, account = left.target
                self._keep(recorder, kind, subject, left.mapping, values, user, account, left.after_commit, left.at)
            elif left.unusable:
                self._drop(recorder, kind, mistake)
        except Exception as error:  # noqa: BLE001 - contained, as above
            if recorder is not None:
                contain(recorder, error, kind.operation, "checking")
        return True

    def _drop(self, recorder: Records | None, kind: type[ApiCall], mistake: Exception) -> None:
        if recorder is not None:
            recorder.refuse("invalid")
            mistakes.log_mistake(f"{kind.operation}()", mistake, "it was dropped, and counted as invalid")


def _merged(mapping: Mapping[str, object], values: dict[str, object]) -> dict[str, object]:
    return {**mapping, **values}


for _verb in [value for name, value in vars(Verbs).items() if callable(value) and not name.startswith("_")]:
    _verb.__qualname__ = _verb.__name__  # as users call it: Python's TypeErrors show it
