"""All that is tracked."""

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
    """Somebody has made a project."""

    title: str


@journy_track.event
class ExportedProjects(TypedEvent):
    """Somebody has got their projects as a file."""

    projects: int
