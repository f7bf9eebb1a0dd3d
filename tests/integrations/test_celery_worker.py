"""Real Celery workers with a real broker: prefork, threads and solo pools, retries, and shutdown."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import pytest
from redis_server import redis_server

pytestmark = pytest.mark.slow

pytest.importorskip("celery", reason="runs Celery workers")
pytest.importorskip("redis", reason="runs Celery with redis")

APP = """
import os
import threading
import journy_track
from celery import Celery
from journy_track import track_event

journy_track.configure(shutdown_timeout=20)
if "PRELOADED" in os.environ:  # the worker's main process has an engine before it forks
    journy_track.track("preloaded", user="main")
    assert journy_track.flush(10)
app = Celery("app", broker=os.environ["REDIS_URL"])
if "PLAIN" not in os.environ:
    from journy_track.integrations.celery import instrument_celery
    instrument_celery(app)
app.conf.update(worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)

@app.task
@track_event("worked", metadata=lambda call: {"process": os.getpid()})
def work(number):
    pass

@app.task(bind=True, max_retries=5)
@track_event("tried")
def try_twice(self):
    if self.request.retries < 2:
        with journy_track.user("somebody else"):  # whoever it acts for when it gives up: the sender's is kept
            raise self.retry(countdown=0)

@app.task
def leaves_a_user():
    journy_track.set_user("left behind")
    journy_track.user("left behind, too").__enter__()

@app.task
@track_event("was_nobody", account="ours")
def nobody():
    if "RAN" in os.environ:
        with open(os.environ["RAN"], "a") as ran:
            print("nobody", file=ran)

@app.task
def parent():
    work.delay(-1)

@app.task
def dies():
    journy_track.track("before_its_end", user="u1")
    raise SystemExit
"""

SENDER = """
import sys
import app
import journy_track
journy_track.configure(enabled=False)
for number in range(int(sys.argv[1])):
    user, account = journy_track.user(f"u{number % 10}"), journy_track.account(f"a{number % 10}")
    with user, account, journy_track.metadata(n=number):
        for name in sys.argv[2:]:
            task = getattr(app, name)
            task.delay(number) if name == "work" else task.delay()
