"""The contract of every web integration, tested over real sockets with real servers."""

from __future__ import annotations

import importlib.util
import itertools
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from integrations.servers import Server, get, gunicorn, uvicorn

pytestmark = pytest.mark.slow

APPS = Path(__file__).parent / "apps"
THREADED = ("--worker-class=gthread", "--threads=8")
#: The adapters: the package each needs, how it is served, and the prefix of its paths.
ADAPTERS: dict[str, tuple[str, list[str], str]] = {
    "wsgi": ("gunicorn", gunicorn("plain_wsgi:app", *THREADED), ""),
    "wsgi, one thread": ("gunicorn", gunicorn("plain_wsgi:app"), ""),
    "flask": ("flask", gunicorn("flask_app:app", *THREADED), ""),
    "django": ("django", gunicorn("django_app:wsgi", *THREADED), ""),
    "django, async": ("django", uvicorn("django_app:asgi"), "/async"),
    "django, sync view under ASGI": ("django", uvicorn("django_app:asgi"), ""),
    "asgi": ("uvicorn", uvicorn("plain_asgi:app"), ""),
    "asgi, which ignores the lifespan": ("uvicorn", uvicorn("plain_asgi:silent"), ""),
    "starlette": ("starlette", uvicorn("starlette_app:app"), ""),
    "fastapi": ("fastapi", uvicorn("fastapi_app:app"), ""),
    "fastapi, sync": ("fastapi", uvicorn("fastapi_app:app"), "/threaded"),
    "litestar": ("litestar", uvicorn("litestar_app:app"), ""),
    "django ninja": ("ninja", gunicorn("ninja_app:wsgi", *THREADED), ""),
    "django ninja, async": ("ninja", uvicorn("ninja_app:asgi"), "/async"),
    "django rest framework": ("rest_framework", gunicorn("rest_app:wsgi", *THREADED), ""),
    "aiohttp": ("aiohttp", ["aiohttp_app", "{fd}"], ""),
    "tornado": ("tornado", ["tornado_app", "{fd}"], ""),
}
_numbers = itertools.count()


class Site:
    """One adapter's app, and the inspector that receives its events."""

    def __init__(self, server: Server, api: Any, prefix: str) -> None:
        self.server = server
        self.api = api
        self.prefix = prefix

    def path(self, action: str) -> tuple[str, str]:
        number = str(next(_numbers))
        return f"{self.prefix}/{action}/{number}", number

    def arrived(self, number: str, count: int = 1) -> list[Any]:
        """Return the *count* events of that request, once they have arrived."""

        def there(api: Any) -> bool:
            return len(self._of(number)) >= count

        try:
            self.api.wait_for(there, timeout=30)
        except TimeoutError:
            pytest.fail(f"{len(self._of(number))} of {count} arrived. The server said: {self.server.said()}")
        return self._of(number)

    def _of(self, number: str) -> list[Any]:
        return [event for event in self.api.events if event.metadata["number"] == number]


@pytest.fixture(scope="module", params=ADAPTERS, ids=str)
def server(request, tmp_path_factory, _inspector) -> Iterator[tuple[Server, str]]:
    needs, command, prefix = ADAPTERS[request.param]
    if importlib.util.find_spec(needs) is None:
        pytest.skip(f"needs {needs}")
    started = Server(APPS, tmp_path_factory.mktemp("server") / "said", command, API_URL=_inspector.url)
    try:
        started.wait_ready()
        yield started, prefix
    finally:
        started.clean_up()


@pytest.fixture
def site(server, api) -> Site:
    return Site(server[0], api, server[1])


def headers(user: str, account: str | None = "acme") -> dict[str, str]:
    return {"X-User": user} if account is None else {"X-User": user, "X-Account": account}


def who(event: Any) -> tuple[Any, Any]:
    return (event.user or {}).get("userId"), (event.account or {}).get("accountId")


def test_an_event_has_its_requests_user_and_account(site):
    path, number = site.path("visit")
    status, answered, _ = site.server.get(path, headers("u1"))
    assert status == 200
    assert "vary" not in answered
    assert [who(event) for event in site.arrived(number)] == [("u1", "acme")]


def test_a_streamed_body_keeps_the_requests_user(site):
    path, number = site.path("stream")
    _, _, body = site.server.get(path, headers("u1"))
    assert body == b"partpartpart"
    assert [(*who(event), event.metadata["part"]) for event in site.arrived(number, 3)] == [
        ("u1", "acme", part) for part in range(3)
    ]


