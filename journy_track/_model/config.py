"""Every setting once: its type, unit, default and environment variable."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypedDict, cast
from urllib.parse import urlsplit

from journy_track._model import checks
from journy_track._model.broker import Broker
from journy_track._model.errors import ConfigurationError, described
from journy_track._model.frozendict import FrozenDict
from journy_track._model.http import HttpClient
from journy_track._model.items import Item
from journy_track._model.outcomes import Undelivered
from journy_track._model.secret import Secret

DEFAULT_BASE_URL = "https://api.journy.io"
#: Seconds after capture during which an item in a spool is still tried.
SPOOL_MAX_AGE = 7 * 24 * 3600.0
BeforeSend = Callable[[Item], Item | None]
OnError = Callable[[Undelivered], object]
OnAmbiguous = Literal["retry", "drop"]


class Settings(TypedDict, total=False):
    """What `configure()` and `Tracker` take, all by keyword. Durations are seconds or a timedelta."""

    required: bool
    base_url: str | None
    allow_http: bool | None
    enabled: bool | None
    queue_size: int | None
    queue_bytes: int | None
    max_connections: int | None
    share: float | None
    timeout: float | timedelta | None
    shutdown_timeout: float | timedelta | None
    max_age: float | timedelta | None
    on_ambiguous: OnAmbiguous | None
    skip_unchanged: float | timedelta | None
    spool: str | os.PathLike[str] | None
    spool_limit: int | None
    broker: str | Broker | None
    metadata: Mapping[str, object] | None
    trace_ids: bool | None
    span_events: bool | None
    before_send: BeforeSend | None
    on_error: OnError | None
    http_client: HttpClient | None
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
    #: Seconds for one request, connecting and reading, but for looking up the host's name.
    timeout: float = _setting(10.0, checks.seconds, "JOURNY_TIMEOUT", checks.number_text)
    #: Seconds that exit may wait for delivery.
    shutdown_timeout: float = _setting(5.0, checks.seconds_or_zero, "JOURNY_SHUTDOWN_TIMEOUT", checks.number_text)
    #: Seconds after capture during which an item is still tried. With a spool 7 days, unless set.
    max_age: float = _setting(3600.0, checks.seconds, "JOURNY_MAX_AGE", checks.number_text)
    #: What becomes of an event whose request may or may not have been processed.
    on_ambiguous: OnAmbiguous = _setting("retry", checks.one_of("retry", "drop"), "JOURNY_ON_AMBIGUOUS")
    #: Seconds: an upsert identical to one that was confirmed within them is not sent again; 0: off.
    skip_unchanged: float = _setting(0.0, checks.seconds_or_zero, "JOURNY_SKIP_UNCHANGED", checks.number_text)
    #: Folder of the durable spool; `None`: what waits is in memory only.
    spool: Path | None = _setting(None, checks.folder, "JOURNY_SPOOL")
    #: Bytes of the folder above which the newest items are refused.
    spool_limit: int = _setting(1024**3, checks.count, "JOURNY_SPOOL_LIMIT", checks.count_text)
    #: Where items go for a relay to deliver; `None`: to journy.io. A URL may hold a password, and shows as ``***``.
    broker: Secret | Broker | None = _setting(None, checks.broker, "JOURNY_BROKER_URL")
    #: Added to every event.
    metadata: FrozenDict = _setting(FrozenDict(), checks.metadata)
    #: Attach trace_id and span_id of the active OpenTelemetry span.
    trace_ids: bool = _setting(True, checks.flag, "JOURNY_TRACE_IDS", checks.flag_text)
    #: Also record each event on that span.
    span_events: bool = _setting(False, checks.flag, "JOURNY_SPAN_EVENTS", checks.flag_text)
    before_send: BeforeSend | None = _setting(None, checks.function)
    on_error: OnError | None = _setting(None, checks.function)
    http_client: HttpClient | None = _setting(None, checks.http_client)
    #: Log each item and its answer; validate also where it is captured, and raise there.
    debug: bool = _setting(False, checks.flag, "JOURNY_DEBUG", checks.flag_text)

    @classmethod
    def load(
        cls,
        api_key: str | Secret | None = None,
        settings: Settings | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Config:
        """The settings from arguments and environment. Raises `ConfigurationError` naming the argument."""
        environ = os.environ if environ is None else environ
        given: dict[str, Any] = {"api_key": api_key, **(settings or {})}
        fields = {f.name: f for f in dataclasses.fields(cls)}
        for name in given:
            if name not in fields:
                raise ConfigurationError(_unknown(name, list(fields)))
        values: dict[str, Any] = {}
        for name, option in fields.items():
            env = option.metadata["env"]
            if given.get(name) is not None:
                values[name] = _checked(name, option.metadata["check"], given[name])
            elif env is not None and environ.get(env):  # an empty variable counts as not set
                values[name] = _from_environment(name, env, environ[env], option)
        if values.get("spool") is not None:
            values.setdefault("max_age", SPOOL_MAX_AGE)
        config = cls(**values)
        _check_together(config)
        return config

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


def is_loopback(url: str) -> bool:
    """Whether *url* points at this machine."""
    return is_this_machine(urlsplit(url).hostname or "")


def is_this_machine(host: str) -> bool:
    """Whether *host* is a name or an address of this machine's own."""
    return host in ("localhost", "::1") or (host.startswith("127.") and host.replace(".", "").isdigit())


#: Settings that may hold what no log should: a key, a password, personal data.
_CONFIDENTIAL = ("api_key", "base_url", "broker", "metadata")


def _checked(name: str, check: Callable[[Any], Any], value: Any) -> Any:
    try:
        return check(value)
    except ValueError as error:
        shown = type(value).__name__ if name in _CONFIDENTIAL else described(value)
        problem = f"{name} must be {error}; got {shown}"
    raise ConfigurationError(problem)


def _from_environment(name: str, env: str, text: str, option: dataclasses.Field[Any]) -> Any:
    try:
        return option.metadata["check"](option.metadata["parse"](text))
    except ValueError as error:
        problem = f"{env} (setting {name}) must be {error}"
        if name not in _CONFIDENTIAL:
            problem += f"; got {described(text)}"
    raise ConfigurationError(problem)


def _check_together(config: Config) -> None:
    if urlsplit(config.base_url).scheme == "http" and not config.loopback and not config.allow_http:
        raise ConfigurationError(
            "base_url is plain http:// to a host that is not this machine, so the key would travel in clear: "
            "use https://, or say allow_http=True (JOURNY_ALLOW_HTTP=1)"
        )
    if config.required and config.enabled and config.usable_key is None:
        raise ConfigurationError("api_key is required, and neither the argument nor JOURNY_API_KEY is set")


def _unknown(name: str, known: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "known are " + ", ".join(known)
    return f"{name} is not a setting of journy_track: {hint}"


def settings_of(values: Mapping[str, Any]) -> Settings:
    """*values* as settings, for callers whose names are checked by `Config.load`."""
    return cast(Settings, dict(values))
