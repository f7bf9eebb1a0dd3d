"""What holds for each job system: real brokers, real workers, and the context of the sender."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from time import monotonic, sleep

import pytest
from redis_server import redis_server

pytestmark = pytest.mark.slow

pytest.importorskip("redis", reason="the brokers are on a redis-server")

APPS = Path(__file__).parent / "jobs"
BIN = Path(sys.executable).parent
PYTHON = sys.executable
USERS = 50


@dataclass(frozen=True)
class System:
    """A job system, and one way to run its workers."""

    package: str
    app: str
    #: The command that starts a worker. `URL` is replaced by the broker's URL.
    worker: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    #: Whether a failing job is retried.
    retries: bool = True
    #: Whether it may miss a SIGTERM, with or without us. arq does, if one arrives while it talks to Redis.
    deaf: bool = False
    #: Another required package.
    also: str | None = None
    #: Whether a SIGTERM ends it at all. It does not with Huey's greenlets, with or without us.
    ends: bool = True
    #: Whether a job can send another job.
    nests: bool = True
    #: Whether the worker's own process sends the jobs.
    inside: bool = False
    #: Whether it starts an interpreter, or imports the jobs, for each job.
    slow: bool = False


RQ = (str(BIN / "rq"), "worker", "--url", "URL", "--path", ".")
DRAMATIQ = ("dramatiq_app", "-p", "2", "-t", "4")
CELERY = (PYTHON, "-m", "celery", "-A", "celery_app", "worker", "-c2")
HUEY = (PYTHON, "-m", "huey.bin.huey_consumer", "huey_app.huey", "-w", "4", "-d", "0.02", "-m", "0.1", "-k")
SYSTEMS = {
    "celery": System("celery", "celery_app", CELERY),
    "celery-threads": System("celery", "celery_app", (*CELERY, "-P", "threads")),
    "celery-gevent": System("celery", "celery_app", (*CELERY, "-P", "gevent"), also="gevent"),
    "rq": System("rq", "rq_app", (PYTHON, "rq_worker.py")),
    "rq-late": System("rq", "rq_app", RQ, slow=True),
    "rq-spawn": System("rq", "rq_app", (*RQ, "--worker-class", "rq.worker.SpawnWorker"), slow=True),
    "rq-simple": System("rq", "rq_app", (*RQ, "--worker-class", "rq.worker.SimpleWorker")),
    "dramatiq": System("dramatiq", "dramatiq_app", (PYTHON, "-m", "dramatiq", *DRAMATIQ)),
    "dramatiq-gevent": System("dramatiq", "dramatiq_app", (str(BIN / "dramatiq-gevent"), *DRAMATIQ), also="gevent"),
    "huey-threads": System("huey", "huey_app", (*HUEY, "thread")),
    "huey-greenlets": System("huey", "huey_app", (*HUEY, "greenlet"), also="gevent", ends=False),
    "huey-processes": System("huey", "huey_app", (*HUEY, "process")),
    "arq": System("arq", "arq_app", (PYTHON, "-m", "arq", "arq_app.WorkerSettings"), deaf=True),
    "taskiq": System(
        "taskiq_redis", "taskiq_app", (PYTHON, "-m", "taskiq", "worker", "taskiq_app:broker", "--workers", "2")
    ),
    **{
        f"apscheduler-{kind}": System(
            "apscheduler.schedulers",
            "apscheduler_app",
            (PYTHON, "apscheduler_app.py"),
            {"KIND": kind},
            retries=False,
            nests=kind != "processes",
            inside=True,
        )
        for kind in ("threads", "processes", "asyncio")
    },
    **{
        f"apscheduler4-{kind}": System(
            "apscheduler.datastores",
            "apscheduler4_app",
            (PYTHON, "apscheduler4_app.py"),
            {"KIND": kind},
            retries=False,
            nests=kind in {"async", "sync"},
            inside=True,
        )
        for kind in ("async", "threadpool", "processpool", "sync")
    },
    "django-tasks": System(
        "django_tasks_db",
        "django_tasks_app",
        (PYTHON, "-m", "django", "db_worker", "--interval", "0.05", "--no-startup-delay"),
        retries=False,
    ),
}
EACH = pytest.mark.parametrize("name", SYSTEMS)
_databases = count()


class Worker:
    """A running worker, and the sender of its jobs."""

    def __init__(self, system: System, environment: dict[str, str], log: Path) -> None:
        self.system, self._environment, self._log = system, environment, log
        command = [environment["REDIS_URL"] if word == "URL" else word for word in system.worker]
        with log.open("w") as out:
            self.process = subprocess.Popen(
                command,
                cwd=APPS,
                env={**environment, **system.environment},
                stdin=subprocess.PIPE if system.inside else subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def send(self, *arguments: str) -> None:
        """Send jobs: `send("50", "work")` for 50 users, or `send("nobody", "6")` without a user."""
        if self.system.inside:
            self.process.stdin.write(" ".join(arguments) + "\n")
            self.process.stdin.flush()
            return
        command = [PYTHON, "send.py", self.system.app, *arguments]
        environment = {**self._environment, "SENDS": "1"}
        subprocess.run(command, cwd=APPS, env=environment, check=True, timeout=120)

    def wait_for(self, api, name: str, number: int) -> list:
        deadline = monotonic() + 60
        while len(found := [event for event in api.events if event.name == name]) < number:
            assert self.process.poll() is None, self.said()
            assert monotonic() < deadline, f"{len(found)} of {number} {name}: {self.said()}"
            sleep(0.02)
        return found

    def ran(self) -> int:
        """Return how often `nobody` has run."""
        import redis

        with redis.from_url(self._environment["REDIS_URL"]) as broker:
            return int(broker.get("ran") or 0)

    def wait_until_ran(self, number: int) -> None:
        deadline = monotonic() + 60
        while self.ran() < number:
            assert monotonic() < deadline, self.said()
            sleep(0.01)

    def stop(self) -> None:
        """Ask it to stop, as a deployment does."""
        for _ in range(10 if self.system.deaf else 1):
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(3 if self.system.deaf else 60)
        assert self.process.returncode is not None, self.said()

    def said(self) -> str:
        return self._log.read_text()[-5000:]

    def clean_up(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # it has its own session
        self.process.wait(10)
        if self.process.stdin is not None:
            self.process.stdin.close()


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    with redis_server() as url:
        yield url.removesuffix("/0")


@pytest.fixture(scope="module")
def workers(_inspector, redis, tmp_path_factory):
    """Return a function that starts one worker of each system, on first use."""
    started: dict[str, Worker] = {}

    def start(name: str, fresh: bool = False) -> Worker:
        if fresh or name not in started:
            system = SYSTEMS[name]
            for package in (system.package, system.also):
                if package is not None and not installed(package):
                    pytest.skip(f"needs {package}, which is not installed")
            if name in started:
                started.pop(name).clean_up()
            folder = tmp_path_factory.mktemp(name)
            environment = {
                **{key: value for key, value in os.environ.items() if not key.startswith(("JOURNY_", "PYTHON"))},
                # A separate database: workers of earlier tests still take jobs from theirs.
                "REDIS_URL": f"{redis}/{next(_databases)}",
                "JOURNY_BASE_URL": _inspector.url,
                "DATABASE": str(folder / "db.sqlite3"),
                # Only for Django: Celery also sets Django up if the variable is set.
                **({"DJANGO_SETTINGS_MODULE": "django_settings"} if "django" in system.app else {}),
                "PYTHONDONTWRITEBYTECODE": "1",
            }
            flush_database(environment["REDIS_URL"])
            if system.app == "django_tasks_app":
                command = [PYTHON, "-m", "django", "migrate", "-v0"]
                subprocess.run(command, cwd=APPS, env=environment, check=True, timeout=60)
            started[name] = Worker(system, environment, folder / "log")
        return started[name]

    yield start
    for worker in started.values():
        worker.clean_up()


def installed(package: str) -> bool:
    """Return whether *package*, or a submodule that only some versions have, is installed."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # its parent package is missing, too
        return False


