"""Enqueues tasks, each for a different user. The Django middleware would do what the `with` block does here."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

import journy_track
from shop import tasks


class Command(BaseCommand):
    """`python -m django ask_for_reports 3`."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Take how many customers ask for a report."""
        parser.add_argument("customers", type=int)

    def handle(self, *args: Any, customers: int, **options: Any) -> None:
        """Let each customer ask for a report."""
        for number in range(customers):
            with (
                journy_track.user(f"u{number}"),
                journy_track.account("acme"),
                journy_track.metadata(channel="web"),
            ):
                tasks.export_report.enqueue("2026-10")
        tasks.clean_up.enqueue()
