"""A request from an untrusted sender is copied and pasted: it is sent again, and nothing else happens."""

import http.client
import os
import select
import shutil
import subprocess
import sys
import time

import pytest

pty = pytest.importorskip("pty", reason="needs a pseudo terminal, as on Unix")
pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="this machine has no curl")

SHELLS = {
    "sh": ["sh", "-i"],
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
#: `p` is a program that leaves a mark. Ctrl-O runs a line in bash and zsh; ESC [201~ ends a bracketed paste.
REQUESTS = {
    "method": ("`p`", "/track", "application/json", b'{"a": 1}'),
    "path": ("POST", "/track'$(p)`p`;p;!!?a=$(p)&b=`p`%0ap%1b[201~%0d", "application/json", b"{}"),
    "header": ("POST", "/track", "x\x0f\x1b[201~\x0fp\x0f\x03\x04;p'\"$(p)`p`!!", b'{"a": 1}'),
    "quotes": ("X|p|'p'!!&p", "/track", "a';p;'!p", b'{"a": "it\'s $(p) `p` !! !p \';p;\' \\\\"}'),
    "control characters": ("POST", "/track", "x", b"';p;'\n!p\np\n$(p)\x1b[201~\np\n\x0fp\x0f\x03p\r\np\r\n"),
    "other characters": ("POST", "/track", "x", "größe 🙂 \u202e;p;\u2028p\x85p\x9bp".encode()),
    "long path": ("POST", "/x" + "y" * 5000 + "%27;p;", "x;p;'$(p);p #", b"'" * 7000 + b"$(p)`p`;p;"),
    "long body": ("POST", "/track", "x", b"A" * 200_000 + b"';p"),
}


@pytest.fixture
def folder(tmp_path):
    program = tmp_path / "p"
    program.write_text(f"#!/bin/sh\necho ran >> {tmp_path / 'ran'}\n")
    program.chmod(0o755)
    return tmp_path


@pytest.fixture(params=REQUESTS)
def copied(request, api, call):
    method, target, content_type, body = REQUESTS[request.param]
    connection = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=10)
    connection._validate_method = lambda method: None  # a hostile client is not limited to this module
    connection.putrequest(method, target)
    connection._buffer.append(b"Content-Type: " + content_type.encode("latin-1"))
    connection.putheader("X-Api-Key", "a-key-for-tests")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    connection.getresponse().read()
    connection.close()
    return call("GET", "/__inspector/requests/1").json()


def environment(folder):
    path = f"{folder}:{os.environ['PATH']}"
    key = {"JOURNY_API_KEY": "a-key-for-tests", "NO_PROXY": "*"}
    return {"PATH": path, "HOME": str(folder), "TERM": "xterm", "LANG": "C.UTF-8", **key}


def paste(shell, text, environment, until):
    """Type *text* into an interactive shell, as a terminal does when pasting, and return what the shell printed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(shell[0], shell, environment)
    printed = bytearray()

    def look(seconds):
        if select.select([terminal], [], [], seconds)[0]:
            printed.extend(os.read(terminal, 65536))
            return True
        return False

    try:
        look(10)  # reads the prompt
        while look(0.2):
            pass
        keys = text.replace("\n", "\r").encode() + b"\r"
        for start in range(0, len(keys), 500):
            os.write(terminal, keys[start : start + 500])
            while look(0.01):
                pass
        deadline = time.monotonic() + 20
        while not until() and time.monotonic() < deadline:
            look(0.1)
        os.write(terminal, b"exit\r")
        while look(1.0):
            pass
    except OSError:  # the shell has ended
        pass
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)
    return bytes(printed)


def assert_only_sent_again(api, folder, printed):
    assert not (folder / "ran").exists(), printed[-500:]
    assert len(api.requests) == 2, printed[-500:]
    first, second = api.requests
    for field in ("method", "path", "query", "body"):
        assert getattr(first, field) == getattr(second, field)


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_pasted_into_a_shell_a_copy_runs_nothing_else(api, copied, folder, shell):
    if not shutil.which(shell):
        pytest.skip(f"this machine has no {shell}")
    printed = paste(SHELLS[shell], copied["curl"], environment(folder), lambda: len(api.requests) == 2)
    assert_only_sent_again(api, folder, printed)


@pytest.mark.slow
def test_in_python_a_copy_runs_nothing_else(api, copied, folder):
    ended = subprocess.run(
        [sys.executable, "-"],
        input=copied["python"].encode(),
        env=environment(folder),
        cwd=folder,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert not (folder / "ran").exists()
    assert len(api.requests) == 2, ended.stderr[-500:]
    first, second = api.requests
    assert (first.path, first.query) == (second.path, second.query)
    assert first.method.upper() == second.method  # as `requests` writes it
    assert first.body == second.body or first.json == second.json is not None


@pytest.mark.parametrize("part", ["curl", "python"])
def test_a_copy_holds_nothing_that_a_terminal_acts_on(copied, part):
    assert all(line.isprintable() for line in copied[part].split("\n"))
    assert max(map(len, copied[part].split("\n"))) < 4000 or part == "python"  # a terminal cuts lines at 4095 bytes
