"""Every API call, at once, with a result: the official SDKs' calls and the API's read calls."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from journy_track._delivery.budget import budgets_of
from journy_track._model.arguments import membership_users
from journy_track._model.call import Call
from journy_track._model.checks import is_http_client
from journy_track._model.config import DEFAULT_BASE_URL, Config
from journy_track._model.errors import InvalidArgument, described
from journy_track._model.http import HttpClient
from journy_track._model.identity import AccountIdentified, Identifier, UserIdentified
from journy_track._model.items import (
    AddUsersToAccount,
    DeleteAccount,
    DeleteUser,
    Event,
    Link,
    RemoveUsersFromAccount,
    UpsertAccount,
    UpsertUser,
)
from journy_track._model.logs import say
from journy_track._model.outcomes import Answer, Deferred, Delivered, Outcome, Unauthorized
from journy_track._model.reads import (
    GetAccountProperties,
    GetAccountSegments,
    GetApiKeyDetails,
    GetEvents,
    GetTrackingSnippet,
    GetUserProperties,
    GetUserSegments,
)
from journy_track._model.results import (
    APIError,
    ApiKeyDetails,
    Failure,
    Group,
    Named,
    PropertyDefinition,
    Result,
    Success,
    TrackingSnippet,
)
from journy_track._model.secret import Secret
from journy_track._transport.http import HttpTransport

T = TypeVar("T")
Properties = Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The settings of a `Client`. *timeout* is seconds for one request, connecting and reading. It does not bound
    looking up the host's name: the system's resolver cannot be interrupted.

    The key shows as ``***``. Raises `ConfigurationError` for an empty one and for plain http:// to another
    machine (see *allow_http*).
    """

    api_key: str | Secret
    base_url: str = DEFAULT_BASE_URL
    timeout: float = 10.0
    allow_http: bool = False

    def __post_init__(self) -> None:
        settings: Any = {
            "base_url": self.base_url,
            "timeout": self.timeout,
            "allow_http": self.allow_http,
            "required": True,
        }
        checked = Config.load(self.api_key, settings, environ={})
        set_ = object.__setattr__
        set_(self, "base_url", checked.base_url)
        set_(self, "timeout", checked.timeout)
        set_(self, "api_key", checked.usable_key)  # a Secret, which does not show


