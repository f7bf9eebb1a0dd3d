"""Converts items to the messages of a batch: Segment's `track`, `identify` and `group`, which journy.io accepts.

The format follows the documentation of journy.io's API/SDK connector, and of Segment's HTTP API, with which the
connector is compatible.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from journy_track._model.call import ApiCall
from journy_track._model.identity import AccountIdentified, UserIdentified
from journy_track._model.items import AddUsersToAccount, Event, Item, UpsertAccount, UpsertUser
from journy_track._model.once import warn_once
from journy_track._model.values import iso
from journy_track._stores.store import Job
from journy_track._version import __version__

_LIBRARY = {"name": "journy_track", "version": __version__}
_write = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_CONTEXT = _write({"library": _LIBRARY})


def lacks(item: ApiCall, *, in_part: bool) -> bool:
    """Whether *item* has no counterpart in batches. *in_part*: a membership has one if at least one of its users has.

    Operations that batches do not have, and users and accounts identified only by e-mail or domain, have none.
    """
    if isinstance(item, Event):
        return not (_has_id(item.user) and _has_id(item.account))
    if isinstance(item, UpsertUser):
        return not _has_id(item.user)
    if isinstance(item, UpsertAccount):
        return not _has_id(item.account)
    if isinstance(item, AddUsersToAccount):
        members = map(_has_id, item.users)
        return not (_has_id(item.account) and (any(members) if in_part else all(members)))
    return True


def log_lack(item: Item) -> None:
    """Log that *item* has no counterpart in batches and what to do about it, once for each kind of item."""
    if isinstance(item, (Event, UpsertUser, UpsertAccount, AddUsersToAccount)):
        warn_once(
            ("no ID", item.operation),
            "%s has no counterpart in batches where a user is known by e-mail alone, or an account by domain alone: "
            "it is dropped, and counted as no_counterpart. Pass the ID, or set JOURNY_API_KEY as well as the write "
            "key.",
            item.operation,
        )
        return
    warn_once(
        ("no counterpart", item.operation),
        "%s has no counterpart in batches: it is dropped, and counted as no_counterpart. Set JOURNY_API_KEY "
        "as well as the write key to send it by the REST API.",
        item.operation,
    )


def _has_id(known: UserIdentified | AccountIdentified | None) -> bool:
    if known is None:
        return True
    return (known.user_id if isinstance(known, UserIdentified) else known.account_id) is not None


def messages_of(job: Job) -> list[str]:
    """Return the messages of *job* as JSON. Empty if nobody in it has an ID."""
    # Built by joining strings: each message is written once, and half of it is the same in all messages.
    item = job.item
    if isinstance(item, Event):
        return [_track(item, job)]
    if isinstance(item, UpsertUser):
        traits = {**item.properties, "email": item.user.email} if item.user.email else item.properties
        return [_message("identify", job, f'"userId":{_write(item.user.user_id)},"traits":{_write(traits)}')]
    if isinstance(item, UpsertAccount):
        account = item.account
        traits = {**item.properties, "domain": account.domain} if account.domain else item.properties
        known = _write(account.account_id)
        return [_message("group", job, f'"groupId":{known},"anonymousId":{known},"traits":{_write(traits)}')]
    return list(_memberships(item, job))


def _message(
    kind: str, job: Job, rest: str, *, at: datetime | None = None, context: str = _CONTEXT, suffix: str = ""
) -> str:
    moment = iso(at or datetime.fromtimestamp(job.at, UTC))
    return (
        f'{{"type":"{kind}","messageId":{_write(job.id() + suffix)},"timestamp":"{moment}",'
        f'"context":{context},{rest}}}'
    )


def _track(event: Event, job: Job) -> str:
    user, account = event.user, event.account
    context = _CONTEXT
    if account is not None or (user is not None and user.email):
        about: dict[str, Any] = {"library": _LIBRARY}
        if account is not None:
            about["groupId"] = account.account_id
        if user is not None and user.email:
            about["traits"] = {"email": user.email}
        context = _write(about)
    if user is not None:
        who = f'"userId":{_write(user.user_id)}'
    else:
        assert account is not None, "an event is about somebody"
        who = f'"anonymousId":{_write(account.account_id)}'
    what = f'"event":{_write(event.name)},"properties":{_write(event.metadata)},{who}'
    return _message("track", job, what, at=event.triggered_at, context=context)


def _memberships(item: AddUsersToAccount, job: Job) -> Iterator[str]:
    group = _write(item.account.account_id)
    for user in item.users if job.refused is None else [job.sole]:
        if user.user_id is None:
            continue
        # Derived from the user, not from its position: a delete may remove other users before the next attempt.
        member = hashlib.blake2b(user.user_id.encode(), digest_size=6).hexdigest()
        about = f'"userId":{_write(user.user_id)},"groupId":{group},"traits":{{}}'
        yield _message("group", job, about, suffix=f"-{member}")
