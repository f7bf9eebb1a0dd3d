"""The checks of `journy-track doctor`: settings and their origin, versions, the process, and the path to the API."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
import secrets
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from journy_track._model.broker import BrokerError
from journy_track._model.config import Config, misspelt, settings_of
from journy_track._model.errors import ConfigurationError
from journy_track._model.secret import Secret
from journy_track._stores.sqlite import NEED_SQLITE, is_sqlite
from journy_track._version import __version__
from journy_track.cli.console import counted
from journy_track.integrations._about import uwsgi

#: Packages that this library uses, or is used with.
PACKAGES = (
    *("requests", "urllib3", "certifi", "wrapt", "opentelemetry-api", "opentelemetry-sdk"),
    *("django", "flask", "fastapi", "starlette", "celery", "sqlalchemy", "redis", "kombu"),
    *("gunicorn", "uvicorn", "gevent", "typer", "rich"),
)
#: The variables from which requests reads its proxies and certificates.
_NETWORK = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_WARN_DAYS = 14
_BYTES = ("queue_bytes", "spool_limit")
_SECONDS = ("batch_interval", "timeout", "shutdown_timeout", "shutdown_limit", "max_age", "skip_unchanged")


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. *state* is `ok`, `note` (no action needed) or `problem`."""

    topic: str
    name: str
    value: str
    state: str = "ok"
    origin: str | None = None


