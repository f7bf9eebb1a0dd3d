"""Logging-style instrumentation for journy.io: configure once, then decorate functions to track product events.

    import journy_track
    from journy_track import track_event

    journy_track.configure()

    @track_event("signed_in")
    def sign_in(): ...

    with journy_track.user("u1", email="jane@acme.com"), journy_track.account("acme"):
        sign_in()
        journy_track.track("updated_settings", theme="dark")

Before `configure()`, every call is a no-op, and the first one logs a warning.

An ID (`Identifier`) may be a string, an integer, a UUID, or an ID type with its own text form, such as ULID.
Paths, fields and limits follow journy.io's public API description, version 1.0.0.
"""

from typing import TYPE_CHECKING, Any

from journy_track._model.forks import importing
from journy_track._version import __version__

if TYPE_CHECKING:  # at run time, these names are looked up in _HOMES
    from journy_track import client as client
    from journy_track import testing as testing
    from journy_track._bulk.report import Report
    from journy_track._capture.blocks import (
        account,
        add_metadata,
        in_context,
        metadata,
        scope,
        set_account,
        set_user,
        suppressed,
        user,
    )
    from journy_track._capture.context import Context, current_context
    from journy_track._capture.context import current as current
    from journy_track._capture.options import Call
    from journy_track._carriers import extract, inject
    from journy_track._metrics.opentelemetry import instrument_metrics
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
        APIResult,
        DefinitionGroup,
        Failure,
        NamedDefinition,
        PropertyDefinition,
        Success,
        TrackingSnippet,
    )
    from journy_track._model.results import Group as Group
    from journy_track._model.results import Named as Named
    from journy_track._model.results import Result as Result
    from journy_track._runtime import (
        add_users_to_account,
        aflush,
        bulk,
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
    from journy_track._sync.syncing import sync_accounts, sync_users
    from journy_track._tracker import Tracker
    from journy_track._transport.requests_client import RequestsHttpClient
    from journy_track._typed import Doc, TypedEvent, event
    from journy_track.client import AsyncClient, Client, ClientConfig

__all__ = [
    "APIError",
    "APIResult",
    "AccountIdentified",
    "AddUsersToAccount",
    "ApiKeyDetails",
    "AsyncClient",
    "Call",
    "Client",
    "ClientConfig",
    "ConfigurationError",
    "Context",
    "DefinitionGroup",
    "DeleteAccount",
    "DeleteUser",
    "Doc",
    "Event",
    "Failure",
    "Health",
    "HttpClient",
    "HttpRequest",
    "HttpResponse",
    "InvalidArgument",
    "JournyError",
    "Link",
    "MaybeSent",
    "NamedDefinition",
    "NotSent",
    "PropertyDefinition",
    "Receipt",
    "RemoveUsersFromAccount",
    "Report",
    "RequestsHttpClient",
    "Stats",
    "Success",
    "Tracker",
    "TrackingSnippet",
    "TransportError",
    "TypedEvent",
    "Undelivered",
    "UpsertAccount",
    "UpsertUser",
    "UserIdentified",
    "__version__",
    "account",
    "add_metadata",
    "add_users_to_account",
    "aflush",
    "bulk",
    "configure",
    "current_context",
    "delete_account",
    "delete_user",
    "event",
    "extract",
    "flush",
    "flushed",
    "get_tracker",
    "health",
    "in_context",
    "inject",
    "instrument_metrics",
    "link",
    "metadata",
    "recent",
    "remove_users_from_account",
    "scope",
    "set_account",
    "set_user",
    "shutdown",
    "stats",
    "suppressed",
    "sync_accounts",
    "sync_users",
    "track",
    "track_event",
    "upsert_account",
    "upsert_user",
    "user",
    "verification_hash",
]

#: The module that defines each name. A module is imported on first access, so an app pays only for what it uses.
_HOMES = {
    "_bulk.report": "Report",
    "_capture.blocks": "account add_metadata in_context metadata scope set_account set_user suppressed user",
    "_capture.context": "Context current_context",
    "_capture.options": "Call",
    "_carriers": "extract inject",
    "_metrics.opentelemetry": "instrument_metrics",
    "_model.errors": "ConfigurationError InvalidArgument JournyError MaybeSent NotSent TransportError",
    "_model.http": "HttpClient HttpRequest HttpResponse",
    "_model.identity": "AccountIdentified UserIdentified verification_hash",
    "_model.items": (
        "AddUsersToAccount DeleteAccount DeleteUser Event Link RemoveUsersFromAccount UpsertAccount UpsertUser"
    ),
    "_model.numbers": "Health Receipt Stats",
    "_model.outcomes": "Undelivered",
    "_model.results": (
        "APIError APIResult ApiKeyDetails DefinitionGroup Failure NamedDefinition PropertyDefinition Success "
        "TrackingSnippet"
    ),
    "_runtime": (
        "add_users_to_account aflush bulk configure delete_account delete_user flush flushed get_tracker health "
        "link recent remove_users_from_account shutdown stats track track_event upsert_account upsert_user"
    ),
    "_sync.syncing": "sync_accounts sync_users",
    "_tracker": "Tracker",
    "_transport.requests_client": "RequestsHttpClient",
    "_typed": "Doc TypedEvent event",
    "client": "AsyncClient Client ClientConfig",
}
#: Names from earlier versions. They stay importable but are not listed anywhere.
_FORMER = {"_capture.context": "current", "_model.results": "Group Named Result"}
_HOME_OF = {name: home for homes in (_HOMES, _FORMER) for home, names in homes.items() for name in names.split()}
_SUBMODULES = ("client", "testing")


if not TYPE_CHECKING:  # a type checker sees the names above, so it can report misspelt ones

    def __getattr__(name: str) -> Any:
        home = _HOME_OF.get(name)
        if home is None and name not in _SUBMODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        with importing:
            module = import_module(f"journy_track.{home or name}")
        # From now on a plain attribute. Set only this name: a test may have replaced one of the others.
        found = globals()[name] = module if home is None else getattr(module, name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
