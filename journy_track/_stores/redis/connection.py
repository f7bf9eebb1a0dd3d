"""The names of the keys in Redis, and a client whose calls are limited to a short time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from journy_track._model.broker import BrokerError
from journy_track._model.broker_url import DIRECT, SENTINEL, scheme_of, sentinels_of
from journy_track._model.errors import ConfigurationError, printable
from journy_track._model.secret import Secret, drop_frames

#: Seconds for one call. With redis-py's defaults, a server that hangs can block a call for a minute.
TIMEOUT = 1.0
#: The maximum number of seconds for one call that a URL can set: the end of the process may wait for it.
MAX_TIMEOUT = 5.0
#: Seconds for a request to one sentinel. If it is down, the next one is asked.
SENTINEL_TIMEOUT = 0.5
NEED_REDIS = "broker needs redis-py: pip install 'journy-track[broker]'"
CLUSTER = "it is a Redis Cluster, which is not supported: use a Redis without cluster mode, or with Sentinel"
_IS_SENTINEL = "it is a sentinel: write redis+sentinel://host:port/service"
#: Options of redis-py that would change how responses are decoded, or how often and how long it retries. A URL that
#: is shared with other clients may contain them; here they have no effect.
_OURS = frozenset(
    {
        *("decode_responses", "encoding", "encoding_errors", "protocol", "legacy_responses"),
        *("retry_on_timeout", "retry_on_error", "max_connections", "single_connection_client"),
        *("lib_name", "lib_version"),
    }
)
#: The other options that a URL can contain. All further ones are Python objects: as text, they would fail on use.
_TAKEN = frozenset(
    {
        *("db", "username", "password", "client_name", "health_check_interval", "host", "port", "path"),
        *("socket_timeout", "socket_connect_timeout", "socket_keepalive", "socket_read_size"),
    }
)
#: Explanations of redis-py's errors, in addition to their own text.
_MEANINGS = {
    "ReadOnlyError": "it is a replica, perhaps after a failover: the address is looked up again",
    "MovedError": CLUSTER,
    "AskError": CLUSTER,
    "ClusterDownError": CLUSTER,
    "ClusterCrossSlotError": CLUSTER,
    "MasterNotFoundError": "no sentinel that can be reached knows a primary of this service",
}
#: The same errors by their text, for those without their own class: from an older redis-py, or from within a script.
_CODES = {"READONLY ": "ReadOnlyError", "MOVED ": "MovedError", "CLUSTERDOWN ": "ClusterDownError"}


class Unfit(BrokerError):
    """The server cannot be used, and retrying does not help: it is a cluster or a sentinel."""


class Names(NamedTuple):
    """The keys of one queue. A common hash tag keeps them on one server if a proxy distributes keys among servers."""

    stream: str
    lease: str
    dead: str
    producer: str

    @classmethod
    def of(cls, name: str) -> Names:
        """Return the keys of the queue *name*."""
        base = f"journy:{{{name}}}:v1"
        return cls(base, f"{base}:lease", f"{base}:dead", f"{base}:producer:")


def queue_of(url: Secret) -> str:
    """Return the queue that *url* names in our own option ``?queue=…``, by default ``items``."""
    return dict(parse_qsl(url.reveal().partition("?")[2])).get("queue", "items")


class RedisConnection:
    """A redis-py client that connects when it is first used.

    Raises `ConfigurationError` if redis-py is not installed, or if the URL or an option cannot be used.
    """

    def __init__(self, url: Secret, timeout: float = TIMEOUT) -> None:
        try:
            import redis  # noqa: F401
        except ModuleNotFoundError:
            raise ConfigurationError(NEED_REDIS) from None
        #: The hosts that are contacted: the server, or the sentinels.
        self.hosts: tuple[str, ...] = ()
        self._sentinel: Any = None
        try:
            self._client = self._made(url.reveal(), timeout)
            return
        except (ValueError, TypeError):
            pass  # the error may quote the URL, and so the password
        except BaseException as error:  # as Ctrl-C
            drop_frames(error)
            raise
        raise ConfigurationError("broker: redis-py does not understand the URL or one of its options")

    def _made(self, url: str, timeout: float) -> Any:
        import redis
        from redis.connection import ConnectionPool, parse_url
        from redis.sentinel import Sentinel

        plain, query = _split(url)
        names = set(query)
        options: dict[str, Any] = parse_url(  # type: ignore[no-untyped-call]
            plain + ("?" + urlencode(query) if query else "")
        )
        if any(name not in _TAKEN and not name.startswith("ssl_") for name in names):
            raise ValueError("an option that a URL cannot hold")
        options |= _our_options(options, timeout)
        scheme = scheme_of(url)
        if scheme not in SENTINEL:
            # Without a host, the URL names a local socket, or redis-py uses its default.
            self.hosts = (str(options.get("host", "localhost")),)
            pool = ConnectionPool(**options)
            _checked(pool)
            return redis.Redis(connection_pool=pool)
        options.pop("host", None), options.pop("connection_class", None)
        sentinels = sentinels_of(url)
        self.hosts = tuple(host for host, _ in sentinels.hosts)
        ours = _our_options({}, min(timeout, SENTINEL_TIMEOUT))
        secured = {name: value for name, value in options.items() if name.startswith("ssl_")}
        if SENTINEL[scheme] == "rediss":
            options["ssl"] = ours["ssl"] = True
        login = _sentinel_login(url)
        self._sentinel = Sentinel(  # type: ignore[no-untyped-call]
            sentinels.hosts, sentinel_kwargs={**ours, **secured, **login}, **options
        )
        client = self._sentinel.master_for(sentinels.service)
        _checked(client.connection_pool)
        return client

    @contextmanager
    def call(self) -> Iterator[Any]:
        """Provide the client for one call. Raises `BrokerError`, whose text does not contain a password.

        After an error, the connections are closed and the host name is looked up again: a primary that has become a
        replica would keep refusing writes over an existing connection.
        """
        import redis

        from journy_track._model.tracing import untraced

        try:
            with untraced():
                self._look()
                yield self._client
        except (redis.RedisError, OSError) as error:
            self._drop()
            described = _described(error)
            drop_frames(error)  # redis-py's frames contain the password
            raise BrokerError(described) from None

    #: Whether the server is known to be neither a cluster nor a sentinel.
    _fit = False

    def _look(self) -> None:
        import redis

        if self._fit:
            return
        mode = ""
        with suppress(redis.ResponseError):  # without permission for INFO, later calls will fail instead
            mode = self._client.info("server").get("redis_mode", "")
        if mode in ("cluster", "sentinel"):
            self._drop()
            raise Unfit(CLUSTER if mode == "cluster" else _IS_SENTINEL)
        self._fit = True

    def _drop(self) -> None:
        self._fit = False
        # Only idle connections: another thread's call in progress fails by itself.
        with suppress(Exception):
            self._client.connection_pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        """Close the connections."""
        with suppress(Exception):  # an error while closing does not matter
            self._client.connection_pool.disconnect()
            for sentinel in () if self._sentinel is None else self._sentinel.sentinels:
                sentinel.connection_pool.disconnect()


def _split(url: str) -> tuple[str, dict[str, str]]:
    """Split *url* into the URL that redis-py accepts, without its query, and redis-py's options from the query."""
    base, _, asked = url.partition("?")  # urlunsplit would write unix:/path and redis:/0
    query = {name: value for name, value in parse_qsl(asked) if name not in _OURS}
    for name in ("queue", "sentinel_username", "sentinel_password"):
        query.pop(name, None)
    scheme, rest = scheme_of(url), base.partition("://")[2]
    if scheme not in SENTINEL:
        return f"{DIRECT[scheme]}://{rest}", query
    login, at, _ = urlsplit(url).netloc.rpartition("@")
    return f"{SENTINEL[scheme]}://{login}{at}sentinel/{sentinels_of(url).database}", query


