"""What the settings mean for delivery: the ways to journy.io that the keys open, and what need not be sent."""

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

#: Batches on their way at once, at most.
MAX_BATCHES = 2


def ways_of(
    config: Config,
    clock: Callable[[], float] = monotonic,
    calls: CallTransport | None = None,
    budget: Budget | Unlimited | None = None,
) -> list[Way]:
    """The ways to journy.io that the keys open: batches first, then the REST API.

    *calls* and *budget* take the place of the API's own; with *budget*, time is handed in for batches, too.
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
    """What knows which upserts need not be sent; `None`: all are sent.

    *digests* take the place of those in the file that *config* names.
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
    # Of both keys the one for the REST API: a write key may come later.
    secret = config.api_key or config.write_key or key_of(config)
    return KeptUnchanged(digests, secret.reveal(), config.base_url, config.skip_unchanged, notices, wall)


def batches_of(config: Config, write_key: Secret) -> BatchTransport:
    """Batches over HTTP, with these settings."""
    return BatchTransport(
        write_key,
        config.batch_url,
        config.timeout,
        config.http_client,
        partial(requests_client, MAX_BATCHES),
        beside_rest=config.rest_key is not None,
    )


def place_of(config: Config) -> tuple[str, Secret]:
    """Where most of what is captured goes, and under which key."""
    return (config.base_url, key_of(config)) if config.write_key is None else (config.batch_url, config.write_key)


def transport_of(config: Config) -> HttpTransport:
    """The API over HTTP, with these settings."""
    make_client = partial(requests_client, config.max_connections)
    return HttpTransport(key_of(config), config.base_url, config.timeout, config.http_client, make_client)


def key_of(config: Config) -> Secret:
    """The key that *config* delivers with."""
    key = config.usable_key
    assert key is not None, "a tracker without a key has no pipeline"
    return key
