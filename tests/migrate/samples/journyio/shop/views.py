"""Views, of a framework of your choice."""

from __future__ import annotations

from journyio.account_identified import AccountIdentified
from journyio.client import Properties
from journyio.events import Event, Metadata
from journyio.results import Success
from journyio.user_identified import UserIdentified

from . import services
from .people import Request, User
from .setup import client


def _of(user: User) -> UserIdentified:
    return UserIdentified.by_user_id(str(user.pk))


def home(request: Request) -> str:
    client.link(UserIdentified.by_user_id(str(request.user.pk)), "device-17")
    return "home"


def create_project(request: Request) -> dict[str, object]:
    name = str(request.data.get("name", "untitled"))
    metadata = Metadata()
    metadata["project_name"] = name
    metadata["is_template"] = False
    user = UserIdentified.by_user_id(str(request.user.pk))
    client.add_event(Event.for_user("created_project", user).with_metadata(metadata))
    return {"name": name}


def delete_project(request: Request) -> None:
    user = UserIdentified.by_email(request.user.email)
    client.add_event(Event.for_user("deleted_project", user))


def share_project(request: Request) -> None:
    for address in request.data["with"]:
        metadata = Metadata()
        metadata["project_name"] = request.data["name"]
        metadata["domain"] = address.partition("@")[2]
        client.add_event(
            Event.for_user(
                "shared_project",
                UserIdentified.by_user_id(str(request.user.pk)),
            ).with_metadata(metadata)
        )


def search(request: Request) -> list[str]:
    words = str(request.data["words"]).split()
    result = client.add_event(Event.for_user("searched", UserIdentified.by_user_id(str(request.user.pk))))
    return words if isinstance(result, Success) else []


def upload(request: Request) -> None:
    client.add_event(Event.for_user("uploaded", _of(request.user)))


def change_settings(request: Request) -> None:
    properties = Properties()
    properties["theme"] = request.data["theme"]
    properties["avatar"] = None
    client.upsert_user(UserIdentified.by_user_id(str(request.user.pk)), properties)


def invite(request: Request) -> None:
    client.upsert_user(UserIdentified.by_email(str(request.data["email"])), Properties())
    client.add_event(
        Event.for_user_in_account(
            "invited_teammate",
            UserIdentified(str(request.user.pk), request.user.email),
            AccountIdentified.by_domain(request.user.company.domain),
        )
    )
    client.add_event(Event.for_user(f"invited_{request.data['email']}", _of(request.user)))


def accept(request: Request) -> None:
    services.move(request.user, request.user.company)
    client.add_event(Event.for_user("accepted", UserIdentified.by_user_id(str(request.user.pk))))


def export(request: Request) -> str:
    client.add_event(Event.for_account("exported", AccountIdentified.by_account_id(request.user.company.id)))
    return "csv"