"""


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    with redis_server() as url:
        yield url


class Worker:
    def __init__(self, folder: Path, environment: dict[str, str], *arguments: str) -> None:
        self._said = (folder / "worker.log").open("w+")
        self._folder, self._environment = folder, environment
        self.process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "app", "worker", "--loglevel=WARNING", *arguments],
            cwd=folder,
            env=environment,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def send(self, count: int, *tasks: str) -> None:
        self.run(SENDER, str(count), *tasks)

    def run(self, source: str, *arguments: str) -> None:
        """Run a program that sends tasks."""
        environment = {name: value for name, value in self._environment.items() if name != "PRELOADED"}
        command = [sys.executable, "-c", source, *arguments]
        subprocess.run(command, cwd=self._folder, env=environment, check=True, timeout=60)

    def waiting(self) -> int:
        """Return the number of tasks that no worker has received yet."""
        import redis

        with redis.from_url(self._environment["REDIS_URL"]) as broker:
            return broker.llen("celery")

    def wait_until_taken(self) -> None:
        deadline = monotonic() + 60
        while self.waiting():
            assert monotonic() < deadline, f"{self.waiting()} tasks wait"
            sleep(0.02)

    def stop(self) -> str:
        """Shut down warmly, so that running tasks finish, and return the worker's output."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self._said.seek(0)
        return self._said.read()

    def clean_up(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # it has its own session
        self.process.wait(10)
        self._said.close()


class Workers:
    """Starts workers, each with its own folder and Redis database."""

    def __init__(self, api_url: str, redis: str) -> None:
        self._api_url, self._redis = api_url, redis.removesuffix("/0")
        self._started: list[Worker] = []

    def start(self, folder: Path, *arguments: str, **environment: str) -> Worker:
        (folder / "app.py").write_text(APP)
        url = f"{self._redis}/{next(_databases)}"
        here = {**os.environ, "REDIS_URL": url, "JOURNY_BASE_URL": self._api_url, "PYTHONPATH": "", **environment}
        self._started.append(Worker(folder, here, *arguments))
        return self._started[-1]

    def clean_up(self) -> None:
        for one in self._started:
            one.clean_up()


_databases = itertools.count()


@pytest.fixture(scope="module")
def workers(_inspector, redis) -> Iterator[Workers]:
    made = Workers(_inspector.url, redis)
    yield made
    made.clean_up()


@pytest.fixture(scope="module")
def prefork(workers, tmp_path_factory) -> Worker:
    """Start a worker with two processes, forked from one that has already captured and sent."""
    return workers.start(tmp_path_factory.mktemp("prefork"), "--pool=prefork", "-c2", PRELOADED="1")


def wait_for(api, name: str, count: int) -> list:
    deadline = monotonic() + 60
    while len(found := [event for event in api.events if event.name == name]) < count:
        assert monotonic() < deadline, f"{len(found)} of {count} {name}"
        sleep(0.02)
    return found


def check_worked(api, count: int) -> None:
    worked = [event for event in api.events if event.name == "worked"]
    assert sorted(event.metadata["n"] for event in worked) == list(range(count))
    for event in worked:
        number = event.metadata["n"] % 10
        assert event.user == {"userId": f"u{number}"}
        assert event.account == {"accountId": f"a{number}"}


def test_each_task_acts_for_its_sender_in_processes_that_were_forked(api, prefork):
    prefork.send(60, "work")
    worked = wait_for(api, "worked", 60)
    check_worked(api, 60)
    # On a busy machine, one of the two children may process all of them.
    assert prefork.process.pid not in {event.metadata["process"] for event in worked}
    assert [event.name for event in api.events].count("preloaded") <= 1


@pytest.mark.parametrize("pool", ["threads", "solo", "gevent"])
def test_each_task_acts_for_its_sender_in_other_pools_and_a_shutdown_delivers(api, workers, tmp_path, pool):
    if pool == "gevent":
        pytest.importorskip("gevent", reason="runs Celery's gevent pool")
    api.answer_next(None, delay=0.02, count=60)
    one = workers.start(tmp_path, f"--pool={pool}", "-c4")
    one.send(60, "work")
    wait_for(api, "worked", 30)
    one.wait_until_taken()
    said = one.stop()
    ran = len([event for event in api.events if event.name == "worked"]) + one.waiting()
    assert ran == 60, said  # what was reserved but not started returns to the broker
    assert "Traceback" not in said
    for event in api.events:
        assert event.user == {"userId": f"u{event.metadata['n'] % 10}"}


def test_a_retry_keeps_its_sender_and_counts_only_when_it_succeeds(api, prefork):
    prefork.send(5, "try_twice")
    tried = wait_for(api, "tried", 5)
    assert sorted(event.user["userId"] for event in tried) == ["u0", "u1", "u2", "u3", "u4"]


def test_nothing_is_left_behind_for_the_next_task(api, prefork):
    prefork.send(6, "leaves_a_user")
    prefork.run("import app\nfor _ in range(6): app.nobody.delay()")
    for event in wait_for(api, "was_nobody", 6):
        assert event.user is None
        assert event.metadata == {}


def test_what_a_task_sends_acts_for_whoever_sent_that_task(api, prefork):
    prefork.send(3, "parent")
    users = [event.user["userId"] for event in wait_for(api, "worked", 3)]
    assert sorted(users) == ["u0", "u1", "u2"]


@pytest.mark.parametrize("instrumented", [{}, {"PLAIN": "1"}], ids=["instrumented", "plain"])
def test_worker_processes_that_are_replaced_and_a_shutdown_lose_nothing(api, workers, tmp_path, instrumented):
    api.answer_next(None, delay=0.05, count=18)
    ran = tmp_path / "ran"
    one = workers.start(tmp_path, "--pool=prefork", "-c2", "--max-tasks-per-child=3", RAN=str(ran), **instrumented)
    one.send(18, "nobody")
    one.wait_until_taken()
    said = one.stop()  # what it has reserved but not started returns to the broker
    arrived = [event for event in api.events if event.name == "was_nobody"]
    assert len(arrived) == len(ran.read_text().splitlines()) >= 12, said
