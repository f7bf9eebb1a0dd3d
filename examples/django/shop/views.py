"""Views, without forms, so that curl can use them."""

from collections.abc import Iterator

from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

import journy_track
from journy_track import track_event
from shop.events import CreatedProject, ExportedProjects, SignedIn, SignedOut


def sign_in(request: HttpRequest) -> HttpResponse:
    """Replace this with your password check: here anybody may be anybody."""
    name, company = request.POST["name"], request.POST["company"]
    user, is_new = User.objects.get_or_create(username=name, defaults={"email": f"{name}@{company}"})
    login(request, user)
    if is_new:
        journy_track.upsert_user(full_name=name.title())
    SignedIn().track()
    return HttpResponse("welcome\n")


def sign_out(request: HttpRequest) -> HttpResponse:
    SignedOut().track()
    logout(request)
    return HttpResponse("goodbye\n")


def projects(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"created {create_project(request.POST['title']).title}\n")


@track_event(CreatedProject)  # what it returns is the event
def create_project(title: str) -> CreatedProject:
    return CreatedProject(title=title)


def export(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(lines(), content_type="text/plain")


def lines() -> Iterator[str]:
    for number in range(3):
        yield f"project {number}\n"
    ExportedProjects(projects=3).track()  # when the last line is out
