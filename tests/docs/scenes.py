"""What the README's blocks are run in: the browser, the worker, the pytest that a reader would have around them.

A scene runs the block, and does what makes it send something. Blocks go on from the README's first one: the library
is imported and configured. What stands for a place of the reader's own is replaced by one of the test's.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from redis_server import redis_server

import journy_track
from journy_track.inspector import Inspector

from .reading import Block

GIVEN = {"journy_track": journy_track, "track_event": journy_track.track_event}
#: The same in a file of its own.
_FIRST = "import journy_track\nfrom journy_track import track_event\njourny_track.configure()\n"
#: Where the README says that the inspector listens, and where a Redis is.
INSPECTOR = "http://127.0.0.1:8470"
REDIS = "redis://cache.internal/0"
SPOOL = "/var/spool/shop"
STATE = "/var/lib/shop/journy.state"
MOMENT = "2026-11-23T21:04:05.123Z"


@dataclass
class Stage:
    """One block, and where it runs."""

    block: Block
    api: Inspector
    folder: Path
    #: What stands in the README for a place of the reader's, and the test's own.
    places: dict[str, str] = field(default_factory=dict)
    #: What its last run left: the names of a module.
    names: dict[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        text = self.block.source
        for place, ours in {INSPECTOR: self.api.url, SPOOL: str(self.folder / "spool"), **self.places}.items():
            text = text.replace(place, ours)
        return text

    def run(self, **given: Any) -> dict[str, Any]:
        """Run it as a module of its own, whose tracebacks point into the README."""
        module = types.ModuleType("copied")
        sys.modules["copied"] = module
        vars(module).update(GIVEN, **given)
        tree = ast.parse(self.source, self.block.file)
        ast.increment_lineno(tree, self.block.line - 1)
        exec(compile(tree, self.block.file, "exec"), vars(module))
        self.names = vars(module)
        return self.names

    def files(self) -> dict[str, str]:
        """Its parts by name, where it holds several files, each below a comment that names it."""
        found: dict[str, str] = {}
        name = ""
        for line in self.source.splitlines():
            if line.startswith("# ") and line.endswith(".py"):
                name = line.removeprefix("# ")
                found[name] = ""
            else:
                assert name, "the block begins with the name of a file"
                found[name] += line + "\n"
        return found

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def environment(self, **variables: str) -> dict[str, str]:
        ours = {"JOURNY_BASE_URL": self.api.url, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        return {**os.environ, **ours, **variables}

    def python(self, *arguments: str, **variables: str) -> str:
        """Run Python in the folder, to its end."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment(**variables),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def beside(self, *arguments: str, **variables: str) -> Iterator[None]:
        """Run Python in the folder meanwhile, and end it as a deployment does."""
        with (self.folder / "said").open("w") as said:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env=self.environment(**variables),
                stdout=said,
                stderr=subprocess.STDOUT,
            )
            try:
                yield
            finally:
                process.terminate()
                process.wait(60)

    def wait_for(self, count: int) -> None:
        """Until so many requests have arrived."""
        self.api.wait_for(lambda api: len(api.requests) >= count, timeout=60)


Scene = Callable[[Stage], object]


def plain(stage: Stage) -> None:
    """Nothing around it."""
    stage.run()


def program(stage: Stage) -> None:
    """A program of its own, in an empty folder: what waits at its end is delivered."""
    stage.write({"app.py": stage.source})
    stage.python("app.py")


# ── Frameworks ──


def flask(stage: Stage) -> None:
    client = stage.run()["app"].test_client()
    with client.session_transaction() as session:
        session["user"], session["company"] = "u1", "acme"
    assert client.post("/projects").status_code == 200


def browser(stage: Stage) -> None:
    """A visitor whom nobody knows yet, and who then signs up."""
    client = stage.run()["app"].test_client()
    client.set_cookie("__journey", "d-17")
    deadline = monotonic() + 30
    while "<script" not in (page := client.get("/").text):  # it is fetched meanwhile
        assert monotonic() < deadline
    assert "identify" not in page
    assert client.post("/sign-up", buffered=True).status_code == 302  # to its end, as a server does
    assert 'journy("identify",{"userId": "u1"' in client.get("/").text


def wsgi(stage: Stage) -> None:
    environ = {"REMOTE_USER": "u1", "REQUEST_METHOD": "GET", "PATH_INFO": "/"}
    status: list[str] = []
    assert b"".join(stage.run()["app"](environ, lambda line, headers: status.append(line)))
    assert status == ["200 OK"]


