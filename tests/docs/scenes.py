"""The environments in which the README's blocks run: the browser, worker or pytest that a reader would use.

A scene runs the block, and then does what makes it send something. Blocks continue from the README's first block: the
library is imported and configured. Placeholders for a reader's own addresses and paths are replaced by the test's.
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
#: The same as the start of a file.
_FIRST = "import journy_track\nfrom journy_track import track_event\njourny_track.configure()\n"
#: The addresses and paths in the README: of the inspector, of a Redis, and so on.
INSPECTOR = "http://127.0.0.1:8470"
REDIS = "redis://cache.internal/0"
SPOOL = "/var/spool/shop"
STATE = "/var/lib/shop/journy.state"
MOMENT = "2026-11-23T21:04:05.123Z"


@dataclass
class Stage:
    """One block and the environment in which it runs."""

    block: Block
    api: Inspector
    folder: Path
    #: The addresses and paths in the README, with those of the test that replace them.
    places: dict[str, str] = field(default_factory=dict)
    #: The names of the module after its last run.
    names: dict[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        text = self.block.source
        for place, ours in {INSPECTOR: self.api.url, SPOOL: str(self.folder / "spool"), **self.places}.items():
            text = text.replace(place, ours)
        return text

    def run(self, **given: Any) -> dict[str, Any]:
        """Run it as a separate module, whose tracebacks point into the README."""
        module = types.ModuleType("copied")
        sys.modules["copied"] = module
        vars(module).update(GIVEN, **given)
        tree = ast.parse(self.source, self.block.file)
        ast.increment_lineno(tree, self.block.line - 1)
        exec(compile(tree, self.block.file, "exec"), vars(module))
        self.names = vars(module)
        return self.names

    def files(self) -> dict[str, str]:
        """Its files by name, where it contains several, each below a comment with its name."""
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
        """Run Python in the folder and wait until it ends."""
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
        """Run Python in the folder during the block, and then stop it as a deployment does."""
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
        """Wait until that many requests have arrived."""
        self.api.wait_for(lambda api: len(api.requests) >= count, timeout=60)


Scene = Callable[[Stage], object]


def plain(stage: Stage) -> None:
    """Run the block as it is."""
    stage.run()


def program(stage: Stage) -> None:
    """A separate program in an empty folder, which delivers at its end what still waits."""
    stage.write({"app.py": stage.source})
    stage.python("app.py")


# ── Frameworks ──


def flask(stage: Stage) -> None:
    client = stage.run()["app"].test_client()
    with client.session_transaction() as session:
        session["user"], session["company"] = "u1", "acme"
    assert client.post("/projects").status_code == 200


def browser(stage: Stage) -> None:
    """A visitor who is not known yet, and who then signs up."""
    client = stage.run()["app"].test_client()
    client.set_cookie("__journey", "d-17")
    deadline = monotonic() + 30
    while "<script" not in (page := client.get("/").text):  # the snippet is fetched in the background
        assert monotonic() < deadline
    assert "identify" not in page
    assert client.post("/sign-up", buffered=True).status_code == 302  # read to the end, as a server does
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
    """Two nights; nothing has changed on the second."""
    stage.places[STATE] = str(stage.folder / "journy.state")
    files = stage.files()
    files["shop/settings.py"] = _DJANGO + files["shop/settings.py"]
    stage.write({**files, "shop/__init__.py": "", "shop/urls.py": "urlpatterns = []", "shop/models.py": _COMPANY})
    stage.write({"night.py": _NIGHT})
    stage.python("night.py")


def celery(stage: Stage) -> None:
    """A worker, and a program that sends it a task through a broker."""
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
    """A reader's own test suite."""
    stage.write({"test_shop.py": stage.source})
    stage.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shop.py")


# ── More than one machine ──


def broker(stage: Stage) -> None:
    """A Redis, and the relay that delivers from it."""
    with redis_server() as url:
        stage.places[REDIS] = url
        stage.run()
        assert journy_track.flush(timeout=30)
        journy_track.shutdown()
        _relay(stage, url)


def message(stage: Stage) -> None:
    """A producer in another language, and the relay."""
    from redis import Redis

    with redis_server() as url, Redis.from_url(url) as redis:
        stage.places[MOMENT] = datetime.now(UTC).isoformat()  # otherwise it is too old to be sent
        redis.xadd("journy:{items}:v1", {"m": json.dumps(json.loads(stage.source))})
        _relay(stage, url)


def _relay(stage: Stage, url: str) -> None:
    with stage.beside("-m", "journy_track", "relay", JOURNY_BROKER_URL=url, JOURNY_API_KEY="a-key"):
        stage.wait_for(len(stage.block.requests))


def moved(stage: Stage) -> None:
    """A user who signs up for a company."""
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
