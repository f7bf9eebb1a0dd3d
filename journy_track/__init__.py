"""Logging-style instrumentation for journy.io: configure once, decorate, and the events of your product arrive.

    import journy_track
    from journy_track import track_event

    journy_track.configure()

    @track_event("signed_in")
    def sign_in(): ...

    with journy_track.user("u1", email="jane@acme.com"), journy_track.account("acme"):
        sign_in()
        journy_track.track("updated_settings", theme="dark")

Before `configure()` everything is a no-op, and the first use says so.

What is taken as an ID (`Identifier`): text, whole numbers, UUIDs, and ID types with a text form of their own, such as
ULID. Paths, fields and limits are those of journy.io's public API description, version 1.0.0.
"""

from typing import TYPE_CHECKING, Any

from journy_track._model.forks import importing
from journy_track._version import __version__

if TYPE_CHECKING:  # what follows is looked up in _HOMES
    from journy_track import client as client
    from journy_track import testing as testing
    from journy_track._capture.blocks import (
        account,
        add_metadata,
        in_context,
        metadata,
        scope,
        set_account,
        set_user,
        user,
    )
    from journy_track._capture.context import Context, current
    from journy_track._capture.options import Call
    from journy_track._model.errors import (
        ConfigurationError,
        InvalidArgument,
        JournyError,
        MaybeSent,
        NotSent,
        TransportError,
    )
    from journy_track._model.http import HttpClient, HttpRequest, HttpResponse
    from journy_track._model.identity import AccountIdentified, UserIdentified, verification_hash
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
    from journy_track._model.numbers import Health, Receipt, Stats
    from journy_track._model.outcomes import Undelivered
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
    from journy_track._runtime import (
        add_users_to_account,
        aflush,
        configure,
        delete_account,
        delete_user,
        flush,
        flushed,
        get_tracker,
        health,
        link,
        recent,
        remove_users_from_account,
        shutdown,
        stats,
        track,
        track_event,
        upsert_account,
        upsert_user,
    )
    from journy_track._tracker import Tracker
    from journy_track._transport.requests_client import RequestsHttpClient
    from journy_track.client import Client, ClientConfig

__all__ = [
    "APIError",
    "AccountIdentified",
    "AddUsersToAccount",
    "ApiKeyDetails",
    "Call",
    "Client",
    "ClientConfig",
    "ConfigurationError",
    "Context",
    "DeleteAccount",
    "DeleteUser",
    "Event",
    "Failure",
    "Group",
    "Health",
    "HttpClient",
    "HttpRequest",
    "HttpResponse",
    "InvalidArgument",
    "JournyError",
    "Link",
    "MaybeSent",
    "Named",
    "NotSent",
    "PropertyDefinition",
    "Receipt",
    "RemoveUsersFromAccount",
    "RequestsHttpClient",
    "Result",
    "Stats",
    "Success",
    "Tracker",
    "TrackingSnippet",
    "TransportError",
    "Undelivered",
    "UpsertAccount",
    "UpsertUser",
    "UserIdentified",
    "__version__",
    "account",
    "add_metadata",
    "add_users_to_account",
    "aflush",
    "configure",
    "current",
    "delete_account",
    "delete_user",
    "flush",
    "flushed",
    "get_tracker",
    "health",
    "in_context",
    "link",
    "metadata",
    "recent",
    "remove_users_from_account",
    "scope",
    "set_account",
    "set_user",
    "shutdown",
    "stats",
    "track",
    "track_event",
    "upsert_account",
    "upsert_user",
    "user",
    "verification_hash",
]

#: Where each name is defined. All is imported when it is first asked for: an app that names two pays for two.
_HOMES = {
    "_capture.blocks": "account add_metadata in_context metadata scope set_account set_user user",
    "_capture.context": "Context current",
    "_capture.options": "Call",
    "_model.errors": "ConfigurationError InvalidArgument JournyError MaybeSent NotSent TransportError",
    "_model.http": "HttpClient HttpRequest HttpResponse",
    "_model.identity": "AccountIdentified UserIdentified verification_hash",
    "_model.items": (
        "AddUsersToAccount DeleteAccount DeleteUser Event Link RemoveUsersFromAccount UpsertAccount UpsertUser"
    ),
    "_model.numbers": "Health Receipt Stats",
    "_model.outcomes": "Undelivered",
    "_model.results": "APIError ApiKeyDetails Failure Group Named PropertyDefinition Result Success TrackingSnippet",
    "_runtime": (
        "add_users_to_account aflush configure delete_account delete_user flush flushed get_tracker health "
        "link recent remove_users_from_account shutdown stats track track_event upsert_account upsert_user"
    ),
    "_tracker": "Tracker",
    "_transport.requests_client": "RequestsHttpClient",
    "client": "Client ClientConfig",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}
_SUBMODULES = ("client", "testing")


if not TYPE_CHECKING:  # a type checker sees the names above, and is to find those that are misspelt

    def __getattr__(name: str) -> Any:
        home = _HOME_OF.get(name)
        if home is None and name not in _SUBMODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        with importing:
            module = import_module(f"journy_track.{home or name}")
        # From now on a plain attribute. That one alone: a test may have put something else in another's place.
        found = globals()[name] = module if home is None else getattr(module, name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
