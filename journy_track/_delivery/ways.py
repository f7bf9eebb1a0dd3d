"""Derives from the settings the ways to journy.io, and how upserts that need not be sent are detected."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import time

from journy_track._delivery.budget import Budget, Unlimited, batch_budget_of, budget_of
from journy_track._delivery.kept import KeptUnchanged
from journy_track._delivery.pausing import PausingPacer
from journy_track._delivery.throttle import Unchanged
from journy_track._delivery.way import Way
from journy_track._model.clock import monotonic
from journy_track._model.config import Config
from journy_track._model.errors import ConfigurationError
from journy_track._model.forks import importing
from journy_track._model.notices import Notices
from journy_track._model.secret import Secret
from journy_track._state.digests import Digests
from journy_track._stores.sqlite import NEED_SQLITE, is_sqlite
from journy_track._transport.batch import BatchTransport
from journy_track._transport.rest import CallTransport, HttpTransport, RestTransport, requests_client

#: The maximum number of batches in flight.
MAX_BATCHES = 2


def ways_of(
    config: Config,
    clock: Callable[[], float] = monotonic,
    calls: CallTransport | None = None,
    budget: Budget | Unlimited | None = None,
) -> list[Way]:
    """Return the ways to journy.io that the configured keys allow: batches first, then the REST API.

    *calls* and *budget* replace the REST API's own. With *budget*, batches are also paced by *clock*.
    """
    ways: list[Way] = []
    if config.write_key is not None:
        batches = batches_of(config, config.write_key)
        pace = batch_budget_of(config.batch_url, config.write_key) if budget is None else None
        ways.append(
            Way(
                batches,
                pace or Budget(PausingPacer(clock), clock),
                connections=min(MAX_BATCHES, config.max_connections),
                clock=clock,
                linger=config.batch_interval,
            )
        )
    if config.rest_key is not None:
        bulk = config.priority == "bulk"
        spent = budget or budget_of(config.base_url, config.rest_key, config.share, bulk=bulk)
        rest = RestTransport(calls or transport_of(config))
        ways.append(Way(rest, spent, connections=config.max_connections, clock=clock))
    assert ways, "a tracker without a key has no pipeline"
    return ways


def unchanged_of(
    config: Config, notices: Notices, digests: Digests | None = None, wall: Callable[[], float] = time
) -> Unchanged | KeptUnchanged | None:
    """Return an object that detects upserts that need not be sent, or `None` if all are sent.

    *digests* replace those in the file that *config* names.
    """
    if digests is None and config.skip_unchanged_state is not None:
        with importing:
            try:
                from journy_track._state.sqlite import SqliteDigests
            except ModuleNotFoundError as missing:
                if not is_sqlite(missing):
                    raise
                raise ConfigurationError(NEED_SQLITE.replace("spool", "skip_unchanged_state")) from None
        digests = SqliteDigests(config.skip_unchanged_state, wall)
    if digests is None:
        return Unchanged(config.skip_unchanged) if config.skip_unchanged else None
    # If both keys are set, the one for the REST API is used, because a write key may be added later.
    secret = config.api_key or config.write_key or key_of(config)
    return KeptUnchanged(digests, secret.reveal(), config.base_url, config.skip_unchanged, notices, wall)


def batches_of(config: Config, write_key: Secret) -> BatchTransport:
    """Return the transport for batches over HTTP with these settings."""
    return BatchTransport(
        write_key,
        config.batch_url,
        config.timeout,
        config.http_client,
        partial(requests_client, MAX_BATCHES),
        beside_rest=config.rest_key is not None,
    )


def place_of(config: Config) -> tuple[str, Secret]:
    """Return the URL to which most items are sent, and the key."""
    return (config.base_url, key_of(config)) if config.write_key is None else (config.batch_url, config.write_key)


def transport_of(config: Config) -> HttpTransport:
    """Return the transport for the REST API over HTTP with these settings."""
    make_client = partial(requests_client, config.max_connections)
    return HttpTransport(key_of(config), config.base_url, config.timeout, config.http_client, make_client)


def key_of(config: Config) -> Secret:
    """Return the key that *config* delivers with."""
    key = config.usable_key
    assert key is not None, "a tracker without a key has no pipeline"
    return key
