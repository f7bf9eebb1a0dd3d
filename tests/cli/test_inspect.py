"""`journy-track inspect`, started and ended as users do it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

import journy_track

from .commands import run, started


@pytest.fixture
def inspector() -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "journy_track", "inspect", "--port", "0", "--limit", "3"]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
        assert found is not None
        try:
            yield process, found.group()
        finally:
            process.kill()


@pytest.mark.slow
def test_an_app_that_is_pointed_at_the_inspector_needs_no_key(inspector: tuple[subprocess.Popen[str], str]) -> None:
    journy_track.configure(base_url=inspector[1])
    journy_track.track("signed_in", user="u1")
    assert journy_track.flush(5)
    assert journy_track.stats().delivered == 1


@pytest.mark.slow
def test_it_allows_as_many_requests_as_its_limit(inspector: tuple[subprocess.Popen[str], str]) -> None:
    answers = [requests.get(f"{inspector[1]}/validate", headers={"X-Api-Key": "k"}, timeout=5) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["X-RateLimit-Limit"] == "3"


@pytest.mark.slow
def test_ctrl_c_ends_it_without_a_traceback(inspector: tuple[subprocess.Popen[str], str]) -> None:
    process, _ = inspector
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "Traceback" not in errors


@pytest.mark.slow
def test_requests_are_lines_on_stdout_and_a_reader_that_goes_does_not_end_it() -> None:
    with started("inspect", "--port", "0") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
        assert found is not None
        try:
            ask = ["GET", f"{found.group()}/validate"]
            requests.request(*ask, headers={"X-Api-Key": "k"}, timeout=10)
            assert re.fullmatch(r"\d\d:\d\d:\d\d  GET /validate +200\n", process.stdout.readline())
            process.stdout.close()
            for _ in range(20):
                assert requests.request(*ask, headers={"X-Api-Key": "k"}, timeout=10).status_code == 200
            process.send_signal(signal.SIGINT)
            said = process.stderr.read()
            assert process.wait(30) == 0, said
            assert "Traceback" not in said
        finally:
            process.kill()


@pytest.mark.slow
def test_it_refuses_an_address_that_others_can_reach_unless_allowed() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "journy_track", "inspect", "--host", "0.0.0.0", "--port", "0"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    said = " ".join(ended.stderr.split())
    remedy = "pass the name they use for it with --allow-host NAME."
    assert f"0.0.0.0 can be reached from other machines: {remedy}" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--allow-host", "box"], ["It listens on this machine only: for others add --host 0.0.0.0\n"]),
        (["--allow-host", "box", "--host", "0.0.0.0"], ["From another machine", "  JOURNY_BASE_URL=http://box:"]),
    ],
)
def test_how_others_reach_it_is_printed_only_where_they_can(options: list[str], said: list[str]) -> None:
    command = [sys.executable, "-m", "journy_track", "inspect", "--port", "0", *options]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "120"}
    ) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(9 + len(said))]
        process.kill()
    assert lines[8] == "  JOURNY_WRITE_KEY=development\n"
    assert all(line.startswith(start) for line, start in zip(lines[9:], said, strict=True)), lines


def test_a_name_that_is_none_is_wrong_usage() -> None:
    ended = run("inspect", "--port", "0", "--allow-host", "http://inspector")
    assert ended.exit_code == 2
    assert "'http://inspector' is not a host name" in ended.stderr


def test_without_the_extra_the_command_prints_what_to_install(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError(\"No module named 'typer'\", name='typer')\n")
    ended = subprocess.run(
        [sys.executable, "-c", "from journy_track.cli import main; main()"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert ended.returncode == 2
    assert "pip install 'journy-track[cli]'" in ended.stderr
