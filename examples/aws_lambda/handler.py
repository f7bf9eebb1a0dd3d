"""A function on AWS Lambda: the process is frozen between two calls, and may never wake up again.

So nothing may still be waiting when the handler returns: `flushed()` delivers it first. To see it without AWS:

journy-track inspect                                            # in another terminal
JOURNY_BASE_URL=http://127.0.0.1:8470 python examples/aws_lambda/handler.py '{"user": "jane", "company": "acme"}'
"""

import json
import sys
from typing import Any

import journy_track
from journy_track import TypedEvent

journy_track.configure()  # once per process, which serves many calls


@journy_track.event
class ResizedPicture(TypedEvent):
    """A picture has been resized."""

    characters: int  # of its name


@journy_track.flushed(timeout=3)  # seconds, of your function's own timeout
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    with journy_track.scope():  # one call's user is never used for the next
        journy_track.set_user(event["user"])
        journy_track.set_account(event["company"])
        return resize(event)


def resize(event: dict[str, Any]) -> dict[str, Any]:
    picture = event.get("picture", "")
    ResizedPicture(characters=len(picture)).track()
    return {"statusCode": 200, "body": picture}


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(json.dumps(handler(json.loads(argument), None)))
