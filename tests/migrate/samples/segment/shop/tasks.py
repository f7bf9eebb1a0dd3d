"""What runs at night."""

from __future__ import annotations

from datetime import UTC, datetime

import segment.analytics as analytics
from segment.analytics.client import Client

from .people import Company, User

_nightly = Client("another-key", host="https://api.segment.io")


def report(company: Company, users: list[User]) -> None:
    for user in users:
        _nightly.track(user.pk, "Report Sent", {"kind": "weekly", "to": user.email, "users": len(users)})
    _nightly.group(anonymous_id=company.id, group_id=company.id, traits={"users": len(users)})
    _nightly.flush()


def renew(user: User) -> None:
    now = datetime.now(UTC)
    analytics.track(user.pk, "Subscription Renewed", {"plan": user.company.plan}, timestamp=now)


def expire(user: User) -> None:
    analytics.track(
        user.pk,
        "Trial Expired",
        {"plan": user.company.plan, "days": 14},
        integrations={"Intercom": False},
    )


def usage(user: User, counts: dict[str, int]) -> None:
    analytics.track(user_id=user.pk, event="Usage Measured", properties=counts)
    analytics.identify(user.pk, {"last_measured": "2026-05-17", "projects": counts.get("projects", 0)})
