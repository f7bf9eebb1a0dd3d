"""Redis, as this library uses it: the names of its keys, and a client that never makes anybody wait for long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from journy_track._model.broker import BrokerError
from journy_track._model.errors import ConfigurationError
from journy_track._model.secret import Secret

#: Seconds for one call. The library's own defaults let a hung server hold a call for a minute.
TIMEOUT = 1.0
NEED_REDIS = "broker needs redis-py: pip install 'journy-track[broker]'"


class Names(NamedTuple):
    """The keys of one queue. One hash tag: in a cluster they share a slot, as scripts need."""

    stream: str
    lease: str
    dead: str
    producer: str

    @classmethod
    def of(cls, name: str) -> Names:
        """The keys of the queue *name*."""
        base = f"journy:{{{name}}}:v1"
        return cls(base, f"{base}:lease", f"{base}:dead", f"{base}:producer:")


def split_url(url: Secret) -> tuple[str, str]:
    """The URL as redis-py takes it, and the queue's name: ``?queue=…`` is ours, by default ``items``."""
    base, _, asked = url.reveal().partition("?")  # urlunsplit would write unix:/path and redis:/0
    query = dict(parse_qsl(asked))
    name = query.pop("queue", "items")
    return base + ("?" + urlencode(query) if query else ""), name


def connect(url: Secret, timeout: float = TIMEOUT) -> Any:
    """A client of redis-py, which connects when it is used."""
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ModuleNotFoundError:
        raise ConfigurationError(NEED_REDIS) from None
    plain, _ = split_url(url)
    options: dict[str, Any] = {"socket_timeout": timeout}
    if not plain.startswith("unix:"):  # which connects at once, and knows no such option
        options["socket_connect_timeout"] = timeout
    try:
        client = redis.Redis.from_url(plain, retry=Retry(NoBackoff(), 0), **options)
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)  # does not connect
        return client
    except (ValueError, TypeError):
        pass  # it may quote the URL, and so the password
    raise ConfigurationError("broker: redis-py does not understand the URL or one of its options")


def host_of(client: Any) -> str:
    """Where *client* connects to. Without a host that is redis-py's own choice, or a socket of this machine."""
    return str(client.connection_pool.connection_kwargs.get("host", "localhost"))


@contextmanager
def told() -> Iterator[None]:
    """Raise `BrokerError`, in words without a password, for what redis-py and the system raise."""
    import redis

    from journy_track._model.tracing import untraced

    try:
        with untraced():
            yield
    except (redis.RedisError, OSError) as error:
        text = str(error).splitlines()[0][:200].rstrip(".") if str(error) else ""
        # Without its cause: the frames of redis-py hold the password.
        raise BrokerError(f"{type(error).__name__}: {text}") from None
