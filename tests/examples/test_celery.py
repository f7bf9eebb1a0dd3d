"""The Celery example, with a real broker and a real worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from time import monotonic, sleep

import pytest
from redis_server import redis_server

pytest.importorskip("celery", reason="runs the Celery example")

EXAMPLE = Path(__file__).parents[2] / "examples" / "celery"


def test_each_customers_report_is_theirs(api, tmp_path):
    with redis_server() as url:
        environment = {**os.environ, "REDIS_URL": url, "JOURNY_BASE_URL": api.url}
        with (tmp_path / "said").open("w+") as said:
            worker = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-c2", "--loglevel=WARNING"],
                cwd=EXAMPLE,
                env=environment,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
            try:
                subprocess.run([sys.executable, "shop.py", "5"], cwd=EXAMPLE, env=environment, check=True, timeout=60)
                deadline = monotonic() + 60
                while len(api.events) < 21 and monotonic() < deadline:
                    sleep(0.05)
            finally:
                worker.send_signal(signal.SIGTERM)
                worker.wait(60)
            said.seek(0)
            assert "Traceback" not in said.read()
    names = ("exported_report", "rendered_page", "notified", "imported_numbers")
    assert Counter(event.name for event in api.events) == {**dict.fromkeys(names, 5), "cleaned_up": 1}
    for name in names:
        of_users = [event for event in api.events if event.name == name]
        assert sorted(event.user["userId"] for event in of_users) == [f"u{number}" for number in range(5)]
        assert {event.account["accountId"] for event in of_users} == {"acme"}
        assert {event.metadata["channel"] for event in of_users} == {"web"}
    (cleaned_up,) = (event for event in api.events if event.name == "cleaned_up")
    assert cleaned_up.user is None
