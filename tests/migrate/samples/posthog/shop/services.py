"""What the shop does: each service tells what happened."""

from __future__ import annotations

from datetime import datetime, timezone

import posthog

from .people import Company, Invoice, User

SOURCE = "backend"


def sign_up(user: User, plan: str, *, invited: bool = False) -> User:
    """Make an account of a visitor."""
    posthog.set(distinct_id=user.pk, properties={"email": user.email, "name": user.name, "plan": plan})
    posthog.capture("signed up", distinct_id=user.pk, properties={"plan": plan, "invited": invited})
    posthog.group_identify(
        "company",
        user.company.id,
        {
            "name": user.company.name,
            "domain": user.company.domain,
            "seats": user.company.seats,
        },
    )
    posthog.set_once(distinct_id=user.pk, properties={"first_plan": plan})
    return user


def sign_in(user: User) -> None:
    posthog.capture("signed in", distinct_id=str(user.pk))


def change_plan(user: User, plan: str) -> None:
    before, user.company.plan = user.company.plan, plan
    # Sales looks at this one every morning.
    posthog.capture(
        "plan changed",
        distinct_id=user.pk,  # the database's, not the e-mail
        properties={
            "from": before,
            "to": plan,
            "source": SOURCE,
        },
        groups={"company": user.company.id},
    )
    posthog.set(distinct_id=user.pk, properties={"plan": plan})


def pay(user: User, invoice: Invoice) -> None:
    posthog.capture(
        "invoice paid",
        distinct_id=user.pk,
        properties={"number": invoice.number, "total": invoice.total, "currency": invoice.currency},
        timestamp=invoice.paid_at.astimezone(timezone.utc),
        send_feature_flags=False,
    )
    if invoice.total > 100: posthog.capture("large invoice paid", distinct_id=user.pk)  # fmt: skip


def pay_later(user: User, invoice: Invoice, due: datetime) -> None:
    posthog.capture("invoice postponed", distinct_id=user.pk, properties={"number": invoice.number}, timestamp=due)


def refund(user: User, invoice: Invoice) -> None:
    properties = {"number": invoice.number, "total": -invoice.total}
    properties["reason"] = "asked for it"
    posthog.capture("refunded", distinct_id=user.pk, properties=properties)


def cancel(user: User, reason: str | None = None) -> None:
    try:
        user.company.plan = "free"
    finally:
        posthog.capture(
            "subscription cancelled",
            distinct_id=user.pk,
            properties={"reason": reason, "account": user.company.name},
        )
        posthog.flush()


def rename(company: Company, name: str) -> None:
    company.name = name
    posthog.group_identify(group_type="company", group_key=company.id, properties={"name": name})


def move(user: User, company: Company) -> None:
    user.company = company
    posthog.capture("company joined", distinct_id=user.pk, groups={"company": company.id})
