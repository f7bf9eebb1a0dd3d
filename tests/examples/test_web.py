"""The web examples, under the servers that their first lines name, with concurrent users."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from integrations.servers import Server, gunicorn, uvicorn

EXAMPLES = Path(__file__).parents[2] / "examples"
PRELOADED = ("--preload", "--workers=2", "--worker-class=gthread", "--threads=4")
USERS = [(f"user{number}", f"company{number % 3}") for number in range(8)]


class Visitor:
    """A user with a browser: one connection, and the cookies it received."""

    def __init__(self, connection: Any, headers: dict[str, str]) -> None:
        self._connection = connection
        self._headers = headers

    def __call__(self, method: str, path: str, **form: str) -> str:
        headers = dict(self._headers)
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self._connection.request(method, path, urlencode(form) if form else None, headers)
        response = self._connection.getresponse()
        body: str = response.read().decode()
        assert response.status == 200, (path, response.status, body)
        cookies = [cookie.partition(";")[0] for cookie in response.headers.get_all("Set-Cookie") or []]
        if cookies:
            self._headers["Cookie"] = "; ".join(cookies)
        return body


@pytest.fixture
def start(api, tmp_path) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def run(folder: str, command: list[str], **environment: str) -> Server:
        environment = {"JOURNY_BASE_URL": api.url, "JOURNY_SHUTDOWN_TIMEOUT": "20", **environment}
        started.append(Server(EXAMPLES / folder, tmp_path / "said", command, **environment))
        return started[-1]

    yield run
    for server in started:
        server.clean_up()


def visit_all_at_once(server: Server, visit: Callable[[Visitor, str, str], None], **headers: str) -> None:
    def one(who: tuple[str, str]) -> None:
        with server.connect() as connection:
            filled = {name: value.format(*who) for name, value in headers.items()}
            visit(Visitor(connection, filled), *who)

    with ThreadPoolExecutor(len(USERS)) as visitors:
        list(visitors.map(one, USERS))


def sign_in_and_work(visitor: Visitor, name: str, company: str) -> None:
    assert visitor("POST", "/sign-in", name=name, company=company) == "welcome\n"
    for number in range(3):
        assert visitor("POST", "/projects", title=f"{name}'s {number}") == f"created {name}'s {number}\n"
    assert visitor("GET", "/export").count("\n") == 3


def arrived(server: Server, api: Any, of: Callable[[dict[str, str]], str]) -> Counter[tuple[str, str, str]]:
    """Stop the server. Returns how often each user, in each account, did each thing."""
    said = server.stop()
    assert "Traceback" not in said, said
    for event in api.events:
        if event.name == "created_project":
            assert event.metadata["title"].startswith(f"{of(event.user)}'s "), event
    return Counter((of(event.user), event.account["accountId"], event.name) for event in api.events)


def expected(counts: dict[str, int], suffix: str = "") -> Counter[tuple[str, str, str]]:
    return Counter(
        {(name, company + suffix, event): count for name, company in USERS for event, count in counts.items()}
    )


WORK = {"signed_in": 1, "created_project": 3, "exported_projects": 1}


def user_id(user: dict[str, str]) -> str:
    return user["userId"]


def test_flask(api, start):
    pytest.importorskip("flask", reason="needs Flask")
    server = start("flask", gunicorn("app:app", *PRELOADED))
    visit_all_at_once(server, sign_in_and_work)
    assert arrived(server, api, user_id) == expected(WORK)
    assert {user.properties["full_name"] for user in api.users} == {name.title() for name, _ in USERS}


@pytest.mark.parametrize(
    "command", [gunicorn("shop.wsgi", *PRELOADED), uvicorn("shop.asgi:application")], ids=["gunicorn", "uvicorn"]
)
def test_django(api, start, tmp_path, command):
    pytest.importorskip("django", reason="needs Django")
    database = str(tmp_path / "db.sqlite3")
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0"],
        cwd=EXAMPLES / "django",
        env={**os.environ, "DATABASE": database, "JOURNY_BASE_URL": api.url},
        check=True,
        timeout=60,
    )
    server = start("django", command, DATABASE=database)

    def visit(visitor: Visitor, name: str, company: str) -> None:
        sign_in_and_work(visitor, name, company)
        assert visitor("GET", "/sign-out") == "goodbye\n"

    visit_all_at_once(server, visit)
    names = {event.user["userId"]: event.user["email"].partition("@")[0] for event in api.events}
    found = arrived(server, api, lambda user: names.get(user["userId"]) or user["email"].partition("@")[0])
    assert found == expected({**WORK, "signed_out": 1})
    assert len({event.user["userId"] for event in api.events}) == len(USERS)


def test_fastapi(api, start):
    pytest.importorskip("fastapi", reason="needs FastAPI")
    server = start("fastapi", uvicorn("app:app"))

    def visit(visitor: Visitor, name: str, company: str) -> None:
        for number in range(3):
            title = f"{name}'s {number}"
            assert title in visitor("POST", f"/projects?{urlencode({'title': title})}")
        visitor("GET", "/report")
        assert visitor("GET", "/export").count("\n") == 3

    visit_all_at_once(server, visit, Authorization="Bearer {0}@{1}")
    assert arrived(server, api, user_id) == expected(
        {"created_project": 3, "received_report": 1, "exported_projects": 1}
    )