def settings(arguments: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[Finding]:
    """Each setting with its value and origin. The key itself is never shown."""
    for field in dataclasses.fields(Config):
        variable = field.metadata["env"]
        if variable is None and field.name not in arguments:
            continue
        origin = "default"
        if arguments.get(field.name) is not None:
            origin = "argument"
        elif variable and environ.get(variable):
            origin = variable
        try:
            config = _alone(
                field.name, arguments.get(field.name), {variable: environ[variable]} if origin == variable else {}
            )
        except ConfigurationError as error:
            yield Finding("settings", field.name, str(error), "problem", origin)
            continue
        value = getattr(config, field.name) if origin != "default" else field.default
        yield Finding("settings", field.name, _shown(field.name, value), origin=origin)
    for name, meant in misspelt(environ):
        yield Finding(
            "settings", name, f"not a setting, and ignored: did you mean {meant}?", "problem", "environment"
        )


def _alone(name: str, argument: Any, environ: Mapping[str, str]) -> Config:
    """Load one setting alone, so that each invalid one is found. http:// is checked with all settings together."""
    if name == "api_key":
        return Config.load(argument, environ=environ)
    return Config.load(None, settings_of({"allow_http": True, name: argument}), environ)


def together(arguments: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[Config | None, list[Finding]]:
    """All settings as `configure()` would load them, and the problems; the settings are `None` if it would raise."""
    given = settings_of({name: value for name, value in arguments.items() if name != "api_key"})
    try:
        config = Config.load(arguments.get("api_key"), given, environ)
    except ConfigurationError as error:
        return None, [Finding("settings", "configure()", str(error), "problem")]
    if not config.enabled:
        return config, [Finding("settings", "configure()", "disabled: every call is a no-op", "note")]
    if not config.has_key:
        return config, [
            Finding(
                "settings",
                "configure()",
                "no API key: nothing would be captured. Set JOURNY_API_KEY or JOURNY_WRITE_KEY",
                "problem",
            )
        ]
    return config, []


def _shown(name: str, value: object) -> str:
    if name in ("api_key", "write_key"):
        return "none" if value is None else "set (not shown)"
    if value is None or isinstance(value, bool):
        return "none" if value is None else str(value).lower()
    if name in _BYTES and isinstance(value, int):
        return _bytes(value)
    return f"{value:g} s" if isinstance(value, float) and name in _SECONDS else f"{value}"


def versions() -> Iterator[Finding]:
    """The versions of Python, this library and related packages."""
    yield Finding("versions", "python", f"{platform.python_version()} ({platform.python_implementation()})")
    yield Finding("versions", "journy-track", __version__)
    for package in PACKAGES:
        try:
            yield Finding("versions", package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            continue


def process() -> Iterator[Finding]:
    """Whether threads can be started here, and what system this is."""
    try:
        thread = threading.Thread(target=lambda: None, daemon=True)
        thread.start()
        thread.join(5)
        yield Finding("process", "threads", "can be started")
    except RuntimeError as error:
        why = f"cannot be started ({error}): items are delivered at exit only"
        yield Finding("process", "threads", why, "problem")
    if uwsgi.without_threads():
        why = "runs without Python's threads, so nothing is delivered while it serves: start it with --enable-threads"
        yield Finding("process", "uWSGI", why, "problem")
    yield Finding("process", "system", f"{platform.system()} {platform.release()}, {os.cpu_count()} CPUs")


def network(environ: Mapping[str, str]) -> Iterator[Finding]:
    """The proxies and certificates configured in the environment."""
    for name in _NETWORK:
        for variable in (name, name.lower()):
            if value := environ.get(variable):
                missing = name.endswith("_CA_BUNDLE") and not Path(value).exists()
                state = "problem" if missing else "note"
                shown = f"{value} (it does not exist)" if missing else without_password(value)
                yield Finding("network", variable, shown, state, "environment")


def without_password(url: str) -> str:
    """*url* with the user and password before the host hidden."""
    scheme, separator, rest = url.rpartition("://")
    return f"{scheme}{separator}…@{rest.rpartition('@')[2]}" if "@" in rest else url


def way(url: str, timeout: float) -> Iterator[Finding]:
    """DNS, connection and certificate of the host in *url*, or the proxy in between."""
    import requests

    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    if proxy:
        yield Finding("reach", "proxy", f"{without_password(proxy)} is asked for {host}", "note")
        return
    try:
        addresses = {str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        yield Finding("reach", "DNS", f"{host} could not be resolved ({error.strerror or error})", "problem")
        return
    yield Finding("reach", "DNS", f"{host} is {', '.join(sorted(addresses))}")
    try:
        with socket.create_connection((host, port), timeout=timeout) as connection:
            yield Finding("reach", "connection", f"port {port} accepts connections")
            if parts.scheme == "https":
                yield from _tls(connection, host)
    except OSError as error:
        yield Finding("reach", "connection", f"port {port}: {error.strerror or error}", "problem")


def _tls(connection: socket.socket, host: str) -> Iterator[Finding]:
    import certifi

    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or certifi.where()
    try:
        where = {"cafile": bundle} if Path(bundle).is_file() else {"capath": bundle}
        context = ssl.create_default_context(**where)  # type: ignore[arg-type]
        with context.wrap_socket(connection, server_hostname=host) as secured:
            certificate, version = secured.getpeercert() or {}, secured.version()
    except ssl.SSLCertVerificationError as error:
        yield Finding("reach", "TLS", f"the certificate is not trusted: {error.verify_message}", "problem")
        return
    except OSError as error:
        yield Finding("reach", "TLS", str(error.strerror or error), "problem")
        return
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    days = (ends - datetime.now(UTC)).days
    state = "ok" if days >= _WARN_DAYS else "note"
    yield Finding("reach", "TLS", f"{version}, certificate until {ends:%Y-%m-%d}", state)


def spool(path: Path, limit: int) -> Iterator[Finding]:
    """The state of the spool's folder."""
    try:
        from journy_track._stores.sqlite.file import SUFFIX
    except ModuleNotFoundError as missing:
        if not is_sqlite(missing):
            raise
        yield Finding("spool", "SQLite", NEED_SQLITE, "problem")
        return
    try:
        yield from _folder(path, limit, SUFFIX)
    except OSError as error:
        yield Finding("spool", str(path), f"cannot be checked ({error.strerror or error})", "problem")


def _folder(path: Path, limit: int, suffix: str) -> Iterator[Finding]:
    if not path.exists():
        parent = next((folder for folder in path.parents if folder.exists()), None)
        if parent is None:
            yield Finding("spool", str(path), "is on a drive that does not exist", "problem")
            return
        can = os.access(parent, os.W_OK)
        what = "does not exist yet" if can else f"does not exist, and {parent} cannot be written to"
        yield Finding("spool", str(path), what, "note" if can else "problem")
        return
    if not path.is_dir():
        yield Finding("spool", str(path), "is not a folder", "problem")
        return
    if problem := _problem_of_writing(path):
        yield Finding("spool", str(path), f"is not a folder that can be written to ({problem})", "problem")
        return
    files = [file for file in path.iterdir() if file.name.endswith(suffix)]
    size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    room = shutil.disk_usage(path).free
    text = f"{counted(len(files), 'file')}, {_bytes(size)} of {_bytes(limit)}; {_bytes(room)} free on the disk"
    yield Finding("spool", str(path), text, "problem" if size >= limit or room < 1 << 20 else "ok")
    if not hasattr(os, "geteuid"):
        who = "are not checked on Windows: let only this user and administrators write to the folder"
        yield Finding("spool", "permissions", who, "note")
    elif path.stat().st_mode & 0o077:
        yield Finding("spool", "permissions", "other users have access to the folder: chmod 700", "note")


def _problem_of_writing(folder: Path) -> str | None:
    """Why no file can be created there. Creates one to find out: os.access() ignores Windows permissions."""
    probe = folder / f"doctor-{secrets.token_hex(8)}"
    try:
        probe.touch(0o600, exist_ok=False)
        probe.unlink()
    except OSError as error:
        return error.strerror or str(error)
    return None


def broker(url: Secret) -> Iterator[Finding]:
    """The state of the broker, as a relay sees it."""
    from journy_track._stores.redis.stream import RelayQueue

    try:
        queue = RelayQueue(url, lease=1.0)
        try:
            waiting, _, dead = queue.depth()
            led, concerns = queue.is_led(), queue.concerns()
        finally:
            queue.close()
    except (BrokerError, ConfigurationError) as error:
        yield Finding("broker", "reach", str(error), "problem")
        return
    yield Finding("broker", "reach", f"{waiting:,} messages wait; {dead:,} dead letters")
    if led:
        yield Finding("broker", "relay", "one leads")
    else:
        yield Finding("broker", "relay", "none is leading: nothing is delivered until one is", "note")
    for concern in concerns:
        yield Finding("broker", "settings", concern, "note")


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
