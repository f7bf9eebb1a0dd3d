"""Keys that journy.io refused, remembered across restarts: an app that crashes in a loop must not hammer it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from pathlib import Path

from journy_track._model.secret import Secret
from journy_track._spool.errors import told

#: Seconds beyond which no pause is believed: a wall clock may have jumped.
LONGEST = 300.0


class RefusedKey:
    """Until when one key is quiet, in a file of the folder that is named after the key's hash."""

    def __init__(self, folder: Path, base_url: str, key: Secret) -> None:
        digest = hashlib.blake2b(f"{base_url} {key.reveal()}".encode(), digest_size=16, person=b"journy_track")
        self._path = folder / f"refused-{digest.hexdigest()}.json"

    def remember(self, until: float, pause: float) -> None:
        """It was refused, and is quiet until that second since the epoch, *pause* seconds after the refusal."""
        fresh = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        with told(self._path):
            descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                json.dump({"until": until, "pause": pause}, file)
            os.replace(fresh, self._path)

    def forget(self) -> None:
        """It was accepted."""
        with told(self._path):
            self._path.unlink(missing_ok=True)

    def recall(self, now: float) -> tuple[float, float] | None:
        """Seconds to be quiet for, and the pause that they are part of; `None` when it may be tried."""
        with told(self._path):
            try:
                kept = json.loads(self._path.read_text(encoding="ascii"))
                left, pause = float(kept["until"]) - now, float(kept["pause"])
            except (FileNotFoundError, ValueError, KeyError, TypeError):  # absent, or cut off: nothing is known
                return None
        if not 0 < pause <= LONGEST:
            return None
        return min(max(left, 0.0), pause), pause