def flush_database(url: str) -> None:
    import redis

    with redis.from_url(url) as broker:
        broker.flushdb()


def check_theirs(events: list, users: int) -> None:
    """Check that each of *users* has exactly one of *events*, with the right account."""
    assert sorted(event.metadata["number"] for event in events) == list(range(users))
    for event in events:
        number = event.metadata["number"]
        assert event.user == {"userId": f"u{number}"}
        assert event.account == {"accountId": f"a{number % 10}"}
        assert event.metadata["n"] == number


@EACH
def test_each_of_50_concurrent_users_keeps_their_identity_in_their_jobs(api, workers, name):
    worker = workers(name)
    users = 6 if worker.system.slow else USERS
    worker.send(str(users), "work")
    check_theirs(worker.wait_for(api, "worked", users), users)


@pytest.mark.parametrize("name", [name for name, system in SYSTEMS.items() if system.nests])
def test_what_a_job_sends_acts_for_whoever_sent_that_job(api, workers, name):
    worker = workers(name)
    users = 3 if worker.system.slow else 10
    worker.send(str(users), "parent")
    check_theirs(worker.wait_for(api, "worked", users), users)


@pytest.mark.parametrize("name", [name for name, system in SYSTEMS.items() if system.nests])
def test_what_nobodys_job_sends_acts_for_whoever_that_job_has_found(api, workers, name):
    worker = workers(name)
    worker.send("nobody", "3", "parent")
    check_theirs(worker.wait_for(api, "worked", 3), 3)


