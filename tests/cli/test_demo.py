"""`journy-track demo`, as a newcomer runs it."""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from journy_track import Stats
from journy_track.cli.demo import _conclude, _show_one_event
from journy_track.inspector import Inspector

pytestmark = pytest.mark.slow

CALLS = (
    "get_api_key_details",
    "upsert_user",
    "delete_user",
    "upsert_account",
    "delete_account",
    "add_users_to_account",
    "remove_users_from_account",
    "link",
    "add_event(for_user)",
    "add_event(for_account)",
    "add_event(for_user_in_account)",
    "get_tracking_snippet",
)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "journy_track", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "160", "NO_COLOR": "1", **environment},
    )


@pytest.fixture(scope="module")
def demo() -> subprocess.CompletedProcess[str]:
    return run("demo")


def test_the_demo_ends_well_only_because_everything_captured_arrived(demo: subprocess.CompletedProcess[str]) -> None:
    assert demo.returncode == 0, demo.stderr
    numbers = re.search(
        r"captured (\d+), delivered (\d+), arrived (\d+)(?:, merged into others (\d+))?;", demo.stdout
    )
    assert numbers is not None, demo.stdout
    captured, delivered, arrived, merged = (int(number or 0) for number in numbers.groups())
    assert captured == delivered + merged
    assert delivered == arrived > 90


@pytest.mark.parametrize("call", CALLS)
def test_the_demo_shows_each_call_of_the_official_sdks(demo: subprocess.CompletedProcess[str], call: str) -> None:
    row = next(line for line in demo.stdout.splitlines() if call in line)
    assert "success" in row


@pytest.mark.parametrize("event", ["signed_up", "signed_in", "created_invoice", "exported_invoices"])
def test_the_demo_lists_the_events_that_arrived(demo: subprocess.CompletedProcess[str], event: str) -> None:
    assert re.search(rf"{event}\s+│\s+\d+", demo.stdout)


def test_the_demo_shows_one_event_with_its_trace_id(demo: subprocess.CompletedProcess[str]) -> None:
    assert re.search(r'"trace_id": "[0-9a-f]{32}"', demo.stdout)


def test_the_environment_of_a_real_project_does_not_disturb_the_demo(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with socket.create_server(("127.0.0.1", 0)) as queue_of_production:
        port = queue_of_production.getsockname()[1]
        ended = run(
            "demo",
            JOURNY_ENABLED="0",
            JOURNY_BASE_URL="https://api.journy.io",
            JOURNY_API_KEY="real-key-1234",
            JOURNY_BROKER_URL=f"redis://127.0.0.1:{port}/0",
            JOURNY_SPOOL=str(spool),
            JOURNY_QUEUE_SIZE="not a number",
        )
        queue_of_production.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody called
            queue_of_production.accept()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "real-key-1234" not in ended.stdout + ended.stderr
    assert not spool.exists()


def test_a_demo_whose_events_did_not_arrive_prints_that(api: Inspector, capsys: pytest.CaptureFixture[str]) -> None:
    _show_one_event(api)
    _conclude(Stats(captured=3, delivered=1, given_up=2), arrived=1, complete=False)
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("Not everything arrived: captured 3, delivered 1, arrived 1, dropped {}, given up 2;")


def test_a_port_that_is_taken_is_said_in_a_sentence(api) -> None:  # type: ignore[no-untyped-def]
    port = api.url.rpartition(":")[2]
    ended = run("demo", "--port", port)
    assert ended.returncode == 1
    assert f"Cannot listen on port {port}: {os.strerror(errno.EADDRINUSE)}. Leave" in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
