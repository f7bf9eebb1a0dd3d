"""What an integration costs a request that tracks nothing, as counts that do not depend on the machine.

For microseconds: `python -m benchmarks.app`.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: The maximum number of our functions that one request may call.
MAX_CALLS = {
    "WSGI": 14,
    "ASGI": 20,
    "Flask": 28,
    "Django": 17,
    "aiohttp": 20,
    "Tornado": 20,
    "gRPC": 18,
    "gRPC, async": 23,
}
NEEDS = {
    "Flask": "flask",
    "Django": "django",
    "aiohttp": "aiohttp",
    "Tornado": "tornado",
    "gRPC": "grpc",
    "gRPC, async": "grpc",
}
COUNT = """
import gc, json, sys
import journy_track
from benchmarks._requests import APPS

journy_track.configure("a-key", base_url="http://127.0.0.1:9")
_, serve = APPS[sys.argv[1]][1]()
serve(5)  # what is done once is done
gc.disable()  # a collection calls us, too
names = []

def profile(frame, event, _):
    if event == "call" and "/journy_track/" in frame.f_code.co_filename.replace("\\\\", "/"):
        names.append(frame.f_code.co_qualname)

sys.setprofile(profile)
serve(1)
sys.setprofile(None)
gc.collect()
gc.set_debug(gc.DEBUG_SAVEALL)
serve(1)
gc.collect()
left = [type(one).__qualname__ for one in gc.garbage if type(one).__module__.startswith("journy_track")]
print(json.dumps([names, left]))
"""


@pytest.fixture(params=MAX_CALLS)
def counted(request) -> tuple[str, list[str], list[str]]:
    needs = NEEDS.get(request.param)
    if needs is not None and importlib.util.find_spec(needs) is None:
        pytest.skip(f"needs {needs}")
    done = subprocess.run(
        [sys.executable, "-c", COUNT, request.param],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names, left = json.loads(done.stdout)
    return request.param, names, left


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="counts the calls of CPython")
def test_a_request_that_tracks_nothing_takes_few_calls_and_leaves_no_garbage(counted):
    adapter, names, left = counted
    assert len(names) > 5
    assert len(names) <= MAX_CALLS[adapter], names
    assert not left  # a cycle keeps the whole request until garbage collection, which slows down a busy server
