"""The API's read calls: one frozen dataclass for each, with its path.

Paths, fields and status codes follow journy.io's public API description, version 1.0.0. A class without fields of its
own inherits the dataclass of `ApiCall`, since creating another one would add a millisecond to every start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from journy_track._model.arguments import text
from journy_track._model.call import ApiCall


class _Read(ApiCall):
    __slots__ = ()

    method: ClassVar[str] = "GET"


class GetApiKeyDetails(_Read):
    __slots__ = ()

    path: ClassVar[str] = "/validate"
    operation: ClassVar[str] = "get_api_key_details"


@dataclass(frozen=True, slots=True)
class GetTrackingSnippet(_Read):
    path: ClassVar[str] = "/tracking/snippet"
    operation: ClassVar[str] = "get_tracking_snippet"

    domain: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "domain", text(self.domain, "domain"))

    def query(self) -> dict[str, str]:
        return {"domain": self.domain}


class GetEvents(_Read):
    __slots__ = ()

    path: ClassVar[str] = "/events"
    operation: ClassVar[str] = "get_events"


class GetUserProperties(_Read):
    __slots__ = ()

    path: ClassVar[str] = "/properties/users"
    operation: ClassVar[str] = "get_user_properties"


class GetAccountProperties(_Read):
    __slots__ = ()

    path: ClassVar[str] = "/properties/accounts"
    operation: ClassVar[str] = "get_account_properties"


class GetUserSegments(_Read):
    __slots__ = ()

    path: ClassVar[str] = "/segments/users"
    operation: ClassVar[str] = "get_user_segments"


class GetAccountSegments(_Read):
    __slots__ = ()

    path: ClassVar[str] = "/segments/accounts"
    operation: ClassVar[str] = "get_account_segments"
