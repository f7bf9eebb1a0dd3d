"""`journy-track inspect -- COMMAND`: runs a program whose requests go to the inspector."""

from __future__ import annotations

import http.server
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from journy_track.inspector import Inspector

pytestmark = pytest.mark.slow

Start = Callable[..., "subprocess.Popen[str]"]
TRACKS = """
import sys, journy_track
journy_track.configure()
journy_track.track("signed_in", user="u1")
assert journy_track.flush(10)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "journy_track", "inspect", "--port", "0", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        settings = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120", **environment}
        started.append(subprocess.Popen(command, text=True, env=settings, **pipes))  # type: ignore[call-overload]
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate(timeout=10)


@pytest.mark.parametrize("code", ["0", "7"])
def test_a_program_needs_no_setting_and_its_exit_code_is_passed_on(start: Start, code: str) -> None:
    process = start("--", sys.executable, "-c", TRACKS, code, JOURNY_API_KEY="the-real-key")
    _, said = process.communicate(timeout=60)
    assert process.returncode == int(code), said
    assert f"ended with {code}. Requests: 1 × 201. Events: 1." in said
    assert "the-real-key" not in said


def test_the_program_gets_the_address_and_a_key_of_nobody(start: Start) -> None:
    print_them = "import os; print(os.environ['JOURNY_BASE_URL'], os.environ['JOURNY_API_KEY'])"
    process = start("--", sys.executable, "-c", print_them, JOURNY_API_KEY="the-real-key")
    printed, _ = process.communicate(timeout=60)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+ development\n", printed)


def test_a_program_with_a_write_key_alone_has_it_alone_here_too(start: Start) -> None:
    print_them = "import os; print(os.environ.get('JOURNY_API_KEY') or 'none', os.environ['JOURNY_WRITE_KEY'])"
    process = start("--", sys.executable, "-c", print_them, JOURNY_API_KEY="", JOURNY_WRITE_KEY="the-real-key")
    printed, _ = process.communicate(timeout=60)
    assert printed == "none development\n"


def test_a_real_projects_queue_gets_nothing_and_nothing_is_hidden(start: Start, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with socket.create_server(("127.0.0.1", 0)) as queue_of_production:
        broker = f"redis://127.0.0.1:{queue_of_production.getsockname()[1]}/0"
        elsewhere = {"JOURNY_BROKER_URL": broker, "JOURNY_SPOOL": str(spool), "JOURNY_ENABLED": "0"}
        process = start("--", sys.executable, "-c", TRACKS, "0", JOURNY_SHARE="0.0001", **elsewhere)
        _, said = process.communicate(timeout=60)
        queue_of_production.setblocking(False)
        with pytest.raises(BlockingIOError):  # nothing connected
            queue_of_production.accept()
    assert "Requests: 1 × 201. Events: 1." in said
    assert not spool.exists()


def test_options_after_the_command_are_its_own(start: Start) -> None:
    process = start(sys.executable, "-c", "import sys; print(sys.argv[1:])", "--port", "3", "--help")
    printed, _ = process.communicate(timeout=60)
    assert printed == "['--port', '3', '--help']\n"


def test_a_command_that_is_not_there_is_wrong_usage(start: Start) -> None:
    process = start("--", "no-such-program")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Cannot run no-such-program" in said
    assert "Traceback" not in said


def test_a_program_that_a_signal_ended_gives_what_a_shell_would(start: Start) -> None:
    process = start("--", sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL


WAITS = "import sys, time; print('ready', flush=True); time.sleep(60)"


def test_whoever_ends_the_inspector_ends_the_program(start: Start) -> None:
    process = start("--", sys.executable, "-c", WAITS)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)  # the pipe is closed once the program has ended, too
    assert process.returncode == 128 + signal.SIGTERM


def test_ctrl_c_is_the_programs_own_affair(start: Start) -> None:
    process = start("--", sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(1.5)")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)  # to the inspector only: a terminal would send it to the program as well
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "Traceback" not in said


def test_the_page_can_stay_after_the_program(start: Start) -> None:
    process = start("--stay", "--", sys.executable, "-c", TRACKS, "3")
    assert process.stderr is not None
    url = ""
    deadline = time.monotonic() + 60
    while not url and time.monotonic() < deadline:
        if found := re.search(r"stays up at (http://\S+)", process.stderr.readline()):
            url = found[1]
    assert requests.get(f"{url}/__inspector/requests", timeout=10).json()["counts"]["accepted"] == 1
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 3, said


def test_each_request_is_a_line_beside_the_programs_output(start: Start) -> None:
    process = start("--", sys.executable, "-c", TRACKS, "0")
    _, said = process.communicate(timeout=60)
    (line,) = [line for line in said.splitlines() if "POST /track" in line]
    assert line.endswith(" 201  signed_in  u1")
    assert said.index(line) < said.index("The command ended with 0.")


def test_no_request_is_a_line_where_it_shall_be_quiet(start: Start) -> None:
    process = start("--quiet", "--", sys.executable, "-c", TRACKS, "0")
    _, said = process.communicate(timeout=60)
    assert "POST /track" not in said
    assert "Requests: 1 × 201." in said


def test_an_inspector_that_runs_already_gets_what_the_program_sends(start: Start, api: Inspector) -> None:
    port = api.url.rpartition(":")[2]
    process = start("--port", port, "--", sys.executable, "-c", TRACKS, "7")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 7, said
    assert f"Your command is pointed at the inspector that runs at {api.url}\n" in said
    assert [event.name for event in api.events] == ["signed_in"]


def test_an_inspector_of_its_own_is_started_where_an_option_asks_for_one(start: Start, api: Inspector) -> None:
    port = api.url.rpartition(":")[2]
    process = start("--port", port, "--limit", "1000", "--", sys.executable, "-c", TRACKS, "0")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert f"Port {port} is taken by another inspector: using another one." in said
    assert "Requests: 1 × 201. Events: 1." in said
    assert api.requests == []


@pytest.mark.parametrize("responds", [True, False])
def test_another_port_is_taken_where_another_program_has_it(start: Start, responds: bool, hung_server: str) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        port = str(other.server_port) if responds else hung_server.rpartition(":")[2]
        process = start("--port", port, "--", sys.executable, "-c", TRACKS, "0")
        _, said = process.communicate(timeout=60)
        other.shutdown()
    assert process.returncode == 0, said
    assert f"Port {port} is taken by another program: using another one." in said
    assert "Requests: 1 × 201. Events: 1." in said


def test_an_allowed_host_is_accepted_and_its_url_printed(start: Start) -> None:
    process = start("--host", "0.0.0.0", "--allow-host", "inspector")
    assert process.stderr is not None
    said = ""
    deadline = time.monotonic() + 60
    while "JOURNY_ALLOW_HTTP" not in said and time.monotonic() < deadline:
        said += process.stderr.readline()
    found = re.search(r"JOURNY_BASE_URL=http://inspector:(\d+)", said)
    assert found is not None, said
    for host, status in (("inspector", 200), ("localhost", 200), ("evil.example", 421)):
        answer = requests.get(f"http://127.0.0.1:{found[1]}/", headers={"Host": host}, timeout=10)
        assert answer.status_code == status
