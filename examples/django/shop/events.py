"""All events of the project."""

import journy_track
from journy_track import TypedEvent


@journy_track.event
class SignedIn(TypedEvent):
    """Somebody has signed in."""


@journy_track.event
class SignedOut(TypedEvent):
    """Somebody has signed out."""


@journy_track.event
class CreatedProject(TypedEvent):
    """Somebody has created a project."""

    title: str


@journy_track.event
class ExportedProjects(TypedEvent):
    """Somebody has exported their projects to a file."""

    projects: int