class Client:
    """Calls the API and waits for the answer. Thread-safe; close it, or use it in a `with` block.

    Each call answers a `Success` or a `Failure`; a call that fails never raises. It takes the config's *timeout* at
    most, and what the system needs to look up the host's name, which cannot be interrupted. A required argument
    that is missing or empty raises `InvalidArgument` before anything is sent.
    """

    def __init__(self, http_client: HttpClient | None, config: ClientConfig) -> None:
        """*http_client* carries the requests; `None` is ours, on requests. Raises `InvalidArgument`."""
        if not isinstance(config, ClientConfig):
            raise InvalidArgument(f"config must be a ClientConfig, got {type(config).__name__}")
        if http_client is not None and not is_http_client(http_client):
            raise InvalidArgument(f"http_client must have send(request) and close(), got {described(http_client)}")
        self.config = config
        assert isinstance(config.api_key, Secret), "a ClientConfig that was checked"
        self._key = config.api_key
        self._transport = HttpTransport(config.api_key, config.base_url, config.timeout, http_client)

    @classmethod
    def with_defaults(cls, api_key: str) -> Self:
        """A client of https://api.journy.io with this key. Raises `ConfigurationError` when it is empty."""
        return cls(None, ClientConfig(api_key))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<journy_track.Client {self.config.base_url}>"

    def close(self) -> None:
        """Close the connections. A custom HTTP client stays open: it is yours."""
        self._transport.close()

    # ── The calls of the official SDKs ──

    def get_api_key_details(self) -> Result[ApiKeyDetails]:
        """What the key may do: `data.permissions`."""
        return self._call(GetApiKeyDetails(), _api_key_details)

    def upsert_user(
        self, *, user_id: Identifier | None = None, email: str | None = None, properties: Properties = None
    ) -> Result[None]:
        """Create or update a user. `None` as a property's value deletes that property."""
        return self._call(UpsertUser(UserIdentified(user_id, email), _given(properties)), _nothing)

    def delete_user(self, *, user_id: Identifier | None = None, email: str | None = None) -> Result[None]:
        """Delete a user."""
        return self._call(DeleteUser(UserIdentified(user_id, email)), _nothing)

    def upsert_account(
        self,
        *,
        account_id: Identifier | None = None,
        domain: str | None = None,
        properties: Properties = None,
    ) -> Result[None]:
        """Create or update an account. `None` as a property's value deletes that property."""
        return self._call(UpsertAccount(AccountIdentified(account_id, domain), _given(properties)), _nothing)

    def delete_account(self, *, account_id: Identifier | None = None, domain: str | None = None) -> Result[None]:
        """Delete an account."""
        return self._call(DeleteAccount(AccountIdentified(account_id, domain)), _nothing)

    def add_users_to_account(
        self, account: AccountIdentified | Identifier, users: Iterable[UserIdentified | Identifier]
    ) -> Result[None]:
        """Make 1 to 100 users (IDs or `UserIdentified`) members of an account."""
        return self._call(AddUsersToAccount(_account(account), membership_users(users)), _nothing)

    def remove_users_from_account(
        self, account: AccountIdentified | Identifier, users: Iterable[UserIdentified | Identifier]
    ) -> Result[None]:
        """Mark 1 to 100 users (IDs or `UserIdentified`) as removed from an account. The users stay."""
        return self._call(RemoveUsersFromAccount(_account(account), membership_users(users)), _nothing)

    def link(self, *, device_id: str, user_id: Identifier | None = None, email: str | None = None) -> Result[None]:
        """Join the web activity of a device (the cookie `__journey`) to a user."""
        return self._call(Link(device_id, UserIdentified(user_id, email)), _nothing)

    def add_event(self, event: Event) -> Result[None]:
        """Send an event. Without `happened_at()` it carries no time, and the API takes its own now."""
        if not isinstance(event, Event):
            raise InvalidArgument(f"event must be an Event, got {described(event)}: use Event.for_user(…)")
        return self._call(event, _nothing)

    def get_tracking_snippet(self, *, domain: str) -> Result[TrackingSnippet]:
        """The HTML snippet of a website."""
        return self._call(GetTrackingSnippet(domain), _tracking_snippet)

    # ── The API's read calls ──

    def get_events(self) -> Result[tuple[Named, ...]]:
        """The events that the business has defined."""
        return self._call(GetEvents(), _named)

    def get_user_properties(self) -> Result[tuple[PropertyDefinition, ...]]:
        """The properties of users."""
        return self._call(GetUserProperties(), _property_definitions)

    def get_account_properties(self) -> Result[tuple[PropertyDefinition, ...]]:
        """The properties of accounts."""
        return self._call(GetAccountProperties(), _property_definitions)

    def get_user_segments(self) -> Result[tuple[Named, ...]]:
        """The segments of users."""
        return self._call(GetUserSegments(), _named)

    def get_account_segments(self) -> Result[tuple[Named, ...]]:
        """The segments of accounts."""
        return self._call(GetAccountSegments(), _named)

    def _call(self, call: Call, read: Callable[[Any], T]) -> Result[T]:
        converted, problems = call.converted()
        for key, reason in problems:
            say(logging.WARNING, "%s: the value of %r was left out: %s", call.label(), key, reason)
        # At once, whatever the pace: somebody waits. What it costs the key, the trackers' pacers learn.
        budgets = budgets_of(self.config.base_url, self._key)
        for budget in budgets:
            budget.spend()
        answer = None
        try:
            outcome = self._transport.send(converted)
            answer = outcome.answer
        finally:
            for budget in budgets:
                budget.answered(answer)
        return _result(outcome, read)


def _result(outcome: Outcome, read: Callable[[Any], T]) -> Result[T]:
    if isinstance(outcome, Delivered):
        answer = outcome.answer
        try:
            data = read(answer.data)
        except (KeyError, TypeError, ValueError, AttributeError):
            return _failure(answer, APIError.UnknownError, "the answer has another form than expected")
        return Success(data, answer.request_id, answer.calls_remaining, answer.rejected)
    refused = outcome.answer
    reason = "the key was refused" if isinstance(outcome, Unauthorized) else outcome.reason
    if refused is None:
        timed_out = isinstance(outcome, Deferred) and outcome.timed_out
        return Failure(APIError.Timeout if timed_out else APIError.ConnectionFailed, reason)
    return _failure(refused, APIError.of_status(refused.status), refused.message or reason)


def _failure(answer: Answer, error: APIError, message: str) -> Failure:
    return Failure(error, message, answer.status, answer.request_id, answer.calls_remaining, answer.fields)


def _given(properties: Properties) -> Mapping[str, Any]:
    return {} if properties is None else properties


def _account(account: Any) -> AccountIdentified:
    return account if isinstance(account, AccountIdentified) else AccountIdentified.by_account_id(account)


# ── What the answers hold ────────────────────────────────────────────────────────────────────────────────


def _nothing(_: Any) -> None:
    return None


def _api_key_details(data: Any) -> ApiKeyDetails:
    return ApiKeyDetails(tuple(str(permission) for permission in data["permissions"]))


def _tracking_snippet(data: Any) -> TrackingSnippet:
    return TrackingSnippet(str(data["domain"]), str(data["snippet"]))


def _named(data: Any) -> tuple[Named, ...]:
    return tuple(Named(str(row["id"]), str(row["name"]), _group(row)) for row in data)


def _property_definitions(data: Any) -> tuple[PropertyDefinition, ...]:
    return tuple(
        PropertyDefinition(str(row["name"]), str(row["label"]), bool(row["isComputed"]), _group(row)) for row in data
    )


def _group(row: Any) -> Group | None:
    group = row.get("group")
    return None if not group else Group(str(group["id"]), str(group["name"]))
