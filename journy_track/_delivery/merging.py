"""Two calls that can be one: journy.io takes the merged call for the same as both."""

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
    """Items with equal keys may be merged; `None`: never. Only equal identifications count as the same."""
    if isinstance(item, UpsertUser):
        return UpsertUser, item.user
    if isinstance(item, UpsertAccount):
        return UpsertAccount, item.account
    if isinstance(item, (AddUsersToAccount, RemoveUsersFromAccount)):
        return type(item), item.account
    return None


def merged(first: Item, second: Item) -> Item | None:
    """Both in one call, *second*'s values winning; `None` when one call cannot take them.

    `None` as a property's value stays: it deletes the property.
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
