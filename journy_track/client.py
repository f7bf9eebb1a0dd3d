"""Clients that call the API directly and return results: the official SDKs' calls and the API's read calls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from os import getpid
from types import TracebackType
from typing import Any, Self, TypeVar

from journy_track._client import calls
from journy_track._client.calls import Ask, Properties
from journy_track._client.threads import NoThread, Threads, finished
from journy_track._delivery.budget import budgets_of
from journy_track._model.call import ApiCall
from journy_track._model.checks import is_http_client
from journy_track._model.config import DEFAULT_BASE_URL, Config
from journy_track._model.errors import InvalidArgument, described
from journy_track._model.http import HttpClient
from journy_track._model.identity import AccountIdentified, Identifier, UserIdentified
from journy_track._model.items import Event
from journy_track._model.notices import Notices
from journy_track._model.once import also_forget
from journy_track._model.outcomes import Deferred, Outcome
from journy_track._model.results import ApiKeyDetails, APIResult, NamedDefinition, PropertyDefinition, TrackingSnippet
from journy_track._model.secret import Secret, hidden
from journy_track._transport.rest import HttpTransport, requests_client

T = TypeVar("T")


@dataclass(frozen=True, slots=True, init=False)
class ClientConfig:
    """The settings of a `Client` or an `AsyncClient`.

    *timeout* is the seconds for connecting and reading in one request. It does not include resolving the host name:
    the system's resolver cannot be interrupted. *max_connections* is how many connections are kept open and, for an
    `AsyncClient`, how many requests are made at once.

    The key is shown as ``***``; a trailing line break is removed. Raises `ConfigurationError` for an empty key and
    for plain http:// to another machine (see *allow_http*).
    """

    api_key: str | Secret
    base_url: str = DEFAULT_BASE_URL
    timeout: float = 10.0
    allow_http: bool = False
    max_connections: int = 8

    # Written by hand: in a generated __init__, the key would be a local variable in the traceback of a wrong setting.
    def __init__(
        self,
        api_key: str | Secret,
        base_url: str = DEFAULT_BASE_URL,
        timeout: float = 10.0,
        allow_http: bool = False,
        max_connections: int = 8,
    ) -> None:
        api_key, base_url = hidden(api_key), hidden(base_url)
        settings: Any = {
            "base_url": base_url,
            "timeout": timeout,
            "allow_http": allow_http,
            "max_connections": max_connections,
        }
        for name, value in (("api_key", api_key), *settings.items()):  # first, so that it has a repr
            object.__setattr__(self, name, value)
        checked = Config.load(api_key, settings | {"required": True}, environ={})
        for name in settings:
            object.__setattr__(self, name, getattr(checked, name))
        object.__setattr__(self, "api_key", checked.usable_key)


class _Caller:
    """The common base of both clients: holds the settings and the connections, and makes one call."""

    config: ClientConfig

    def __init__(self, http_client: HttpClient | None, config: ClientConfig) -> None:
        """*http_client* sends the requests; `None` uses the built-in one. Raises `InvalidArgument`."""
        if not isinstance(config, ClientConfig):
            raise InvalidArgument(f"config must be a ClientConfig, got {type(config).__name__}")
        if http_client is not None and not is_http_client(http_client):
            raise InvalidArgument(f"http_client must have send(request) and close(), got {described(http_client)}")
        self.config = config
        assert isinstance(config.api_key, Secret), "a ClientConfig that was checked"
        self._key = config.api_key
        make_client = partial(requests_client, config.max_connections)
        self._transport = HttpTransport(config.api_key, config.base_url, config.timeout, http_client, make_client)

    @classmethod
    def with_defaults(cls, api_key: str) -> Self:
        """A client of https://api.journy.io with this key. Raises `ConfigurationError` if the key is empty."""
        api_key = hidden(api_key)  # first: no error report must show it
        return cls(None, ClientConfig(api_key))

    def __repr__(self) -> str:
        return f"<journy_track.{type(self).__name__} {self.config.base_url}>"

    def _exchange(self, call: ApiCall) -> Outcome:
        # Not paced, since the caller is waiting. The request still counts against the key's budget.
        budgets = budgets_of(self.config.base_url, self._key)
        for budget in budgets:
            budget.spend()
        response = None
        try:
            outcome = self._transport.send(call, interruptible=True)
            response = outcome.response
        finally:
            for budget in budgets:
                budget.responded(response)
        return outcome


_notices = Notices()
also_forget(_notices.forget)


def _converted(call: ApiCall) -> ApiCall:
    converted, problems = call.converted()
    for key, reason in problems:
        _notices.log(
            ("left out", call.label(), key), "%s: the value of %r was left out: %s", call.label(), key, reason
        )
    return converted


