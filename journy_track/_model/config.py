"""Every setting once: its type, unit, default and environment variable."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypedDict, cast
from urllib.parse import urlsplit

from journy_track._model import checks
from journy_track._model.broker import Broker
from journy_track._model.errors import ConfigurationError, described
from journy_track._model.frozendict import FrozenDict
from journy_track._model.hosts import hosts
from journy_track._model.http import HttpClient
from journy_track._model.identity import UserIdentified
from journy_track._model.items import Item
from journy_track._model.outcomes import Undelivered
from journy_track._model.secret import Hidden, Secret, drop_frames, hidden, hidden_values, revealed

DEFAULT_BASE_URL = "https://api.journy.io"
DEFAULT_BATCH_URL = "https://analyze.journy.io/backend/v1/batch"
#: Seconds after capture during which an item in a spool is still tried.
SPOOL_MAX_AGE = 7 * 24 * 3600.0
BeforeSend = Callable[[Item], Item | None]
Allow = Callable[[UserIdentified], object]
OnError = Callable[[Undelivered], object]
OnAmbiguous = Literal["retry", "drop"]
Priority = Literal["live", "bulk"]


class Settings(TypedDict, total=False):
    """What `configure()` and `Tracker` take, all by keyword. Durations are seconds or a timedelta."""

    required: bool
    base_url: str | None
    allow_http: bool | None
    write_key: str | None
    batch_url: str | None
    batch_interval: float | timedelta | None
    enabled: bool | None
    queue_size: int | None
    queue_bytes: int | None
    max_connections: int | None
    share: float | None
    priority: Priority | None
    max_delay: float | timedelta | None
    timeout: float | timedelta | None
    shutdown_timeout: float | timedelta | None
    shutdown_limit: float | timedelta | None
    wrap_os_exit: bool | None
    max_age: float | timedelta | None
    on_ambiguous: OnAmbiguous | None
    skip_unchanged: float | timedelta | None
    skip_unchanged_state: str | os.PathLike[str] | None
    spool: str | os.PathLike[str] | None
    spool_limit: int | None
    spool_shared: bool | None
    broker: str | Broker | None
    metadata: Mapping[str, object] | None
    trace_ids: bool | None
    span_events: bool | None
    before_send: BeforeSend | None
    allow: Allow | None
    on_error: OnError | None
    http_client: HttpClient | None
    carrier_secret: str | None
    propagate_to: Sequence[str] | None
    strict: bool | None
    debug: bool | None


# ── The settings ─────────────────────────────────────────────────────────────────────────────────────────


def _setting(
    default: Any,
    check: Callable[[Any], Any],
    env: str | None = None,
    parse: Callable[[str], Any] = str,
    **options: Any,
) -> Any:
    metadata = {"check": check, "env": env, "parse": parse}
    if isinstance(default, dict):
        return field(default_factory=lambda: default, metadata=metadata, **options)
    return field(default=default, metadata=metadata, **options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one tracker, checked. An argument wins over its environment variable."""

    #: The key of journy.io: Settings, Connections. Needs the permissions for the calls that are made.
    api_key: Secret | None = _setting(None, checks.key, "JOURNY_API_KEY")
    #: A missing key raises instead of disabling the tracker.
    required: bool = _setting(False, checks.flag)
    base_url: str = _setting(DEFAULT_BASE_URL, checks.url, "JOURNY_BASE_URL")
    #: Plain http:// also to hosts that are not loopback.
    allow_http: bool = _setting(False, checks.flag, "JOURNY_ALLOW_HTTP", checks.flag_text)
    #: The key of journy.io's API/SDK connector: what it has a counterpart for goes in batches.
    write_key: Secret | None = _setting(None, checks.key, "JOURNY_WRITE_KEY")
    #: Where batches go. Where `base_url` is this machine, that is the default here, too.
    batch_url: str = _setting(DEFAULT_BATCH_URL, checks.url, "JOURNY_BATCH_URL")
    #: Seconds for which a batch waits to be filled.
    batch_interval: float = _setting(0.5, checks.seconds_or_zero, "JOURNY_BATCH_INTERVAL", checks.number_text)
    #: False: every call is a no-op and nothing starts.
    enabled: bool = _setting(True, checks.flag, "JOURNY_ENABLED", checks.flag_text)
    #: Items in memory that are not settled: queue, outbox, retries, in flight.
    queue_size: int = _setting(10_000, checks.count, "JOURNY_QUEUE_SIZE", checks.count_text)
    #: Bytes in memory that are not settled.
    queue_bytes: int = _setting(64 * 1024 * 1024, checks.count, "JOURNY_QUEUE_BYTES", checks.count_text)
    #: Requests in flight at once, at most.
    max_connections: int = _setting(8, checks.count, "JOURNY_MAX_CONNECTIONS", checks.count_text)
    #: This process's fixed part of the key's budget, above 0 to 1; `None`: found from the rate headers.
    share: float | None = _setting(None, checks.share, "JOURNY_SHARE", checks.share_text)
    #: `"bulk"` takes only what live events leave of the key's budget: for imports, syncs and nightly scripts.
    priority: Priority = _setting("live", checks.one_of("live", "bulk"), "JOURNY_PRIORITY")
    #: Seconds after which an item that still waits makes `health()` false.
    max_delay: float = _setting(60.0, checks.seconds, "JOURNY_MAX_DELAY", checks.number_text)
    #: Seconds for one request, connecting and reading, but for looking up the host's name.
    timeout: float = _setting(10.0, checks.seconds, "JOURNY_TIMEOUT", checks.number_text)
    #: Seconds that exit waits while nothing is delivered.
    shutdown_timeout: float = _setting(5.0, checks.seconds_or_zero, "JOURNY_SHUTDOWN_TIMEOUT", checks.number_text)
    #: Seconds that exit waits in all, while deliveries succeed; `None`: 25, and longer where a script ends by itself.
    shutdown_limit: float | None = _setting(None, checks.seconds_or_zero, "JOURNY_SHUTDOWN_LIMIT", checks.number_text)
    #: In forked children, deliver before `os._exit`, which skips all exit handlers.
    wrap_os_exit: bool = _setting(True, checks.flag, "JOURNY_WRAP_OS_EXIT", checks.flag_text)
    #: Seconds after capture during which an item is still tried. With a spool 7 days, unless set.
    max_age: float = _setting(3600.0, checks.seconds, "JOURNY_MAX_AGE", checks.number_text)
    #: What becomes of an event whose request may or may not have been processed.
    on_ambiguous: OnAmbiguous = _setting("retry", checks.one_of("retry", "drop"), "JOURNY_ON_AMBIGUOUS")
    #: Seconds: an upsert identical to one that was confirmed within them is not sent again; 0: off.
    skip_unchanged: float = _setting(0.0, checks.seconds_or_zero, "JOURNY_SKIP_UNCHANGED", checks.number_text)
    #: SQLite file of digests of what was confirmed, so that `skip_unchanged` survives restarts; `None`: in memory.
    skip_unchanged_state: Path | None = _setting(None, checks.file, "JOURNY_SKIP_UNCHANGED_STATE")
    #: Folder of the durable spool; `None`: what waits is in memory only.
    spool: Path | None = _setting(None, checks.folder, "JOURNY_SPOOL")
    #: Bytes of the folder above which the newest items are refused.
    spool_limit: int = _setting(1024**3, checks.count, "JOURNY_SPOOL_LIMIT", checks.count_text)
    #: Use the folder also where it belongs to, or can be written by, other users.
    spool_shared: bool = _setting(False, checks.flag, "JOURNY_SPOOL_SHARED", checks.flag_text)
    #: Where items go for a relay to deliver; `None`: to journy.io. A URL may hold a password, and shows as ``***``.
    broker: Secret | Broker | None = _setting(None, checks.broker, "JOURNY_BROKER_URL")
    #: Added to every event.
    metadata: FrozenDict = _setting(FrozenDict(), checks.metadata)
    #: Attach trace_id and span_id of the active OpenTelemetry span.
    trace_ids: bool = _setting(True, checks.flag, "JOURNY_TRACE_IDS", checks.flag_text)
    #: Also record each event on that span.
    span_events: bool = _setting(False, checks.flag, "JOURNY_SPAN_EVENTS", checks.flag_text)
    before_send: BeforeSend | None = _setting(None, checks.hook)
    #: Whether a user may be tracked, as by their consent. Asked on the worker, at most once a minute for each.
    allow: Allow | None = _setting(None, checks.hook)
    on_error: OnError | None = _setting(None, checks.hook)
    http_client: HttpClient | None = _setting(None, checks.http_client)
    #: Signs what `inject()` writes, and what `extract()` takes has to be signed with; `None`: nothing is signed.
    carrier_secret: Secret | None = _setting(None, checks.carrier_secret, "JOURNY_CARRIER_SECRET")
    #: Hosts of one's own services: requests to them, and to no others, say who acts. Of the global tracker.
    propagate_to: tuple[str, ...] = _setting((), hosts, "JOURNY_PROPAGATE_TO", lambda text: text.split(","))
    #: Whether wrong values raise where they are passed; `None`: while tests run, and with *debug*.
    strict: bool | None = _setting(None, checks.flag, "JOURNY_STRICT", checks.flag_text)
    #: Log each item and its response; validate also where it is captured, and raise there.
    debug: bool = _setting(False, checks.flag, "JOURNY_DEBUG", checks.flag_text)

    @classmethod
    def load(
        cls,
        api_key: str | Secret | None = None,
        settings: Settings | None = None,
        environ: Mapping[str, str] | Hidden | None = None,
    ) -> Config:
        """The settings from arguments and environment. Raises `ConfigurationError` naming the argument.

        In no frame that this passes is a key in clear, if the caller has hidden it.
        """
        given: dict[str, Any] = {"api_key": hidden(api_key), **hidden_values(settings or {})}
        environ = Hidden(os.environ if environ is None else revealed(environ))
        del api_key, settings
        fields = {f.name: f for f in dataclasses.fields(cls)}
        for name in given:
            if name not in fields:
                raise ConfigurationError(_unknown(name, list(fields)))
        values: dict[str, Any] = {}
        for name, option in fields.items():
            env = option.metadata["env"]
            if given.get(name) is not None:
                values[name] = _checked(name, option.metadata["check"], given[name])
            elif env is not None and environ.reveal().get(env):  # an empty variable counts as not set
                values[name] = _from_environment(name, env, Secret(environ.reveal()[env]), option)
        if values.get("spool") is not None:
            values.setdefault("max_age", SPOOL_MAX_AGE)
        if is_loopback(base_url := values.get("base_url", DEFAULT_BASE_URL)):
            values.setdefault("batch_url", base_url + urlsplit(DEFAULT_BATCH_URL).path)
        config = cls(**values)
        _check_together(config)
        return config

    @property
    def server(self) -> str:
        """What messages call the one that is delivered to: journy.io, or host and port of another."""
        url = self.base_url if self.write_key is None else self.batch_url
        if url in (DEFAULT_BASE_URL, DEFAULT_BATCH_URL):
            return "journy.io"
        parts = urlsplit(url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    @property
    def loopback(self) -> bool:
        """Whether `base_url` is this machine, as the inspector is."""
        return is_loopback(self.base_url)

    @property
    def usable_key(self) -> Secret | None:
        """The key to send: its own, or a stand-in where a loopback server, or a broker, needs none."""
        if self.api_key is None and (self.loopback or self.broker is not None):
            return Secret("development")
        return self.api_key

    @property
    def rest_key(self) -> Secret | None:
        """The key for the REST API, as above; `None`: only batches are sent."""
        # With a write key the inspector gets no made-up API key: what batches cannot say is dropped there, too.
        return self.usable_key if self.loopback and self.write_key is None else self.api_key

    @property
    def has_key(self) -> bool:
        """Whether there is a key to deliver with, of whichever kind."""
        return self.write_key is not None or self.usable_key is not None


def is_loopback(url: str) -> bool:
    """Whether *url* points at this machine."""
    return is_this_machine(urlsplit(url).hostname or "")


def is_this_machine(host: str) -> bool:
    """Whether *host* is a name or an address of this machine's own."""
    return host in ("localhost", "::1") or (host.startswith("127.") and host.replace(".", "").isdigit())


#: Settings that may hold what no log should: a key, a password, personal data.
_CONFIDENTIAL = ("api_key", "write_key", "base_url", "batch_url", "broker", "carrier_secret", "metadata")


def _checked(name: str, check: Callable[[Any], Any], value: Any) -> Any:
    try:
        return check(revealed(value))
    except BaseException as error:  # also Ctrl-C
        drop_frames(error)
        if not isinstance(error, ValueError):
            raise
        shown = type(revealed(value)).__name__ if name in _CONFIDENTIAL else described(revealed(value))
        problem = f"{name} must be {error}; got {shown}"
    raise ConfigurationError(problem)


def _from_environment(name: str, env: str, text: Secret, option: dataclasses.Field[Any]) -> Any:
    try:
        return option.metadata["check"](option.metadata["parse"](text.reveal()))
    except BaseException as error:  # also Ctrl-C
        drop_frames(error)
        if not isinstance(error, ValueError):
            raise
        problem = f"{env} (setting {name}) must be {error}"
        if name not in _CONFIDENTIAL:
            problem += f"; got {described(text.reveal())}"
    raise ConfigurationError(problem)


def _check_together(config: Config) -> None:
    if urlsplit(config.base_url).scheme == "http" and not config.loopback and not config.allow_http:
        raise ConfigurationError(
            "base_url is plain http:// to a host that is not this machine, so the key would be sent unencrypted: "
            "use https://, or pass allow_http=True (JOURNY_ALLOW_HTTP=1)"
        )
    batch_url = urlsplit(config.batch_url)
    if batch_url.scheme == "http" and not is_loopback(config.batch_url) and not config.allow_http:
        raise ConfigurationError(
            "batch_url is plain http:// to a host that is not this machine, so the write key would be sent "
            "unencrypted: use https://, or pass allow_http=True (JOURNY_ALLOW_HTTP=1)"
        )
    if config.required and config.enabled and not config.has_key:
        raise ConfigurationError(
            "api_key or write_key is required: neither is passed, nor set as JOURNY_API_KEY or JOURNY_WRITE_KEY"
        )


def _unknown(name: str, known: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "the settings are " + ", ".join(known)
    return f"{name} is not a setting of journy_track: {hint}"


def misspelt(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """The variables of *environ* that are nearly the name of a setting's, each with that name."""
    known = {option.metadata["env"] for option in dataclasses.fields(Config)} - {None}
    unknown = [name for name in environ if name.startswith("JOURNY_") and name not in known]
    if not unknown:
        return []
    import difflib

    near = [(name, difflib.get_close_matches(name, known, n=1, cutoff=0.9)) for name in unknown]
    return [(name, found[0]) for name, found in near if found]


def settings_of(values: Mapping[str, Any]) -> Settings:
    """*values* as settings, for callers whose names are checked by `Config.load`."""
    return cast("Settings", dict(values))
