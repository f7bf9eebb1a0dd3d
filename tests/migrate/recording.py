"""Runs a sample in this process, and prints as JSON what its library was asked to send.

    python recording.py segment FOLDER

Requests of journy_track and the official SDK arrive at the inspector instead.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def segment() -> list[dict[str, Any]]:
    from segment.analytics.client import Client

    messages: list[dict[str, Any]] = []

    def enqueue(self: Client, message: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        messages.append(message)
        return True, message

    Client._enqueue = enqueue
    return messages


def posthog() -> list[dict[str, Any]]:
    from posthog.client import Client

    messages: list[dict[str, Any]] = []

    def enqueue(self: Client, message: dict[str, Any], *_: object, **__: object) -> str:
        messages.append(message)
        return "an-id"

    Client._enqueue = enqueue
    Client.feature_enabled = lambda *_, **__: False
    return messages


def journyio() -> list[dict[str, Any]]:
    from journyio import httpclient, utils

    send = httpclient.HttpClientRequests.send

    def lenient(self: Any, request: Any) -> Any:
        try:
            response = send(self, request)
        except utils.JournyException:  # for a response without a body, which is fine
            response = httpclient.HttpResponse(200, body={"meta": {"requestId": "an-id"}})
        response.headers["X-RateLimit-Remaining"] = "1"
        return response

    httpclient.HttpClientRequests.send = lenient
    return []


def main(vendor: str, folder: str) -> None:
    messages = {"segment": segment, "posthog": posthog, "journyio": journyio}[vendor]()
    sys.path.insert(0, folder)
    import journy_track

    journy_track.configure()
    from shop.main import run

    run()
    assert journy_track.flush(30)
    json.dump(messages, sys.stdout, default=str)


if __name__ == "__main__":
    main(*sys.argv[1:])
