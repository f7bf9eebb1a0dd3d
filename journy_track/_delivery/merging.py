"""Merges two calls into one where the merged call has the same effect at journy.io as both."""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import replace

from journy_track._model.frozendict import FrozenDict
from journy_track._model.items import (
    MAX_BODY,
    MAX_USERS,
    AddUsersToAccount,
    Item,
    RemoveUsersFromAccount,
    UpsertAccount,
    UpsertUser,
)


def merge_key(item: Item) -> Hashable | None:
    """Return a key such that items with equal keys may be merged, or `None` if *item* may not be.

    Identifications match only if they are equal.
    """
    if isinstance(item, UpsertUser):
        return UpsertUser, item.user
    if isinstance(item, UpsertAccount):
        return UpsertAccount, item.account
    if isinstance(item, (AddUsersToAccount, RemoveUsersFromAccount)):
        return type(item), item.account
    return None


def merged(first: Item, second: Item) -> Item | None:
    """Merge both into one call, in which *second*'s values win. Returns `None` if one call cannot hold them.

    A property whose value is `None` is kept, because it deletes the property.
    """
    if isinstance(first, (UpsertUser, UpsertAccount)) and isinstance(second, (UpsertUser, UpsertAccount)):
        return _if_small(replace(first, properties=FrozenDict({**first.properties, **second.properties})))
    if isinstance(first, (AddUsersToAccount, RemoveUsersFromAccount)) and type(first) is type(second):
        users = tuple(dict.fromkeys(first.users + second.users))
        return _if_small(replace(first, users=users)) if len(users) <= MAX_USERS else None
    return None


def _if_small(item: Item) -> Item | None:
    body = json.dumps(item.body(), ensure_ascii=False, separators=(",", ":"))
    return item if len(body.encode()) <= MAX_BODY else None