class Client(_Caller):
    """A client that calls the API and waits for the response. Thread-safe; close it, or use it in a `with` block.

    Each call returns a `Success` or a `Failure`; a failed call never raises. An interruption from outside, such as
    Ctrl-C or Celery's soft time limit, does raise, and the call may have been processed. A call takes at most the
    config's *timeout*, plus the time to resolve the host name, which cannot be interrupted. A required argument that
    is missing or empty raises `InvalidArgument` before anything is sent. In a coroutine, use an `AsyncClient`: this
    client blocks the event loop during each request.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. A custom HTTP client stays open: its owner closes it."""
        self._transport.close()

    def _call(self, ask: Ask[T]) -> APIResult[T]:
        return ask.result(self._exchange(_converted(ask.call)))

    # ── The calls of the official SDKs ──

    def get_api_key_details(self) -> APIResult[ApiKeyDetails]:
        """Get what the key may do: `data.permissions`."""
        return self._call(calls.API_KEY_DETAILS)

    def upsert_user(
        self, *, user_id: Identifier | None = None, email: str | None = None, properties: Properties = None
    ) -> APIResult[None]:
        """Create or update a user. `None` as a property's value deletes that property."""
        return self._call(calls.upsert_user(user_id, email, properties))

    def delete_user(self, *, user_id: Identifier | None = None, email: str | None = None) -> APIResult[None]:
        """Delete a user."""
        return self._call(calls.delete_user(user_id, email))

    def upsert_account(
        self,
        *,
        account_id: Identifier | None = None,
        domain: str | None = None,
        properties: Properties = None,
    ) -> APIResult[None]:
        """Create or update an account. `None` as a property's value deletes that property."""
        return self._call(calls.upsert_account(account_id, domain, properties))

    def delete_account(self, *, account_id: Identifier | None = None, domain: str | None = None) -> APIResult[None]:
        """Delete an account."""
        return self._call(calls.delete_account(account_id, domain))

    def add_users_to_account(
        self, account: AccountIdentified | Identifier, users: Iterable[UserIdentified | Identifier]
    ) -> APIResult[None]:
        """Make 1 to 100 users (IDs or `UserIdentified`) members of an account."""
        return self._call(calls.add_users_to_account(account, users))

    def remove_users_from_account(
        self, account: AccountIdentified | Identifier, users: Iterable[UserIdentified | Identifier]
    ) -> APIResult[None]:
        """Mark 1 to 100 users (IDs or `UserIdentified`) as removed from an account. The users themselves stay."""
        return self._call(calls.remove_users_from_account(account, users))

    def link(self, *, device_id: str, user_id: Identifier | None = None, email: str | None = None) -> APIResult[None]:
        """Link the web activity of a device (the cookie `__journey`) to a user."""
        return self._call(calls.link(device_id, user_id, email))

    def add_event(self, event: Event) -> APIResult[None]:
        """Send an event. Without `happened_at()`, the API uses the time at which it receives the event."""
        return self._call(calls.add_event(event))

    def get_tracking_snippet(self, *, domain: str) -> APIResult[TrackingSnippet]:
        """Get the HTML snippet of a website."""
        return self._call(calls.tracking_snippet(domain))

    # ── The API's read calls ──

    def get_events(self) -> APIResult[tuple[NamedDefinition, ...]]:
        """Get the events that the business has defined."""
        return self._call(calls.EVENTS)

    def get_user_properties(self) -> APIResult[tuple[PropertyDefinition, ...]]:
        """Get the properties of users."""
        return self._call(calls.USER_PROPERTIES)

    def get_account_properties(self) -> APIResult[tuple[PropertyDefinition, ...]]:
        """Get the properties of accounts."""
        return self._call(calls.ACCOUNT_PROPERTIES)

    def get_user_segments(self) -> APIResult[tuple[NamedDefinition, ...]]:
        """Get the segments of users."""
        return self._call(calls.USER_SEGMENTS)

    def get_account_segments(self) -> APIResult[tuple[NamedDefinition, ...]]:
        """Get the segments of accounts."""
        return self._call(calls.ACCOUNT_SEGMENTS)


