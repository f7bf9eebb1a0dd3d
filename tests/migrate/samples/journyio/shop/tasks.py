"""What runs at night."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from journyio import account_identified, client, events, httpclient, user_identified

from .people import Company, User

_nightly = client.Client(
    httpclient.HttpClientRequests(), client.Config(os.environ["JOURNY_API_KEY"], os.environ["JOURNY_ROOT_URL"])
)


def report(company: Company, users: list[User]) -> None:
    account = account_identified.AccountIdentified.by_account_id(company.id)
    _nightly.add_event(events.Event.for_account("sent_report", account))
    _nightly.add_users_to_account(
        account, [user_identified.UserIdentified.by_user_id(str(user.pk)) for user in users]
    )
    properties = client.Properties()
    properties["users"] = len(users)
    _nightly.upsert_account(account, properties)


def renew(user: User) -> None:
    now = datetime.now(UTC)
    identified = user_identified.UserIdentified.by_user_id(str(user.pk))
    _nightly.add_event(events.Event.for_user("renewed", identified).happened_at(now))


def expire(user: User) -> None:
    _nightly.add_event(
        events.Event.for_user("expired_trial", user_identified.UserIdentified.by_user_id(str(user.pk)))
    )
    _nightly.delete_user(user_identified.UserIdentified.by_user_id(str(user.pk + 1000)))
    _nightly.delete_account(account_identified.AccountIdentified.by_domain("old.example"))


def usage(user: User, counts: dict[str, int]) -> None:
    for name, count in counts.items():
        metadata = events.Metadata()
        metadata["what"] = name
        metadata["count"] = count
        identified = user_identified.UserIdentified.by_user_id(str(user.pk))
        _nightly.add_event(events.Event.for_user("used", identified).with_metadata(metadata))