def _sentinel_login(url: str) -> dict[str, str]:
    asked = dict(parse_qsl(url.partition("?")[2]))
    names = {"sentinel_username": "username", "sentinel_password": "password"}
    return {ours: asked[name] for name, ours in names.items() if name in asked}


def _our_options(options: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Return the options that a URL cannot change, and the timeouts of a call."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    waits = ["socket_timeout"]
    if "path" not in options:  # a local socket connects immediately, and does not accept this option
        waits.append("socket_connect_timeout")
    taken = {name: min(float(options.get(name, timeout)), MAX_TIMEOUT) for name in waits}
    if not all(seconds > 0 for seconds in taken.values()):
        raise ValueError("a timeout above 0")
    # RESP2, as servers before 6.0 support nothing else. No retries here: the caller decides when to retry.
    return {**taken, "decode_responses": False, "protocol": 2, "retry": Retry(NoBackoff(), 0)}


def _checked(pool: Any) -> None:
    """Raise an error now if a connection does not accept the options. Does not connect."""
    pool.connection_class(**pool.connection_kwargs)


def _described(error: Exception) -> str:
    kind = type(error).__name__
    text = printable(str(error).splitlines()[0][:200].rstrip(".")) if str(error) else ""
    if kind == "MasterNotFoundError":
        return _MEANINGS[kind]  # its own text describes each sentinel's connection
    meaning = _MEANINGS.get(kind) or next((_MEANINGS[named] for code, named in _CODES.items() if code in text), None)
    return f"{kind}: {text}" + (f" ({meaning})" if meaning else "")
