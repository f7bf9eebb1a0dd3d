"""The README's first example, runnable: `journy-track inspect` in one terminal, this in another.

JOURNY_BASE_URL=http://127.0.0.1:8470 python examples/quickstart.py
"""

import journy_track
from journy_track import track_event


@track_event("signed_in")
def sign_in() -> str:
    return "welcome"


def main() -> None:
    journy_track.configure()
    with journy_track.user("u1", email="jane@acme.com"), journy_track.account("acme"):
        sign_in()
        journy_track.track("updated_settings", theme="dark")


if __name__ == "__main__":
    main()
