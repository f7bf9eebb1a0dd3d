"""Views, of a framework of your choice."""

from __future__ import annotations

from posthog import capture, identify_context, new_context

from . import services
from .people import Request


def home(request: Request) -> str:
    capture("$pageview", distinct_id=request.user.pk, properties={"$current_url": request.path})
    return "home"


def create_project(request: Request) -> dict[str, object]:
    name = str(request.data.get("name", "untitled"))
    capture("project created", distinct_id=request.user.pk, properties={"project_name": name, "is_template": False})
    return {"name": name}


def delete_project(request: Request) -> None:
    capture("project deleted", distinct_id=request.user.pk, properties={"project_name": request.data["name"]})


def share_project(request: Request) -> None:
    for address in request.data["with"]:
        capture(
            "project shared",
            distinct_id=request.user.pk,
            properties={"project_name": request.data["name"], "domain": address.partition("@")[2]},
        )


def search(request: Request) -> list[str]:
    words = str(request.data["words"]).split()
    capture("searched", distinct_id=request.user.pk, properties={"words": " ".join(words), "count": len(words)})
    capture("searched filters", distinct_id=request.user.pk, properties={"filters": {"open": True}})
    return words


def upload(request: Request) -> None:
    capture(
        "file uploaded",
        distinct_id=request.user.pk,
        properties={
            "size": request.data["size"],
            # Not the name: it may say who it is about.
            "type": request.data["type"],
        },
    )


def change_settings(request: Request) -> None:
    with new_context():
        identify_context(str(request.user.pk))
        capture("settings changed", properties={"theme": request.data["theme"]})


def invite(request: Request) -> None:
    email = request.data["email"]
    capture("teammate invited", distinct_id=request.user.pk, properties={"invited_email": email})
    capture(f"invited {request.user.company.name}", distinct_id=request.user.pk, properties={"staff": False})


def accept(request: Request) -> None:
    import posthog

    services.move(request.user, request.user.company)
    posthog.alias("anonymous-17", str(request.user.pk))
    capture("invitation accepted", distinct_id=request.user.pk)


def export(request: Request) -> str:
    capture(event="exported", distinct_id=request.user.pk, properties={"format": "csv", "rows": 10 * 100})
    return "csv"
