"""The settings: their types, units, defaults and environment variables."""

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
#: The seconds after capture for which delivery of an item in a spool is still attempted.
SPOOL_MAX_AGE = 7 * 24 * 3600.0
BeforeSend = Callable[[Item], Item | None]
Allow = Callable[[UserIdentified], object]
OnError = Callable[[Undelivered], object]
OnAmbiguous = Literal["retry", "drop"]
Priority = Literal["live", "bulk"]


class Settings(TypedDict, total=False):
    """The keyword arguments of `configure()` and `Tracker`. Durations are seconds or a timedelta."""

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
    """The checked settings of one tracker. An argument overrides its environment variable."""

    #: The API key from journy.io: Settings, Connections. It needs the permissions for the calls that are made.
    api_key: Secret | None = _setting(None, checks.key, "JOURNY_API_KEY")
    #: Whether a missing key raises instead of disabling the tracker.
    required: bool = _setting(False, checks.flag)
    base_url: str = _setting(DEFAULT_BASE_URL, checks.url, "JOURNY_BASE_URL")
    #: Whether to allow plain http:// to hosts other than this machine.
    allow_http: bool = _setting(False, checks.flag, "JOURNY_ALLOW_HTTP", checks.flag_text)
    #: The key of journy.io's API/SDK connector. With it, the calls that batches support are sent in batches.
    write_key: Secret | None = _setting(None, checks.key, "JOURNY_WRITE_KEY")
    #: Where batches are sent. If `base_url` is this machine, the default is this machine, too.
    batch_url: str = _setting(DEFAULT_BATCH_URL, checks.url, "JOURNY_BATCH_URL")
    #: The seconds for which a batch waits to be filled.
    batch_interval: float = _setting(0.5, checks.seconds_or_zero, "JOURNY_BATCH_INTERVAL", checks.number_text)
    #: False: every call is a no-op and nothing starts.
    enabled: bool = _setting(True, checks.flag, "JOURNY_ENABLED", checks.flag_text)
    #: The maximum number of unsettled items in memory: queue, outbox, retries, in flight.
    queue_size: int = _setting(10_000, checks.count, "JOURNY_QUEUE_SIZE", checks.count_text)
    #: The maximum number of unsettled bytes in memory.
    queue_bytes: int = _setting(64 * 1024 * 1024, checks.count, "JOURNY_QUEUE_BYTES", checks.count_text)
    #: The maximum number of requests in flight.
    max_connections: int = _setting(8, checks.count, "JOURNY_MAX_CONNECTIONS", checks.count_text)
    #: This process's fixed share of the key's budget, above 0 and up to 1; `None`: derived from the rate headers.
    share: float | None = _setting(None, checks.share, "JOURNY_SHARE", checks.share_text)
    #: `"bulk"` uses only what live events leave of the key's budget: for imports, syncs and nightly scripts.
    priority: Priority = _setting("live", checks.one_of("live", "bulk"), "JOURNY_PRIORITY")
    #: The seconds after which a waiting item makes `health()` not ok.
    max_delay: float = _setting(60.0, checks.seconds, "JOURNY_MAX_DELAY", checks.number_text)
    #: The seconds for connecting and reading in one request, not including resolving the host name.
    timeout: float = _setting(10.0, checks.seconds, "JOURNY_TIMEOUT", checks.number_text)
    #: Seconds that exit waits while nothing is delivered.
    shutdown_timeout: float = _setting(5.0, checks.seconds_or_zero, "JOURNY_SHUTDOWN_TIMEOUT", checks.number_text)
    #: Seconds that exit waits in total, while deliveries succeed; `None`: 25, or more if a script ends by itself.
    shutdown_limit: float | None = _setting(None, checks.seconds_or_zero, "JOURNY_SHUTDOWN_LIMIT", checks.number_text)
    #: In forked children, deliver before `os._exit`, which skips all exit handlers.
    wrap_os_exit: bool = _setting(True, checks.flag, "JOURNY_WRAP_OS_EXIT", checks.flag_text)
    #: The seconds after capture for which delivery is still attempted. With a spool, the default is 7 days.
    max_age: float = _setting(3600.0, checks.seconds, "JOURNY_MAX_AGE", checks.number_text)
    #: What to do with an event whose request may or may not have been processed.
    on_ambiguous: OnAmbiguous = _setting("retry", checks.one_of("retry", "drop"), "JOURNY_ON_AMBIGUOUS")
    #: The seconds for which an upsert identical to a confirmed one is not sent again; 0: off.
    skip_unchanged: float = _setting(0.0, checks.seconds_or_zero, "JOURNY_SKIP_UNCHANGED", checks.number_text)
    #: SQLite file with digests of confirmed items, which makes `skip_unchanged` survive restarts; `None`: in memory.
    skip_unchanged_state: Path | None = _setting(None, checks.file, "JOURNY_SKIP_UNCHANGED_STATE")
    #: Folder of the durable spool; `None`: items wait in memory only.
    spool: Path | None = _setting(None, checks.folder, "JOURNY_SPOOL")
    #: The size of the folder in bytes above which new items are refused.
    spool_limit: int = _setting(1024**3, checks.count, "JOURNY_SPOOL_LIMIT", checks.count_text)
    #: Whether to use the folder even if it belongs to, or can be written by, other users.
    spool_shared: bool = _setting(False, checks.flag, "JOURNY_SPOOL_SHARED", checks.flag_text)
    #: Where items are published for a relay to deliver; `None`: sent to journy.io. A URL is shown as ``***``, since
    #: it may contain a password.
    broker: Secret | Broker | None = _setting(None, checks.broker, "JOURNY_BROKER_URL")
    #: Added to every event.
    metadata: FrozenDict = _setting(FrozenDict(), checks.metadata)
    #: Attach the trace_id and span_id of the active OpenTelemetry span.
    trace_ids: bool = _setting(True, checks.flag, "JOURNY_TRACE_IDS", checks.flag_text)
    #: Also record each event on that span.
    span_events: bool = _setting(False, checks.flag, "JOURNY_SPAN_EVENTS", checks.flag_text)
    before_send: BeforeSend | None = _setting(None, checks.hook)
    #: Returns whether a user may be tracked, e.g. by their consent. Called on the worker, at most once a minute for
    #: each user.
    allow: Allow | None = _setting(None, checks.hook)
    on_error: OnError | None = _setting(None, checks.hook)
    http_client: HttpClient | None = _setting(None, checks.http_client)
    #: Signs what `inject()` writes; `extract()` then accepts nothing else. `None`: nothing is signed or verified.
    carrier_secret: Secret | None = _setting(None, checks.carrier_secret, "JOURNY_CARRIER_SECRET")
    #: Hosts of the app's own services: only requests to them include the user and account. For the global tracker.
    propagate_to: tuple[str, ...] = _setting((), hosts, "JOURNY_PROPAGATE_TO", lambda text: text.split(","))
    #: Whether wrong values raise where they are passed; `None`: while tests run, and with *debug*.
    strict: bool | None = _setting(None, checks.flag, "JOURNY_STRICT", checks.flag_text)
    #: Log each item and its response; also validate items where they are captured, and raise there.
    debug: bool = _setting(False, checks.flag, "JOURNY_DEBUG", checks.flag_text)

    @classmethod
    def load(
        cls,
        api_key: str | Secret | None = None,
        settings: Settings | None = None,
        environ: Mapping[str, str] | Hidden | None = None,
    ) -> Config:
        """Load the settings from arguments and environment. Raises `ConfigurationError` naming the argument.

        If the caller has hidden the key, no stack frame in here holds it in plain text.
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
            elif env is not None and environ.reveal().get(env):  # an empty variable counts as unset
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
        """The name of the receiving server in messages: journy.io, or the host and port of another one."""
        url = self.base_url if self.write_key is None else self.batch_url
        if url in (DEFAULT_BASE_URL, DEFAULT_BATCH_URL):
            return "journy.io"
        parts = urlsplit(url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    @property
    def loopback(self) -> bool:
        """Whether `base_url` points to this machine, as for the inspector."""
        return is_loopback(self.base_url)

    @property
    def usable_key(self) -> Secret | None:
        """The API key to send, or a placeholder if a loopback server or a broker needs none."""
        if self.api_key is None and (self.loopback or self.broker is not None):
            return Secret("development")
        return self.api_key

    @property
    def rest_key(self) -> Secret | None:
        """The key for the REST API, or a placeholder as above; `None`: only batches are sent."""
        # With a write key, the inspector gets no placeholder, so calls that batches do not support are dropped, too.
        return self.usable_key if self.loopback and self.write_key is None else self.api_key

    @property
    def has_key(self) -> bool:
        """Whether there is a key to deliver with, of either kind."""
        return self.write_key is not None or self.usable_key is not None


def is_loopback(url: str) -> bool:
    """Whether *url* points to this machine."""
    return is_this_machine(urlsplit(url).hostname or "")


def is_this_machine(host: str) -> bool:
    """Whether *host* is a loopback name or address."""
    return host in ("localhost", "::1") or (host.startswith("127.") and host.replace(".", "").isdigit())


#: Settings whose values must not be logged: they may hold a key, a password or personal data.
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
    """The variables of *environ* that look like a misspelt setting, each with the correct name."""
    known = {option.metadata["env"] for option in dataclasses.fields(Config)} - {None}
    unknown = [name for name in environ if name.startswith("JOURNY_") and name not in known]
    if not unknown:
        return []
    import difflib

    near = [(name, difflib.get_close_matches(name, known, n=1, cutoff=0.9)) for name in unknown]
    return [(name, found[0]) for name, found in near if found]


def settings_of(values: Mapping[str, Any]) -> Settings:
    """Cast *values* to settings, for callers that rely on `Config.load` to check the names."""
    return cast("Settings", dict(values))
