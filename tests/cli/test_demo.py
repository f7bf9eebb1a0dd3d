"""`journy-track demo`, as a new user runs it."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

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


def numbers(printed: str) -> dict[str, int]:
    """Return the numbers in the last two sentences."""
    found = re.search(
        r"The sample: captured (\d+), delivered (\d+), arrived (\d+)(?:, merged into others (\d+))?\. "
        r"The client: (\d+) calls\. The inspector: (\d+) requests with (\d+) events; "
        r"([\d,]+) of 1,800 are left in this minute\.",
        " ".join(printed.split()),
    )
    assert found is not None, printed
    names = ("captured", "delivered", "arrived", "merged", "calls", "requests", "events", "left")
    return {name: int((text or "0").replace(",", "")) for name, text in zip(names, found.groups(), strict=True)}


def test_the_demo_ends_well_only_because_everything_captured_arrived(demo: subprocess.CompletedProcess[str]) -> None:
    assert demo.returncode == 0, demo.stderr
    printed = numbers(demo.stdout)
    assert printed["captured"] == printed["delivered"] + printed["merged"]
    assert printed["delivered"] == printed["arrived"] > 90


def test_the_numbers_of_the_demo_are_those_of_the_inspector_and_agree() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "journy_track", "demo", "--serve"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith("The inspector:"):
                    break
            found = re.search(r"stays up at (http://\S+)", "".join(process.stderr.readline() for _ in range(2)))
            assert found is not None
            counts = requests.get(f"{found[1]}/__inspector/requests", timeout=10).json()["counts"]
            users = requests.get(f"{found[1]}/__inspector/users", timeout=10).json()["users"]
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
    printed = numbers("".join(lines))
    assert (printed["requests"], printed["events"]) == (counts["requests"], counts["accepted"])
    assert printed["requests"] == printed["arrived"] + printed["calls"]
    assert printed["left"] == 1800 - printed["requests"]
    rows = [re.split(r"\s*[│┃]\s*", line.strip()) for line in lines]
    times = {row[1]: int(row[2]) for row in rows if len(row) == 7 and row[2].isdigit()}
    assert sum(times.values()) == counts["accepted"]
    for user in users:
        assert (user["id"] or user["alias"]) in "".join(lines)


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
        with pytest.raises(BlockingIOError):  # nothing connected
            queue_of_production.accept()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "real-key-1234" not in ended.stdout + ended.stderr
    assert not spool.exists()


def test_a_demo_whose_events_did_not_arrive_prints_that(api: Inspector, capsys: pytest.CaptureFixture[str]) -> None:
    _show_one_event(api)
    _conclude(Stats(captured=3, delivered=1, given_up=2), 1, [], api.counts, complete=False)
    said = " ".join(capsys.readouterr().err.split())
    assert said == "Error: Not everything arrived: captured 3, delivered 1, arrived 1, dropped {}, given up 2."


def test_a_port_that_is_taken_is_said_in_a_sentence(api) -> None:  # type: ignore[no-untyped-def]
    port = api.url.rpartition(":")[2]
    ended = run("demo", "--port", port)
    assert ended.returncode == 1
    assert f"Cannot listen on port {port}: {os.strerror(errno.EADDRINUSE)}. Leave" in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
