"""Removing deleted users and accounts from waiting items, so that delivering these does not bring them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from journy_track._model.items import (
    AddUsersToAccount,
    DeleteAccount,
    DeleteUser,
    Item,
    RemoveUsersFromAccount,
)
from journy_track._model.messages import json_text, message_of, read

Delete = DeleteUser | DeleteAccount


def left_of(item: Item, delete: Delete) -> Item | None:
    """*item* without the user or account of *delete*; `None` if nothing is left to send."""
    if isinstance(item, (DeleteUser, DeleteAccount)):
        return item
    if isinstance(delete, DeleteAccount):
        account = getattr(item, "account", None)
        return item if account is None or not account.same_as(delete.account) else None
    if isinstance(item, (AddUsersToAccount, RemoveUsersFromAccount)):
        others = tuple(user for user in item.users if not user.same_as(delete.user))
        if len(others) == len(item.users):
            return item
        return replace(item, users=others) if others else None
    user = getattr(item, "user", None)
    return item if user is None or not user.same_as(delete.user) else None


class Purge:
    """A delete for use on the files of a spool: what to search for, and what remains of a message."""

    def __init__(self, delete: Delete) -> None:
        self._delete = delete
        about = delete.user if isinstance(delete, DeleteUser) else delete.account
        #: The ID, e-mail or domain of the deleted user or account, as written in messages.
        self.texts: Sequence[str] = [json_text(text) for text in about.wire().values()]

    def left(self, message: str) -> str | None:
        """The part of *message* that may be kept: the same message, a reduced one, or `None`."""
        try:
            item, message_id = read(message)
        except ValueError:
            return message
        left = left_of(item, self._delete)
        return message if left is item else None if left is None else message_of(left, message_id=message_id)
