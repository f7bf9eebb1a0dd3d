"""Keys that journy.io refused, remembered across restarts: an app that crashes in a loop must not hammer it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from math import isfinite
from pathlib import Path

from journy_track._model.errors import printable
from journy_track._model.once import warn_once
from journy_track._model.secret import Secret
from journy_track._stores.sqlite.errors import mapped_errors
from journy_track._stores.sqlite.lock import open_regular

#: The longest pause that is believed, in seconds: a wall clock may have jumped.
MAX_PAUSE = 300.0
#: Bytes that are read of it. It has less than 100.
MAX_NOTE = 4096


class RefusedKey:
    """Until when one key is quiet, in a file of the folder that is named after the key's hash."""

    def __init__(self, folder: Path, base_url: str, key: Secret) -> None:
        digest = hashlib.blake2b(f"{base_url} {key.reveal()}".encode(), digest_size=16, person=b"journy_track")
        self._path = folder / f"refused-{digest.hexdigest()}.json"

    def remember(self, until: float, pause: float) -> None:
        """It was refused, and is quiet until that second since the epoch, *pause* seconds after the refusal."""
        fresh = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        with mapped_errors(self._path):
            descriptor = open_regular(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            try:
                with os.fdopen(descriptor, "w", encoding="ascii") as file:
                    json.dump({"until": until, "pause": pause}, file)
                os.replace(fresh, self._path)
            except BaseException:  # as where somebody has put a folder in its place
                fresh.unlink(missing_ok=True)
                raise

    def forget(self) -> None:
        """It was accepted."""
        with mapped_errors(self._path):
            self._path.unlink(missing_ok=True)

    def recall(self, now: float) -> tuple[float, float] | None:
        """Seconds to be quiet for, and the pause that they are part of; `None` when it may be tried."""
        try:
            until, pause = self._kept()
        except FileNotFoundError:
            return None
        except OSError as error:
            why = error.strerror
        # RecursionError: lists in lists. OverflowError: an integer beyond all floats.
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            why = "it was cut off, or is from somebody else"
        else:
            return min(max(until - now, 0.0), pause), pause
        warn_once(
            ("refused key", self._path),
            "%s: this note of a refused key is ignored: %s.",
            printable(str(self._path)),
            why,
        )
        return None

    def _kept(self) -> tuple[float, float]:
        descriptor = open_regular(self._path, os.O_RDONLY)
        try:
            kept = json.loads(os.read(descriptor, MAX_NOTE).decode("ascii"))
        finally:
            os.close(descriptor)
        until, pause = float(kept["until"]), float(kept["pause"])
        if not isfinite(until) or not 0 < pause <= MAX_PAUSE:
            raise ValueError("no moment, or no pause")
        return until, pause
