"""What the commands that call journy.io share: the base URL, and the key, which is never passed as an argument."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from journy_track._model.config import Config, Settings
from journy_track._model.errors import ConfigurationError
from journy_track._model.secret import Hidden, Secret
from journy_track.cli.console import fail

KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file",
        metavar="FILE",
        help="A file with the API key. Default: JOURNY_API_KEY. A write key comes from JOURNY_WRITE_KEY.",
    ),
]
BaseUrl = Annotated[
    str | None, typer.Option("--base-url", metavar="URL", help="Where the API is. Default: JOURNY_BASE_URL.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]

NO_KEY = (
    "There is no API key. Make one at journy.io (Settings, Connections, with the permission to track data) and set "
    "JOURNY_API_KEY, or name a file with --api-key-file; or set JOURNY_WRITE_KEY to that of the API/SDK connector. "
    "The local inspector needs none: JOURNY_BASE_URL=http://…"
)
#: The app's settings that a command uses: those for sending, but not those for queueing, spooling or logging.
_READ = (
    "JOURNY_API_KEY",
    "JOURNY_WRITE_KEY",
    "JOURNY_BASE_URL",
    "JOURNY_BATCH_URL",
    "JOURNY_BATCH_INTERVAL",
    "JOURNY_ALLOW_HTTP",
    "JOURNY_MAX_CONNECTIONS",
    "JOURNY_SHARE",
    "JOURNY_TIMEOUT",
)


def config_of(key_file: Path | None, base_url: str | None, *, need_key: bool = True, **settings: Any) -> Config:
    """The settings for one command. Exits with 2 if one is invalid, or if *need_key* is set and there is no key."""
    given: Settings = {"base_url": base_url, **settings}  # type: ignore[typeddict-item]
    environ = Hidden({name: os.environ[name] for name in _READ if name in os.environ})
    try:
        config = Config.load(key_of(key_file), given, environ)
    except ConfigurationError as error:
        fail(f"{error}.", 2)
    if need_key and not config.has_key:
        fail(NO_KEY, 2)
    return config


def key_of(key_file: Path | None) -> Secret | None:
    """The key in the file; `None` without a file. Exits with 2 if the file is empty or cannot be read."""
    if key_file is None:
        return None
    try:
        key = Secret(key_file.read_text(encoding="utf-8").strip())
    except OSError as error:
        fail(f"Cannot read the key file {key_file}: {error.strerror or error}.", 2)
    except UnicodeDecodeError:
        fail(f"The key file {key_file} is not UTF-8 text: it must hold the key, and nothing else.", 2)
    if not key.reveal():
        fail(f"The key file {key_file} is empty: it must hold the key, and nothing else.", 2)
    return key
