"""What runs at night."""

from __future__ import annotations

from datetime import UTC, datetime

from .people import Company, User
from .setup import nightly


def report(company: Company, users: list[User]) -> None:
    for user in users:
        nightly.capture(
            "report sent",
            distinct_id=user.pk,
            properties={"kind": "weekly", "to": user.email, "users": len(users)},
        )
    nightly.group_identify("company", company.id, {"users": len(users)})
    nightly.flush()


def renew(user: User) -> None:
    now = datetime.now(UTC)
    nightly.capture(
        "subscription renewed", distinct_id=user.pk, properties={"plan": user.company.plan}, timestamp=now
    )


def expire(user: User) -> None:
    nightly.capture("trial expired", distinct_id=user.pk, properties={"plan": user.company.plan, "days": 14})


def usage(user: User, counts: dict[str, int]) -> None:
    nightly.set(distinct_id=user.pk, properties={"projects": counts.get("projects", 0)})
    nightly.shutdown()