@pytest.mark.parametrize("name", [name for name, system in SYSTEMS.items() if system.retries])
def test_a_retry_keeps_its_sender_and_counts_only_when_it_succeeds(api, workers, name):
    worker = workers(name)
    users = 3 if worker.system.slow else 10
    worker.send(str(users), "tries")
    check_theirs(worker.wait_for(api, "tried", users), users)


@pytest.mark.parametrize("name", [name for name, system in SYSTEMS.items() if system.retries])
def test_a_retry_of_what_nobody_sent_is_nobodys_too(api, workers, name):
    worker = workers(name)
    worker.send("nobody", "3", "tries_for_nobody")
    events = worker.wait_for(api, "was_nobody", 3)
    assert [event.user for event in events] == [None] * 3


@pytest.mark.parametrize("name", ["rq", "rq-late", "rq-spawn", "rq-simple"])
def test_a_callback_of_rq_acts_for_whoever_sent_its_job_and_for_nobody_that_it_left(api, workers, name):
    worker = workers(name)
    worker.send("4", "calls_back")
    check_theirs(worker.wait_for(api, "worked", 4), 4)


@EACH
def test_a_job_that_nobody_sent_starts_empty_whatever_the_one_before_left(api, workers, name):
    worker = workers(name)
    users = 2 if worker.system.slow else 12
    worker.send(str(users), "leaves_a_user")
    worker.send("nobody", str(users))
    events = worker.wait_for(api, "was_nobody", users)
    assert [event.user for event in events] == [None] * users
    assert all(event.metadata.keys() == {"number"} for event in events)


@EACH
def test_a_job_that_is_sent_where_nothing_is_tracked_tracks_nothing(api, workers, name):
    worker = workers(name)
    before = worker.ran()
    worker.send("suppressed", "2")
    worker.wait_until_ran(before + 2)
    worker.send("nobody", "1")
    [event] = worker.wait_for(api, "was_nobody", 1)
    assert event.user is None
    assert worker.ran() == before + 3


@pytest.mark.parametrize("name", [name for name, system in SYSTEMS.items() if system.ends])
def test_a_shutdown_delivers_what_the_last_jobs_tracked(api, workers, name):
    worker = workers(name, fresh=True)
    users = 2 if worker.system.slow else 20
    api.answer_next(None, delay=0.05, count=users)
    worker.send("nobody", str(users))
    worker.wait_until_ran(users)
    worker.stop()
    assert Counter(event.name for event in api.events)["was_nobody"] == worker.ran() == users, worker.said()
