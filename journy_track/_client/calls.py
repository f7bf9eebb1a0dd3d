"""The clients' calls: each checks the arguments of a client method, and knows how to read the response."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from journy_track._model.arguments import membership_users
from journy_track._model.call import ApiCall
from journy_track._model.errors import InvalidArgument, described
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
from journy_track._model.outcomes import Deferred, Delivered, Outcome, Response, Unauthorized
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
    APIResult,
    DefinitionGroup,
    Failure,
    NamedDefinition,
    PropertyDefinition,
    Success,
    TrackingSnippet,
)

T = TypeVar("T")
Properties = Mapping[str, object] | None
Users = Iterable[UserIdentified | Identifier]


@dataclass(frozen=True, slots=True)
class Ask(Generic[T]):
    """A call, and the function that reads the data of its response."""

    call: ApiCall
    read: Callable[[Any], T]

    def result(self, outcome: Outcome) -> APIResult[T]:
        """Convert *outcome* to the result that the caller gets."""
        if isinstance(outcome, Delivered):
            response = outcome.response
            try:
                data = self.read(response.data)
            except (KeyError, TypeError, ValueError, AttributeError):
                return _failure(response, APIError.UnknownError, "the response has an unexpected form")
            return Success(
                data, response.request_id, response.calls_remaining, response.rejected, response.calls_limit
            )
        refused = outcome.response
        reason = "the key was refused" if isinstance(outcome, Unauthorized) else outcome.reason
        if refused is None:
            timed_out = isinstance(outcome, Deferred) and outcome.timed_out
            return Failure(APIError.Timeout if timed_out else APIError.ConnectionFailed, reason)
        return _failure(refused, APIError.of_status(refused.status), refused.message or reason)


def _failure(response: Response, error: APIError, message: str) -> Failure:
    return Failure(
        error,
        message,
        response.status,
        response.request_id,
        response.calls_remaining,
        response.fields,
        response.calls_limit,
    )


# ── What the responses hold ──────────────────────────────────────────────────────────────────────────────


def _nothing(_: Any) -> None:
    return None


def _api_key_details(data: Any) -> ApiKeyDetails:
    return ApiKeyDetails(tuple(str(permission) for permission in data["permissions"]))


def _tracking_snippet(data: Any) -> TrackingSnippet:
    return TrackingSnippet(str(data["domain"]), str(data["snippet"]))


def _named(data: Any) -> tuple[NamedDefinition, ...]:
    return tuple(NamedDefinition(str(row["id"]), str(row["name"]), _group(row)) for row in data)


def _property_definitions(data: Any) -> tuple[PropertyDefinition, ...]:
    return tuple(
        PropertyDefinition(str(row["name"]), str(row["label"]), bool(row["isComputed"]), _group(row)) for row in data
    )


def _group(row: Any) -> DefinitionGroup | None:
    group = row.get("group")
    return None if not group else DefinitionGroup(str(group["id"]), str(group["name"]))


# ── The calls ────────────────────────────────────────────────────────────────────────────────────────────

API_KEY_DETAILS: Final = Ask(GetApiKeyDetails(), _api_key_details)
EVENTS: Final = Ask(GetEvents(), _named)
USER_PROPERTIES: Final = Ask(GetUserProperties(), _property_definitions)
ACCOUNT_PROPERTIES: Final = Ask(GetAccountProperties(), _property_definitions)
USER_SEGMENTS: Final = Ask(GetUserSegments(), _named)
ACCOUNT_SEGMENTS: Final = Ask(GetAccountSegments(), _named)


def upsert_user(user_id: Identifier | None, email: str | None, properties: Properties) -> Ask[None]:
    """The call for `upsert_user()`. Raises `InvalidArgument`, as all of the following functions do."""
    return Ask(UpsertUser(UserIdentified(user_id, email), _given(properties)), _nothing)


def delete_user(user_id: Identifier | None, email: str | None) -> Ask[None]:
    return Ask(DeleteUser(UserIdentified(user_id, email)), _nothing)


def upsert_account(account_id: Identifier | None, domain: str | None, properties: Properties) -> Ask[None]:
    return Ask(UpsertAccount(AccountIdentified(account_id, domain), _given(properties)), _nothing)


def delete_account(account_id: Identifier | None, domain: str | None) -> Ask[None]:
    return Ask(DeleteAccount(AccountIdentified(account_id, domain)), _nothing)


def add_users_to_account(account: AccountIdentified | Identifier, users: Users) -> Ask[None]:
    return Ask(AddUsersToAccount(_account(account), membership_users(users)), _nothing)


def remove_users_from_account(account: AccountIdentified | Identifier, users: Users) -> Ask[None]:
    return Ask(RemoveUsersFromAccount(_account(account), membership_users(users)), _nothing)


def link(device_id: str, user_id: Identifier | None, email: str | None) -> Ask[None]:
    return Ask(Link(device_id, UserIdentified(user_id, email)), _nothing)


def add_event(event: Event) -> Ask[None]:
    if not isinstance(event, Event):
        raise InvalidArgument(f"event must be an Event, got {described(event)}: use Event.for_user(…)")
    return Ask(event, _nothing)


def tracking_snippet(domain: str) -> Ask[TrackingSnippet]:
    return Ask(GetTrackingSnippet(domain), _tracking_snippet)


def _given(properties: Properties) -> Mapping[str, Any]:
    return {} if properties is None else properties


def _account(account: Any) -> AccountIdentified:
    return account if isinstance(account, AccountIdentified) else AccountIdentified.by_account_id(account)
