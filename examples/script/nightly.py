"""A script without a framework: a nightly job that sets the user and the account for each row.

journy-track inspect                                            # in another terminal
JOURNY_BASE_URL=http://127.0.0.1:8470 python examples/script/nightly.py examples/script/subscriptions.csv

What is captured is delivered before the script ends; it waits for up to `shutdown_timeout`.
"""

import csv
import sys
from decimal import Decimal
from pathlib import Path

import journy_track
from journy_track import TypedEvent, track_event


@journy_track.event
class RenewedSubscription(TypedEvent):
    """An account has renewed its plan."""

    plan: str


@journy_track.event
class FailedToRenew(TypedEvent):
    """An account could not renew its plan."""

    error_type: str


@track_event(RenewedSubscription)  # what it returns is the event
def renew(plan: str) -> RenewedSubscription:
    if plan == "unknown":
        raise ValueError("no such plan")
    return RenewedSubscription(plan=plan)


def main(path: str) -> int:
    journy_track.configure(shutdown_timeout=30, metadata={"job": "nightly"})
    failed = 0
    with Path(path).open(newline="") as file:
        for row in csv.DictReader(file):
            with journy_track.scope():
                journy_track.set_user(row["user"])
                journy_track.set_account(row["company"])
                journy_track.upsert_account(plan=row["plan"], mrr=Decimal(row["mrr"]))
                try:
                    renew(row["plan"])
                except ValueError as error:
                    FailedToRenew(error_type=type(error).__name__).track()
                    failed += 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
