"""All events of the project."""

import journy_track
from journy_track import TypedEvent


@journy_track.event
class SignedIn(TypedEvent):
    """A user has signed in."""


@journy_track.event
class SignedOut(TypedEvent):
    """A user has signed out."""


@journy_track.event
class CreatedProject(TypedEvent):
    """A user has created a project."""

    title: str


@journy_track.event
class ExportedProjects(TypedEvent):
    """A user has exported their projects to a file."""

    projects: int
