"""The rows of a sync, and how they are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

from journy_track._model.errors import InvalidArgument, described
from journy_track._model.identity import AccountIdentified, Identifier, UserIdentified

#: An identity and its properties, or one mapping that holds both.
AccountRow: TypeAlias = tuple[Identifier | AccountIdentified, Mapping[str, object]] | Mapping[str, object]
UserRow: TypeAlias = tuple[Identifier | UserIdentified, Mapping[str, object]] | Mapping[str, object]


class Kind(NamedTuple):
    """What is synced: the verb, its argument for an identity, and the keys that identify a mapping's owner."""

    rows: str
    verb: str
    identity: str
    key: str
    alias: str


ACCOUNTS = Kind("accounts", "upsert_account", "account", "account_id", "domain")
USERS = Kind("users", "upsert_user", "user", "user_id", "email")


def calls_of(rows: Iterable[Any], kind: Kind) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
    """Yield the properties of each row, and the arguments that identify their user or account.

    Raises `InvalidArgument` for anything that is not a row, since that is a mistake in the code rather than in a
    value.
    """
    if isinstance(rows, (str, bytes, Mapping)) or not isinstance(rows, Iterable):
        raise InvalidArgument(f"rows must be an iterable of rows, got {described(rows)}. {_form(kind)}")
    for number, row in enumerate(rows, 1):
        if isinstance(row, Mapping) and (kind.key in row or kind.alias in row):
            known = {name: None if _is_missing(value) else value for name, value in row.items()}
            whose = {kind.key: known.pop(kind.key, None), kind.alias: known.pop(kind.alias, None) or None}
            yield known, whose
        elif isinstance(row, (tuple, list)) and len(row) == 2 and isinstance(row[1], Mapping):
            known = {name: None if _is_missing(value) else value for name, value in row[1].items()}
            yield known, {kind.identity: row[0]}
        else:
            raise InvalidArgument(f"row {number} is {_shown(row)}. {_form(kind)}")


def _is_missing(value: object) -> bool:
    """Whether *value* is what pandas and NumPy use instead of `None`: nan, NaT or NA."""
    if isinstance(value, (float, Decimal)):
        return value != value  # noqa: PLR0124 - nan is what does not equal itself
    return type(value).__name__ in ("NaTType", "NAType")


def names_nobody(whose: Mapping[str, object]) -> bool:
    """Whether the arguments from `calls_of` contain no identity, as in a row of an outer join without a match."""
    return all(value is None for value in whose.values())


def _shown(row: object) -> str:
    """Describe an invalid row by its types and keys, since its values may identify a person."""
    if isinstance(row, Mapping):
        return f"a mapping of {', '.join(map(str, row))}"[:200]
    if isinstance(row, (tuple, list)):
        types = ", ".join("None" if value is None else type(value).__name__ for value in row)
        return f"a {type(row).__name__} of ({types})"[:200]
    return described(row)


def _form(kind: Kind) -> str:
    return (
        f"A row is (identity, properties), or a mapping with {kind.key!r} or {kind.alias!r} and the properties: "
        "of a DataFrame, pass df.to_dict('records'); of a queryset, queryset.values(…).iterator()"
    )
