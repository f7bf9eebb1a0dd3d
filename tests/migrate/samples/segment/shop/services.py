"""What the shop does: each service tells what happened."""

from __future__ import annotations

from datetime import datetime, timezone

import segment.analytics as analytics

from .people import Company, Invoice, User

SOURCE = "backend"


def sign_up(user: User, plan: str, *, invited: bool = False) -> User:
    """Make an account of a visitor."""
    analytics.identify(user.pk, {"email": user.email, "name": user.name, "plan": plan})
    analytics.track(user.pk, "Signed Up", {"plan": plan, "invited": invited})
    analytics.group(
        user_id=user.pk,
        group_id=user.company.id,
        traits={
            "name": user.company.name,
            "domain": user.company.domain,
            "seats": user.company.seats,
        },
    )
    return user


def sign_in(user: User) -> None:
    analytics.track(user_id=str(user.pk), event="Signed In")


def change_plan(user: User, plan: str) -> None:
    before, user.company.plan = user.company.plan, plan
    # Sales looks at this one every morning.
    analytics.track(
        user_id=user.pk,  # the database's, not the e-mail
        event="Plan Changed",
        properties={
            "from": before,
            "to": plan,
            "source": SOURCE,
        },
        context={"groupId": user.company.id},
    )
    analytics.identify(user.pk, traits={"plan": plan})


def pay(user: User, invoice: Invoice) -> None:
    analytics.track(
        user.pk,
        "Invoice Paid",
        {"number": invoice.number, "total": invoice.total, "currency": invoice.currency},
        timestamp=invoice.paid_at.astimezone(timezone.utc),
    )
    if invoice.total > 100: analytics.track(user.pk, "Large Invoice Paid", {"total": invoice.total})  # fmt: skip


def pay_later(user: User, invoice: Invoice, due: datetime) -> None:
    analytics.track(user.pk, "Invoice Postponed", {"number": invoice.number}, timestamp=due)


def refund(user: User, invoice: Invoice) -> None:
    properties = {"number": invoice.number, "total": -invoice.total}
    properties["reason"] = "asked for it"
    analytics.track(user.pk, "Refunded", properties)


def cancel(user: User, reason: str | None = None) -> None:
    try:
        user.company.plan = "free"
    finally:
        analytics.track(user.pk, "Subscription Cancelled", {"reason": reason, "account": user.company.name})
        analytics.flush()


def rename(company: Company, name: str) -> None:
    company.name = name
    analytics.group(anonymous_id=company.id, group_id=company.id, traits={"name": name})


def move(user: User, company: Company) -> None:
    user.company = company
    analytics.group(user.pk, company.id)
