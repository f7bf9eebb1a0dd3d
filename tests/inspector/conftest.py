"""Fixtures: an inspector on a real socket, and a caller with a key."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from journy_track.inspector import Inspector


class Caller:
    """An API client with one connection and one key."""

    def __init__(self, url: str, key: str | None = "a-key-for-tests") -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        if key is not None:
            self.session.headers["X-Api-Key"] = key

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        if body is not None:
            more["json"] = body
        return self.session.request(method, self.url + path, timeout=10, **more)

    def track(self, name: str = "signed_in", user: str = "u1", **more: Any) -> requests.Response:
        return self("POST", "/track", {"identification": {"user": {"userId": user}}, "name": name, **more})

    def upsert(self, properties: dict[str, Any], user: str = "u1") -> requests.Response:
        return self("POST", "/users/upsert", {"identification": {"userId": user}, "properties": properties})


class Clock:
    """A monotonic clock that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def running() -> Iterator[Inspector]:
    with Inspector() as inspector:
        yield inspector


@pytest.fixture
def api(running: Inspector) -> Inspector:
    running.reset()
    return running


@pytest.fixture
def call(api: Inspector) -> Iterator[Caller]:
    caller = Caller(api.url)
    with caller.session:
        yield caller


@pytest.fixture
def caller_of() -> Iterator[Any]:
    """Return a factory of callers for any inspector and key. Their connections are closed at the end."""
    made: list[Caller] = []

    def make(url: str, key: str | None = "a-key-for-tests") -> Caller:
        made.append(Caller(url, key))
        return made[-1]

    yield make
    for caller in made:
        caller.session.close()
