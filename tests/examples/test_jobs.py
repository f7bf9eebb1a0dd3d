"""The examples of the job systems, each with its real broker and worker."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import pytest
from redis_server import redis_server

EXAMPLES = Path(__file__).parents[2] / "examples"
BIN = Path(sys.executable).parent
PYTHON = sys.executable
SHOP = (PYTHON, "shop.py", "5")
#: The required package, the worker's command, and what sends jobs.
SYSTEMS = {
    "rq": ("rq", (str(BIN / "rq"), "worker", "--url", "URL", "--path", "."), SHOP),
    "dramatiq": ("dramatiq", (PYTHON, "-m", "dramatiq", "tasks", "-p", "1", "-t", "4"), SHOP),
    "huey": ("huey", (PYTHON, "-m", "huey.bin.huey_consumer", "tasks.huey", "-w", "2", "-m", "0.5"), SHOP),
    "arq": ("arq", (PYTHON, "-m", "arq", "tasks.WorkerSettings"), SHOP),
    "taskiq": ("taskiq_redis", (PYTHON, "-m", "taskiq", "worker", "tasks:broker", "--workers", "1"), SHOP),
    "apscheduler": ("apscheduler", None, SHOP),
    "django_tasks": (
        "django_tasks_db",
        (PYTHON, "-m", "django", "db_worker", "--interval", "0.05"),
        (PYTHON, "-m", "django", "ask_for_reports", "5"),
    ),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_each_customers_report_is_theirs(api, tmp_path, name):
    package, worker, shop = SYSTEMS[name]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}, which is not installed")
    with redis_server() as url:
        environment = {
            **os.environ,
            "REDIS_URL": url,
            "JOURNY_BASE_URL": api.url,
            "DATABASE": str(tmp_path / "shop.sqlite3"),
            "DJANGO_SETTINGS_MODULE": "settings",
        }
        here = {"cwd": EXAMPLES / name, "env": environment, "timeout": 60}
        if name == "django_tasks":
            subprocess.run([PYTHON, "-m", "django", "migrate", "-v0"], check=True, **here)
        with (tmp_path / "said").open("w+") as said:
            process = None
            if worker is not None:
                process = subprocess.Popen(
                    [url if word == "URL" else word for word in worker],
                    cwd=EXAMPLES / name,
                    env=environment,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            try:
                subprocess.run(shop, check=True, **here)
                deadline = monotonic() + 60
                while len(api.events) < 16 and monotonic() < deadline:
                    sleep(0.05)
            finally:
                if process is not None:
                    end(process)
            said.seek(0)
            assert "Traceback" not in (text := said.read()), text
    names = ("exported_report", "rendered_page", "notified")
    assert Counter(event.name for event in api.events) == {**dict.fromkeys(names, 5), "cleaned_up": 1}
    for event_name in names:
        of_users = [event for event in api.events if event.name == event_name]
        assert sorted(event.user["userId"] for event in of_users) == [f"u{number}" for number in range(5)]
        assert {event.account["accountId"] for event in of_users} == {"acme"}
        assert {event.metadata["channel"] for event in of_users} == {"web"}
    (cleaned_up,) = (event for event in api.events if event.name == "cleaned_up")
    assert cleaned_up.user is None


def end(process: subprocess.Popen[bytes]) -> None:
    """Shut down gracefully, and kill what does not stop, with all child processes."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # it runs in its own session
    process.wait(10)