_DJANGO = """
SECRET_KEY = "for tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"]
"""
_URLS = """
from django.urls import path
from shop import views
urlpatterns = [path("projects", views.create_project)]
"""
_VISIT = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
import shop.asgi
from django.core.management import call_command
from django.contrib.auth.models import User
from django.test import Client
call_command("migrate", verbosity=0)
client = Client()
client.force_login(User.objects.create(username="jane", email="jane@acme.com"))
assert client.post("/projects").status_code == 200
assert Client().post("/projects").status_code == 200  # nobody signed in: an event of nobody is not sent
"""


def django(stage: Stage) -> None:
    files = stage.files()
    files["shop/settings.py"] = _DJANGO + files["shop/settings.py"]
    stage.write({**files, "shop/__init__.py": "", "shop/urls.py": _URLS, "visit.py": _VISIT})
    stage.python("visit.py")


_COMPANY = """
from django.db import models

class Company(models.Model):
    plan = models.TextField()
    seats = models.IntegerField()
"""
_NIGHT = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
import django
django.setup()
from django.core.management import call_command
from shop.models import Company
call_command("migrate", run_syncdb=True, verbosity=0)
Company.objects.create(plan="pro", seats=12)
call_command("check", fail_level="WARNING")
for night in range(2):
    call_command("journy_sync")
"""


def django_sync(stage: Stage) -> None:
    """Two nights: in the second, nothing has changed."""
    stage.places[STATE] = str(stage.folder / "journy.state")
    files = stage.files()
    files["shop/settings.py"] = _DJANGO + files["shop/settings.py"]
    stage.write({**files, "shop/__init__.py": "", "shop/urls.py": "urlpatterns = []", "shop/models.py": _COMPANY})
    stage.write({"night.py": _NIGHT})
    stage.python("night.py")


def celery(stage: Stage) -> None:
    """A worker, and a program that sends it a task, with a broker between them."""
    with redis_server() as url:
        stage.places[REDIS] = url
        stage.write(stage.files())
        with stage.beside("-m", "celery", "-A", "tasks", "worker", "-P", "solo", "--loglevel=WARNING"):
            stage.python("shop.py")
            stage.wait_for(len(stage.block.requests))


def aws_lambda(stage: Stage) -> None:
    """A process that is frozen as soon as the handler returns."""
    stage.write({"handler.py": _FIRST + stage.source})
    stage.python("-c", "import handler, os; handler.handler({'user': 'u1'}, None); os._exit(0)")


# ── Tests ──


def pytest(stage: Stage) -> None:
    """A suite of the reader's own."""
    stage.write({"test_shop.py": stage.source})
    stage.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shop.py")


# ── Beyond one machine ──


def broker(stage: Stage) -> None:
    """A Redis, and the relay that delivers from it."""
    with redis_server() as url:
        stage.places[REDIS] = url
        stage.run()
        assert journy_track.flush(timeout=30)
        journy_track.shutdown()
        _relay(stage, url)


def message(stage: Stage) -> None:
    """Another language's producer, and the relay."""
    from redis import Redis

    with redis_server() as url, Redis.from_url(url) as redis:
        stage.places[MOMENT] = datetime.now(UTC).isoformat()  # else it is too old to be sent
        redis.xadd("journy:{items}:v1", {"m": json.dumps(json.loads(stage.source))})
        _relay(stage, url)


def _relay(stage: Stage, url: str) -> None:
    with stage.beside("-m", "journy_track", "relay", JOURNY_BROKER_URL=url, JOURNY_API_KEY="a-key"):
        stage.wait_for(len(stage.block.requests))


def moved(stage: Stage) -> None:
    """What somebody signs up to."""
    user = types.SimpleNamespace(id="u1", email="jane@acme.com")
    company = types.SimpleNamespace(id="acme", name="ACME", source="ad")
    stage.run()["sign_up"](user, company)


SCENES: dict[str, Scene] = {
    "": plain,
    "program": program,
    "flask": flask,
    "browser": browser,
    "wsgi": wsgi,
    "django": django,
    "django_sync": django_sync,
    "celery": celery,
    "aws_lambda": aws_lambda,
    "pytest": pytest,
    "broker": broker,
    "message": message,
    "moved": moved,
}
