"""A copied request does the same when it is sent again."""

import os
import shutil
import subprocess
import sys

import pytest

KEY = "a-key-for-tests"
BODIES = {
    "plain": b'{"identification": {"user": {"userId": "u1"}}, "name": "signed_in"}',
    "quotes": b"""{"identification": {"user": {"userId": "it's \\"u1\\""}}, "name": "$HOME `id` !x \\\\"}""",
    "unicode": '{"name": "größe 🙂 \\ud800", "metadata": {"line": "a\\nb", "none": null, "yes": true}}'.encode(),
    "long": b'{"metadata": {' + b", ".join(b'"key_%d": "%s"' % (n, b"x" * 40) for n in range(30)) + b"}}",
    "no json": b"@file not json",
    "bytes": b"\xff\x00\n\xfe",
    "empty": b"",
}


@pytest.fixture(params=BODIES)
def copied(request, api, call):
    call("POST", "/track?a=1&b=%26%20x", data=BODIES[request.param], headers={"Content-Type": "application/json"})
    return call("GET", "/__inspector/requests/1").json()


def again(api, command, **more):
    environment = {**os.environ, "JOURNY_API_KEY": KEY, "NO_PROXY": "*"}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60, **more)
    first, second = api.requests
    for field in ("method", "path", "query", "json", "key", "status", "operation"):
        assert getattr(first, field) == getattr(second, field)
    return first, second


@pytest.mark.skipif(not shutil.which("curl"), reason="this machine has no curl")
def test_as_curl(api, copied):
    first, second = again(api, ["sh", "-c", copied["curl"]])
    assert first.body == second.body


@pytest.mark.slow
def test_as_python(api, copied):
    first, second = again(api, [sys.executable, "-"], input=copied["python"].encode())
    assert first.json is not None or first.body == second.body


def test_a_copy_holds_no_key(copied):
    assert KEY not in copied["curl"] + copied["python"]
    assert "JOURNY_API_KEY" in copied["curl"]
    assert "JOURNY_API_KEY" in copied["python"]


def test_a_read_without_a_key_is_copied_without_one(api, caller_of):
    call = caller_of(api.url, key=None)
    call("GET", "/validate")
    copied = call("GET", "/__inspector/requests/1").json()
    assert copied["curl"] == f"curl -X GET {api.url}/validate"
    assert "headers" not in copied["python"]
