"""`manage.py journy_sync`: bring all accounts and users at journy.io up to date, as `JOURNY["sync"]` defines."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from journy_track._model.errors import JournyError
from journy_track._runtime import get_tracker
from journy_track._sync.syncing import sync_accounts, sync_users
from journy_track.integrations.django._settings import SYNC_OPTIONS, SYNCED, rows_of, sync_of

if TYPE_CHECKING:  # Django has no types: this class would have none either

    class BaseCommand:
        """The part of Django's class that is used here."""

        stdout: TextIO
else:
    from django.core.management.base import BaseCommand

_SYNCS = dict(zip(SYNCED, (sync_accounts, sync_users), strict=True))
#: The exit code that a shell reports for a process ended by Ctrl-C.
_INTERRUPTED = 130


class Command(BaseCommand):
    """Exits with 1 if not everything was delivered; run it again in that case."""

    help = (
        "Bring all accounts and users at journy.io up to date. Only what differs from what journy.io confirmed last "
        "is sent. The rows are those of the functions that JOURNY['sync'] names."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add this command's arguments."""
        only = "sync only these; default: all that JOURNY['sync'] names"
        parser.add_argument("what", nargs="?", choices=SYNCED, help=only)
        parser.add_argument("--dry-run", action="store_true", help="send nothing, only count what would be sent")
        parser.add_argument("--all", action="store_true", help="also send what is unchanged")
        wait = "how long to wait for a sync that is already running"
        parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help=wait)

    def handle(self, *, what: str | None = None, dry_run: bool = False, **options: Any) -> None:
        """Sync, print the result, and raise `CommandError` if not everything was delivered."""
        try:
            sync = sync_of(getattr(settings, "JOURNY", {}))
            named = [name for name in SYNCED if name in sync and what in (None, name)]
            if not named:
                raise CommandError(f"JOURNY['sync'] names no {what or 'rows'}: see docs/guides/sync.md")
            functions = {name: rows_of(sync, name) for name in named}
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        if not self._is_enabled():
            return
        given = {name: sync[name] for name in SYNC_OPTIONS if name in sync}
        left = set(functions)
        for name, rows in functions.items():
            try:
                with _closed(rows()) as found:
                    report = _SYNCS[name](
                        found,
                        dry_run=dry_run,
                        everything=options.get("all", False),
                        wait=options.get("wait", 0.0),
                        **given,
                    )
            except JournyError as error:
                raise CommandError(f"{name}: {error}") from error
            except KeyboardInterrupt:
                raise CommandError(f"{name}: stopped by Ctrl-C", returncode=_INTERRUPTED) from None
            self.stdout.write(f"{name}: {report}")
            if report.ok:
                left.remove(name)
            if report.stopped is not None:
                break
        if left:
            raise CommandError(f"not everything was delivered: {', '.join(sorted(left))}. Run it again")

    def _is_enabled(self) -> bool:
        tracker = get_tracker()
        if tracker is None:
            raise CommandError("call journy_track.configure() in the settings")
        if tracker.config.enabled and not tracker.enabled:
            raise CommandError("there is no key: set JOURNY_API_KEY or JOURNY_WRITE_KEY")
        if not tracker.enabled:
            self.stdout.write("journy_track is disabled: nothing was sent")
        return tracker.enabled


@contextmanager
def _closed(rows: Iterable[Any]) -> Iterator[Iterable[Any]]:
    """Close *rows* even if the sync ends early: a generator that ends later finds its connection closed."""
    try:
        yield rows
    finally:
        close = getattr(rows, "close", None)
        if close is not None:
            close()