class AsyncClient(_Caller):
    """The calls of `Client` for asyncio and trio, to be awaited.

    It never blocks the event loop: requests run in up to *max_connections* threads of its own; further requests wait
    for a free thread.

    Each call returns a `Success` or a `Failure`; a failed call never raises. Once it has a thread, a call takes at
    most the config's *timeout*. A required argument that is missing or empty raises `InvalidArgument` before anything
    is sent. If the task that awaits a call is cancelled, it stops waiting at once; a request that has started may
    still be processed. One client may be used from several event loops. Close it, or use it in an `async with` block.
    """

    def __init__(self, http_client: HttpClient | None, config: ClientConfig) -> None:
        """*http_client* sends the requests, from several threads; `None` uses the built-in one.

        Raises `InvalidArgument`.
        """
        super().__init__(http_client, config)
        self._threads_of: dict[int, Threads] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections and stop the threads; busy threads finish their request first.

        A custom HTTP client stays open: its owner closes it.
        """
        self._threads().close()
        self._transport.close()

    def _threads(self) -> Threads:
        # A forked child does not have its parent's threads.
        own = self._threads_of.get(getpid())
        return own or self._threads_of.setdefault(getpid(), Threads(self.config.max_connections))

    async def _call(self, ask: Ask[T]) -> APIResult[T]:
        call = _converted(ask.call)  # before handing over: the caller may change the values later
        try:
            outcome = await finished(self._threads().submit(partial(self._exchange, call)))
        except NoThread:
            outcome = Deferred("the system has no thread for the request", ambiguous=False)
        return ask.result(outcome)

    # ── The calls of the official SDKs ──

    async def get_api_key_details(self) -> APIResult[ApiKeyDetails]:
        """Get what the key may do: `data.permissions`."""
        return await self._call(calls.API_KEY_DETAILS)

    async def upsert_user(
        self, *, user_id: Identifier | None = None, email: str | None = None, properties: Properties = None
    ) -> APIResult[None]:
        """Create or update a user. `None` as a property's value deletes that property."""
        return await self._call(calls.upsert_user(user_id, email, properties))

    async def delete_user(self, *, user_id: Identifier | None = None, email: str | None = None) -> APIResult[None]:
        """Delete a user."""
        return await self._call(calls.delete_user(user_id, email))

    async def upsert_account(
        self,
        *,
        account_id: Identifier | None = None,
        domain: str | None = None,
        properties: Properties = None,
    ) -> APIResult[None]:
        """Create or update an account. `None` as a property's value deletes that property."""
        return await self._call(calls.upsert_account(account_id, domain, properties))

    async def delete_account(
        self, *, account_id: Identifier | None = None, domain: str | None = None
    ) -> APIResult[None]:
        """Delete an account."""
        return await self._call(calls.delete_account(account_id, domain))

    async def add_users_to_account(
        self, account: AccountIdentified | Identifier, users: Iterable[UserIdentified | Identifier]
    ) -> APIResult[None]:
        """Make 1 to 100 users (IDs or `UserIdentified`) members of an account."""
        return await self._call(calls.add_users_to_account(account, users))

    async def remove_users_from_account(
        self, account: AccountIdentified | Identifier, users: Iterable[UserIdentified | Identifier]
    ) -> APIResult[None]:
        """Mark 1 to 100 users (IDs or `UserIdentified`) as removed from an account. The users themselves stay."""
        return await self._call(calls.remove_users_from_account(account, users))

    async def link(
        self, *, device_id: str, user_id: Identifier | None = None, email: str | None = None
    ) -> APIResult[None]:
        """Link the web activity of a device (the cookie `__journey`) to a user."""
        return await self._call(calls.link(device_id, user_id, email))

    async def add_event(self, event: Event) -> APIResult[None]:
        """Send an event. Without `happened_at()`, the API uses the time at which it receives the event."""
        return await self._call(calls.add_event(event))

    async def get_tracking_snippet(self, *, domain: str) -> APIResult[TrackingSnippet]:
        """Get the HTML snippet of a website."""
        return await self._call(calls.tracking_snippet(domain))

    # ── The API's read calls ──

    async def get_events(self) -> APIResult[tuple[NamedDefinition, ...]]:
        """Get the events that the business has defined."""
        return await self._call(calls.EVENTS)

    async def get_user_properties(self) -> APIResult[tuple[PropertyDefinition, ...]]:
        """Get the properties of users."""
        return await self._call(calls.USER_PROPERTIES)

    async def get_account_properties(self) -> APIResult[tuple[PropertyDefinition, ...]]:
        """Get the properties of accounts."""
        return await self._call(calls.ACCOUNT_PROPERTIES)

    async def get_user_segments(self) -> APIResult[tuple[NamedDefinition, ...]]:
        """Get the segments of users."""
        return await self._call(calls.USER_SEGMENTS)

    async def get_account_segments(self) -> APIResult[tuple[NamedDefinition, ...]]:
        """Get the segments of accounts."""
        return await self._call(calls.ACCOUNT_SEGMENTS)
