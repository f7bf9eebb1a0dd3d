"""The API's limit and the load that `benchmarks/app.py` measures with."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))  # the benchmarks are in the repository, but not in the wheel

from benchmarks import app
from benchmarks._server import python_server


def statuses(url: str, count: int, key: str | None) -> list[tuple[int, str]]:
    """Return the status of each request, and how many calls are left according to the response."""
    found = []
    for _ in range(count):
        request = urllib.request.Request(url, b"{}", {} if key is None else {"X-API-Key": key})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                found.append((response.status, response.headers["X-RateLimit-Remaining"]))
        except urllib.error.HTTPError as error:
            found.append((error.code, error.headers["X-RateLimit-Remaining"]))
            error.close()
    return found


def test_the_api_takes_as_many_requests_of_this_library_as_its_limit():
    with python_server(limit=2) as url:
        assert statuses(url, 3, "a-key") == [(200, "1"), (200, "0"), (429, "0")]
        assert {status for status, _ in statuses(url, 3, None)} == {200}  # requests of a peer are not limited


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="ends a server's processes as a group")
def test_the_load_counts_the_requests_that_were_served(tmp_path, monkeypatch):
    pytest.importorskip("flask", reason="serves Flask's hello world")
    pytest.importorskip("gunicorn", reason="serves under gunicorn")
    monkeypatch.chdir(Path(__file__).parents[1])
    with python_server(limit=1800) as api, app.serving("ours", api, str(tmp_path)) as served:
        served.load(0.5)
        assert served.requests > 0
        assert served.seconds >= 0.5
        assert served.rate == served.requests / served.seconds
