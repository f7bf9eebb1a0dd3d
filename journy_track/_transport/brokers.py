"""Which broker a URL means. To add one, write a `Broker` and a line here; or hand `configure()` the object."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from journy_track._model.broker import Broker
from journy_track._model.forks import importing
from journy_track._model.secret import Secret


def _redis(url: Secret) -> Broker:
    with importing:
        from journy_track._transport.redis_broker import RedisBroker

    return RedisBroker(url)


#: What makes the broker, by the URL's scheme.
SCHEMES: dict[str, Callable[[Secret], Broker]] = {"redis": _redis, "rediss": _redis, "unix": _redis}


def broker_at(place: Secret | Broker) -> Broker:
    """The broker at a URL whose scheme was checked; one that the app made stays as it is."""
    return SCHEMES[urlsplit(place.reveal()).scheme](place) if isinstance(place, Secret) else place
