"""What version 0.1.0 wrote into a spool and a broker, verbatim. Never change it: it has to stay readable."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from journy_track.inspector import Inspector

#: When all of it was captured, in seconds since the epoch and as text.
AT, CAPTURED_AT = 1767225600.25, "2026-01-01T00:00:00.250Z"
#: How long delivery is tried, in seconds: long enough that the items are never too old, whenever the tests run.
MAX_AGE = 1e9

#: One message for each operation, and one for an event without a user.
MESSAGES = (
    (
        '{"v":1,"operation":"upsert_user","body":{"identification":{"userId":"u1","email":"jane@acme.com"},'
        '"properties":{"full_name":"Jané","score":3,"vip":true,"tags":["a","b"],"old":null}}}'
    ),
    (
        '{"v":1,"operation":"upsert_account","body":{"identification":{"accountId":"acme","domain":"acme.com"},'
        '"properties":{"plan":"pro","mrr":12.5}}}'
    ),
    (
        '{"v":1,"operation":"add_users_to_account","body":{"account":{"accountId":"acme"},"users":'
        '[{"identification":{"userId":"u1"}},{"identification":{"email":"joe@acme.com"}}]}}'
    ),
    (
        '{"v":1,"operation":"track","body":{"identification":{"user":{"userId":"u1","email":"jane@acme.com"},'
        '"account":{"accountId":"acme","domain":"acme.com"}},"name":"signed_in",'
        '"triggeredAt":"2026-01-01T12:00:00.123Z","metadata":{"theme":"dark","n":1}}}'
    ),
    (
        '{"v":1,"operation":"track","body":{"identification":{"account":{"accountId":"acme"}},"name":"renewed",'
        '"triggeredAt":"2026-01-01T12:00:00.123Z"}}'
    ),
    '{"v":1,"operation":"link","body":{"deviceId":"device-1","identification":{"userId":"u1"}}}',
    (
        '{"v":1,"operation":"remove_users_from_account","body":{"account":{"accountId":"acme"},"users":'
        '[{"identification":{"userId":"u2"}}]}}'
    ),
    '{"v":1,"operation":"delete_user","body":{"identification":{"userId":"u3","email":"ann@acme.com"}}}',
    '{"v":1,"operation":"delete_account","body":{"identification":{"accountId":"globex"}}}',
)
OPERATIONS = [json.loads(message)["operation"] for message in MESSAGES]

_PATHS = {
    "upsert_user": "POST /users/upsert",
    "upsert_account": "POST /accounts/upsert",
    "add_users_to_account": "POST /accounts/users/add",
    "track": "POST /track",
    "link": "POST /link",
    "remove_users_from_account": "POST /accounts/users/remove",
    "delete_user": "DELETE /users",
    "delete_account": "DELETE /accounts",
}
#: The requests to journy.io that result from the messages: method, path and body of each.
REQUESTS = Counter(
    (_PATHS[written["operation"]], json.dumps(written["body"], sort_keys=True))
    for written in map(json.loads, MESSAGES)
)


def published(message: str) -> str:
    """Return *message* in the form it has in a broker, which includes the time of its capture."""
    return message.replace(',"body":', f',"captured_at":"{CAPTURED_AT}","body":', 1)


def requests_of(api: Inspector) -> Counter[tuple[str, Any]]:
    """Count the requests that arrived, in a form that compares with `REQUESTS`."""
    return Counter(
        (f"{request.method} {request.path}", json.dumps(request.json, sort_keys=True)) for request in api.requests
    )
