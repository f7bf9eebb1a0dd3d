"""A helper as many code bases have one."""

from __future__ import annotations

import os

from journyio.account_identified import AccountIdentified
from journyio.client import Client, Config, Properties
from journyio.events import Event, Metadata
from journyio.httpclient import HttpClientRequests
from journyio.user_identified import UserIdentified

from .people import User


class Funnel:
    """Follows somebody through the check-out."""

    def __init__(self, user: User) -> None:
        self._journy = Client(
            HttpClientRequests(),
            Config(api_key=os.environ["JOURNY_API_KEY"], root_url=os.environ["JOURNY_ROOT_URL"]),
        )
        self._user = user

    def begin(self) -> None:
        self._journy.get_api_key_details()
        self._journy.add_event(Event.for_user("began_checkout", UserIdentified.by_user_id(str(self._user.pk))))

    def step(self, number: int, *, seconds: float) -> None:
        metadata = Metadata()
        metadata["step"] = number
        metadata["seconds"] = round(seconds)
        user = UserIdentified.by_user_id(str(self._user.pk))
        event = Event.for_user("completed_step", user).with_metadata(metadata)
        self._journy.add_event(event)

    def finish(self, total: float) -> None:
        metadata = Metadata()
        metadata["total"] = round(total)
        self._journy.add_event(
            event=Event.for_user("completed_checkout", UserIdentified.by_user_id(str(self._user.pk))).with_metadata(
                metadata
            )
        )

    def thank(self) -> None:
        account = AccountIdentified(self._user.company.id, None)
        user = UserIdentified(None, self._user.email)
        self._journy.add_event(Event.for_user_in_account("thanked", user, account))
        self._journy.link(device_id="device-18", user=user)
        self._journy.upsert_account(account, Properties())
