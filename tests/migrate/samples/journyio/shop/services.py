"""What the shop does: each service tells what happened."""

from __future__ import annotations

from datetime import datetime, timezone

from journyio.account_identified import AccountIdentified
from journyio.client import Properties
from journyio.events import Event, Metadata
from journyio.user_identified import UserIdentified

from .people import Company, Invoice, User
from .setup import client


def sign_up(user: User, plan: str, *, invited: bool = False) -> User:
    """Make an account of a visitor."""
    identified = UserIdentified(str(user.pk), user.email)
    properties = Properties()
    properties["full_name"] = user.name
    properties["Plan"] = plan  # the SDK writes it in lower case
    properties["tags"] = ["customer", "2026"]
    client.upsert_user(identified, properties)
    client.add_event(Event.for_user("signed_up", identified))

    account = AccountIdentified.by_account_id(user.company.id)
    about = Properties()
    about["name"] = user.company.name
    about["seats"] = user.company.seats
    client.upsert_account(account, about)
    client.add_users_to_account(account, [identified])
    return user


def sign_in(user: User) -> None:
    client.add_event(Event.for_user("signed_in", UserIdentified.by_user_id(str(user.pk))))


def change_plan(user: User, plan: str) -> None:
    metadata = Metadata()
    metadata["from"] = user.company.plan
    metadata["to"] = plan
    # Sales looks at this one every morning.
    client.add_event(
        Event.for_user_in_account(
            "changed_plan",
            UserIdentified.by_user_id(str(user.pk)),
            AccountIdentified.by_account_id(user.company.id),
        ).with_metadata(metadata)
    )
    user.company.plan = plan


def pay(user: User, invoice: Invoice) -> None:
    metadata = Metadata()
    metadata["number"] = invoice.number
    event = (
        Event.for_user("paid_invoice", UserIdentified.by_user_id(str(user.pk)))
        .happened_at(invoice.paid_at.astimezone(timezone.utc))
        .with_metadata(metadata)
    )
    client.add_event(event)


def pay_later(user: User, invoice: Invoice, due: datetime) -> None:
    client.add_event(Event.for_user("postponed_invoice", UserIdentified.by_user_id(str(user.pk))).happened_at(due))


def refund(user: User, invoice: Invoice) -> None:
    metadata = Metadata()
    for key in ("number", "currency"):
        metadata[key] = getattr(invoice, key)
    client.add_event(Event.for_user("refunded", UserIdentified.by_user_id(str(user.pk))).with_metadata(metadata))


def cancel(user: User, reason: str | None = None) -> None:
    identified = UserIdentified.by_user_id(str(user.pk))
    try:
        client.add_event(Event.for_user("cancelled", identified))
    finally:
        user.company.plan = "free"
    client.remove_users_from_account(AccountIdentified.by_account_id(user.company.id), [identified])


def rename(company: Company, name: str) -> None:
    company.name = name
    properties = Properties()
    properties["name"] = name
    client.upsert_account(account=AccountIdentified(company.id, company.domain), properties=properties)


def move(user: User, company: Company) -> None:
    user.company = company
    client.add_users_to_account(
        AccountIdentified.by_account_id(company.id),
        [UserIdentified.by_user_id(str(user.pk))],
    )
