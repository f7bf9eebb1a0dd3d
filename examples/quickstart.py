"""The README's first example with typed events: run `journy-track inspect` in one terminal and this in another.

JOURNY_BASE_URL=http://127.0.0.1:8470 python examples/quickstart.py
"""

from typing import Literal

import journy_track
from journy_track import TypedEvent, track_event


@journy_track.event
class SignedIn(TypedEvent):
    """A user has signed in."""


@journy_track.event
class UpdatedSettings(TypedEvent):
    """A user has changed how the product looks."""

    theme: Literal["light", "dark"]


@track_event(SignedIn)  # what it returns is the event
def sign_in() -> SignedIn:
    return SignedIn()


def main() -> None:
    journy_track.configure()
    with journy_track.user("u1", email="jane@acme.com"), journy_track.account("acme"):
        sign_in()
        UpdatedSettings(theme="dark").track()


if __name__ == "__main__":
    main()
