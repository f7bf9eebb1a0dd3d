"""`journy-track demo --jobs`: three real processes, and the user to whom all of their events belong."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import requests

from journy_track.cli import demo_jobs
from journy_track.cli.demo_jobs import ACCOUNT, EVENTS, USER

from .commands import journy, run, started, words

pytestmark = pytest.mark.slow

needs_rq = pytest.mark.skipif(demo_jobs.find_spec("rq") is None, reason="needs rq")
needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="needs a redis-server (apt-get install redis-server)"
)


@dataclass(frozen=True)
class Running:
    """A demo that is still running."""

    process: subprocess.Popen[str]
    said: str
    folder: Path

    def place(self, before: str) -> str:
        found = re.search(rf"{before} (http://[^\s/]+)", self.said)
        assert found is not None, self.said
        return found[1]

    @property
    def children(self) -> list[int]:
        (numbers,) = re.findall(r"web (\d+), RQ worker (\d+), billing (\d+)", self.said)
        return [int(number) for number in numbers]

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Running]:
    output = tmp_path / "said"
    (folder := tmp_path / "temporary").mkdir()
    with output.open("w") as writing:
        process = started("demo", "--jobs", "--serve", output=writing.fileno(), TMPDIR=str(folder))
    try:
        deadline = monotonic() + 60
        while "Ctrl-C" not in (said := output.read_text()):
            assert process.poll() is None, said
            assert monotonic() < deadline, said
            sleep(0.02)
        yield Running(process, said, folder)
    finally:
        process.terminate()
        process.wait(60)


def received(inspector: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = requests.get(f"{inspector}/__inspector/requests", timeout=20).json()["requests"]
    return listed


def is_gone(process: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(process, 0)
        return False
    return True


@needs_rq
@needs_redis
def test_one_click_is_one_timeline_of_three_processes():
    done = journy("demo", "--jobs", COLUMNS="80")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"│\s+\d+ ms │ (\w+)\s+│ (\w+)\s+│ (\w+)\s+│ (\w+)", done.stdout)
    assert rows == [(service, event, USER, ACCOUNT) for event, service in EVENTS.items()]
    assert f"3 of 3 events arrived, from three processes, all of {USER} at {ACCOUNT}." in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert len(done.stdout.splitlines()) <= 22
    assert done.stderr == ""


@needs_rq
@needs_redis
def test_of_many_customers_at_once_each_event_is_of_the_one_who_clicked(shop: Running):
    page, inspector = shop.place("click yourself at"), shop.place("stays up at")

    def buy(user: str) -> None:
        answer = requests.post(f"{page}/orders", cookies={"user": user}, timeout=20)
        assert answer.url == f"{page}/"

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(buy, ["omar", "jane"] * 4))
    deadline = monotonic() + 60
    while len(arrived := received(inspector)) < 27 and monotonic() < deadline:
        sleep(0.05)
    of_whom = Counter(
        (one["values"]["service"], one["name"], one["users"][0]["id"], one["account"]["id"]) for one in arrived
    )
    assert {one["status"] for one in arrived} == {201}
    assert of_whom == {
        (service, event, user, account): clicks
        for event, service in EVENTS.items()
        for user, account, clicks in (("jane", "acme", 5), ("omar", "globex", 4))  # one of Jane's is the demo's own
    }


@needs_rq
@needs_redis
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_whoever_ends_the_demo_ends_all_of_it(shop: Running, number: int, code: int):
    children = shop.children
    assert not any(map(is_gone, children))
    assert list(shop.folder.iterdir())
    assert shop.end(number) == code
    assert all(map(is_gone, children))
    assert not list(shop.folder.iterdir())  # the folder in which redis-server ran is removed


@needs_rq
def test_without_a_redis_server_the_remedy_is_printed(tmp_path: Path):
    done = run("demo", "--jobs", PATH=str(tmp_path))
    assert done.exit_code == 2
    assert "no redis-server on the PATH: apt-get install redis-server, or brew install redis." in words(done.stderr)


def test_without_rq_the_remedy_is_printed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(demo_jobs, "find_spec", lambda name: None)
    done = run("demo", "--jobs")
    assert done.exit_code == 2
    assert "RQ, which is not installed: pip install rq" in words(done.stderr)


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the shop's folder that a test may change."""
    folder = tmp_path / "shop"
    shutil.copytree(demo_jobs.SHOP, folder)
    monkeypatch.setattr(demo_jobs, "SHOP", folder)
    return folder


@needs_rq
@needs_redis
def test_an_event_of_somebody_else_fails_the_demo(copied: Path):
    billing = copied / "billing.py"
    billing.write_text(billing.read_text().replace(".track()", '.track(account="globex")'))
    done = run("demo", "--jobs")
    assert done.exit_code == 1
    assert "created_invoice │ jane │ globex" in done.stdout
    assert "Something is wrong: 3 of 3 events arrived; all should be of jane at acme." in words(done.stderr)


@needs_rq
@needs_redis
def test_a_process_that_does_not_start_is_named_with_what_it_said_last(copied: Path):
    (copied / "billing.py").write_text("raise SystemExit('no money')")
    done = run("demo", "--jobs")
    assert done.exit_code == 1
    assert "no money" in done.stderr
    assert "The shop's billing process ended: see above." in words(done.stderr)