def test_a_request_that_raises_keeps_its_event_and_the_next_has_its_own_user(site):
    failing, first = site.path("error")
    visiting, second = site.path("visit")
    assert site.server.get(failing, headers("u1"))[0] == 500
    site.server.get(visiting, headers("u2"))
    assert [who(event) for event in site.arrived(first)] == [("u1", "acme")]
    assert [who(event) for event in site.arrived(second)] == [("u2", "acme")]


def test_the_end_of_a_stream_whose_client_has_gone_is_still_of_its_user(site):
    path, number = site.path("endless")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers("u1").items())
    with socket.create_connection(("127.0.0.1", site.server.port), timeout=30) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
        assert client.recv(100_000)
    assert [who(event) for event in site.arrived(number)] == [("u1", "acme")]
    path, number = site.path("visit")
    site.server.get(path, headers("u2"))
    assert [who(event) for event in site.arrived(number)] == [("u2", "acme")]


def test_a_second_user_on_the_same_connection_is_the_second_user(site):
    expected = {}
    with site.server.connect() as connection:
        for user in ("u1", "u2", "u3", "u1"):
            path, number = site.path("visit")
            get(connection, path, headers(user, f"account of {user}"))
            expected[number] = (user, f"account of {user}")
    for number, identity in expected.items():
        assert [who(event) for event in site.arrived(number)] == [identity]


def test_work_that_outlives_the_request_keeps_its_user(site):
    starting, number = site.path("late")
    site.server.get(starting, headers("u1"))
    visiting, other = site.path("visit")
    site.server.get(visiting, headers("u2"))
    site.server.get(f"{site.prefix}/release/{number}", headers("u3"))
    assert [who(event) for event in site.arrived(number)] == [("u1", "acme")]
    assert [who(event) for event in site.arrived(other)] == [("u2", "acme")]


def test_a_user_without_an_account_is_known_in_the_body_and_in_work_that_outlives_the_request(site):
    streaming, streamed = site.path("stream")
    site.server.get(streaming, headers("u1", None))
    starting, late = site.path("late")
    site.server.get(starting, headers("u1", None))
    site.server.get(f"{site.prefix}/release/{late}", headers("u3"))
    assert [who(event) for event in site.arrived(streamed, 3)] == [("u1", None)] * 3
    assert [who(event) for event in site.arrived(late)] == [("u1", None)]


def test_200_concurrent_requests_of_20_users_never_mix(site):
    def visit(turn: int) -> dict[str, str]:
        user = f"u{turn}"
        sent = {}
        with site.server.connect() as connection:
            for action in ("visit", "stream") * 5:
                path, number = site.path(action)
                get(connection, path, headers(user, f"account of {user}"))
                sent[number] = user
        return sent

    with ThreadPoolExecutor(20) as clients:
        sent = {number: user for part in clients.map(visit, range(20)) for number, user in part.items()}
    assert len(sent) == 200

    def all_there(api: Any) -> bool:
        return len(api.events) >= 400

    site.api.wait_for(all_there, timeout=60)
    assert len(site.api.events) == 400
    for event in site.api.events:
        user = sent[event.metadata["number"]]
        assert who(event) == (user, f"account of {user}")


@pytest.mark.parametrize("account", ["acme", None])
def test_a_device_is_linked_once_to_each_user(site, account):
    device = f"device-{next(_numbers)}"
    with site.server.connect() as connection:
        for user in ("u1", "u1", "u2", "u2", "u1"):
            path, number = site.path("visit")
            get(connection, path, {**headers(user, account), "Cookie": f"theme=dark; __journey={device}"})
            site.arrived(number)

    def links() -> list[str]:
        calls = [sent.json for sent in site.api.requests if sent.operation == "link"]
        return [call["identification"]["userId"] for call in calls if call["deviceId"] == device]

    site.api.wait_for(lambda api: len(links()) >= 2, timeout=30)
    assert links() == ["u1", "u2"]


def test_last_of_all_a_server_that_is_told_to_stop_delivers_what_it_has(site):
    site.api.answer_next(None, delay=0.15, count=10)
    sent = []
    with site.server.connect() as connection:
        for _ in range(10):
            path, number = site.path("visit")
            get(connection, path, headers("u1"))
            sent.append(number)
    said = site.server.stop()
    assert sorted(event.metadata["number"] for event in site.api.events) == sorted(sent), said
