"""Remembers keys that journy.io refused across restarts, so that an app in a crash loop does not hammer it."""

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

#: The longest accepted pause in seconds, as the wall clock may have jumped.
MAX_PAUSE = 300.0
#: Maximum bytes read from the file, which has less than 100.
MAX_NOTE = 4096


class RefusedKey:
    """Stores until when a refused key is not used, in a file of the folder that is named after the key's hash."""

    def __init__(self, folder: Path, base_url: str, key: Secret) -> None:
        digest = hashlib.blake2b(f"{base_url} {key.reveal()}".encode(), digest_size=16, person=b"journy_track")
        self._path = folder / f"refused-{digest.hexdigest()}.json"

    def remember(self, until: float, pause: float) -> None:
        """Store that the key was refused: it is not used for *pause* seconds, until *until* (epoch seconds)."""
        fresh = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        with mapped_errors(self._path):
            descriptor = open_regular(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            try:
                with os.fdopen(descriptor, "w", encoding="ascii") as file:
                    json.dump({"until": until, "pause": pause}, file)
                os.replace(fresh, self._path)
            except BaseException:  # for example if there is a folder in its place
                fresh.unlink(missing_ok=True)
                raise

    def forget(self) -> None:
        """Remove the note, as the key was accepted."""
        with mapped_errors(self._path):
            self._path.unlink(missing_ok=True)

    def recall(self, now: float) -> tuple[float, float] | None:
        """Return the remaining and the total seconds of the pause; `None` if the key may be used."""
        try:
            until, pause = self._kept()
        except FileNotFoundError:
            return None
        except OSError as error:
            why = error.strerror
        # RecursionError: deeply nested lists. OverflowError: an integer too large for a float.
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            why = "it is truncated, or was not written by journy_track"
        else:
            return min(max(until - now, 0.0), pause), pause
        warn_once(
            ("refused key", self._path),
            "%s: this record of a refused key is ignored, and the key is tried: %s. Remove it.",
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
