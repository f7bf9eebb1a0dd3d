"""Views, of a framework of your choice."""

from __future__ import annotations

from segment import analytics

from . import services
from .people import Request


def home(request: Request) -> str:
    analytics.page(user_id=request.user.pk, name="Home", properties={"path": request.path})
    return "home"


def create_project(request: Request) -> dict[str, object]:
    name = str(request.data.get("name", "untitled"))
    analytics.track(request.user.pk, "Project Created", {"project_name": name, "is_template": False})
    return {"name": name}


def delete_project(request: Request) -> None:
    analytics.track(request.user.pk, "Project Deleted", {"project_name": request.data["name"]})


def share_project(request: Request) -> None:
    for address in request.data["with"]:
        analytics.track(
            user_id=request.user.pk,
            event="Project Shared",
            properties={"project_name": request.data["name"], "domain": address.partition("@")[2]},
        )


def search(request: Request) -> list[str]:
    words = str(request.data["words"]).split()
    analytics.track(request.user.pk, "Searched", {"words": " ".join(words), "count": len(words)})
    analytics.track(request.user.pk, "Searched Filters", {"filters": ["open", "mine"]})
    return words


def upload(request: Request) -> None:
    analytics.track(
        request.user.pk,
        "File Uploaded",
        properties={
            "size": request.data["size"],
            # Not the name: it may say who it is about.
            "type": request.data["type"],
        },
    )


def change_settings(request: Request) -> None:
    analytics.track(request.user.pk, "Settings Changed", {**request.data})


def invite(request: Request) -> None:
    email = request.data["email"]
    analytics.track(request.user.pk, "Teammate Invited", {"invited_email": email, "is_admin": request.user.is_staff})
    analytics.track(request.user.pk, f"Invited {request.user.company.name}", {"seats": request.user.company.seats})


def accept(request: Request) -> None:
    services.move(request.user, request.user.company)
    analytics.alias("anonymous-17", str(request.user.pk))
    analytics.track(request.user.pk, "Invitation Accepted")


def export(request: Request) -> str:
    import segment.analytics

    segment.analytics.track(request.user.pk, "Exported", {"format": "csv", "rows": 10 * 100})
    return "csv"
