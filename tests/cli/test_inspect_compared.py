"""`journy-track inspect` with a mirror, a catalogue and a link to traces."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from journy_track.cli.app import app
from journy_track.cli.cataloguing.committed import read_committed, usual_catalogue
from journy_track.inspector import Inspector

from .commands import run, runner, words

APP = """
import journy_track
def view(name):
    journy_track.track("signed_up", user="u1", plan="pro")
    journy_track.track("bought | paid", user="u1")
    journy_track.track(name, user="u1")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("file", ["events.md", "events.json"])
def test_a_catalogue_that_was_written_is_read_again(folder: Path, file: str) -> None:
    assert run("catalog", "app.py", "--output", file).exit_code == 0
    found = read_committed(folder / file)
    assert sorted(found.names) == ["bought | paid", "signed_up"]
    assert not found.is_whole  # one name is computed at run time
    assert usual_catalogue(folder) == folder / file


def test_a_schema_is_a_catalogue_too(folder: Path) -> None:
    assert run("catalog", "app.py", "--output", "events.json", "--format", "schema").exit_code == 0
    assert sorted(read_committed(folder / "events.json").names) == ["bought | paid", "signed_up"]


@pytest.mark.parametrize("text", ["# Events\n\nOur party in May.\n", '{"events": ["May"]}', "[1", ""])
def test_another_file_of_that_name_is_not_taken_for_one(folder: Path, text: str) -> None:
    for name in ("events.md", "events.json"):
        (folder / name).write_text(text, encoding="utf-8")
    assert usual_catalogue(folder) is None
    ended = run("inspect", "--port", "0", "--catalog", "events.md")
    assert ended.exit_code == 2
    assert "events.md is not a catalogue. Write one with: journy-track catalog --output events.md" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (["--catalog", "none.md"], {}, "Cannot read none.md: No such file or directory."),
        (["--trace-url", "https://traces.example/"], {}, "is not the address of a trace"),
        (["--forward"], {}, "There is no API key."),
        (["--base-url", "https://api.journy.io"], {}, "only apply to --forward: pass that as well."),
        (
            ["--forward"],
            {"JOURNY_API_KEY": "k", "JOURNY_BASE_URL": "http://127.0.0.1:8470"},
            "JOURNY_BASE_URL is this machine (http://127.0.0.1:8470): --forward would send there",
        ),
        (
            ["--forward", "--port", "8471", "--base-url", "http://127.0.0.1:8471"],
            {"JOURNY_API_KEY": "k"},
            "http://127.0.0.1:8471 is this inspector: it cannot forward to itself.",
        ),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(
    arguments: list[str], environment: dict[str, str], sentence: str
) -> None:
    port = [] if "--port" in arguments else ["--port", "0"]
    nothing = dict.fromkeys(name for name in ("JOURNY_API_KEY", *os.environ) if name.startswith("JOURNY_"))
    ended = runner().invoke(app, ["inspect", *port, *arguments], env={**nothing, **environment})
    assert ended.exit_code == 2
    assert sentence in words(ended.stderr)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], list[str], str]]]:
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **environment: str) -> tuple[subprocess.Popen[str], list[str], str]:
        command = [sys.executable, "-m", "journy_track", "inspect", "--port", "0", *arguments]
        settings = {**os.environ, "NO_COLOR": "1", "COLUMNS": "160", **environment}
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=settings, cwd=tmp_path)
        started.append(process)
        assert process.stderr is not None
        lines: list[str] = []
        while not (found := re.search(r"listens at (http://127\.0\.0\.1:\d+)", lines[-1] if lines else "")):
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        return process, lines, found[1]

    yield begin
    for process in started:
        process.kill()
        process.communicate(timeout=10)


@pytest.mark.slow
def test_the_mirror_says_that_it_is_live_and_what_became_of_it(
    start: Callable[..., tuple[subprocess.Popen[str], list[str], str]],
) -> None:
    with Inspector() as journy_io:
        process, lines, url = start("--forward", "--base-url", journy_io.url, JOURNY_API_KEY="the-real-key")
        host = journy_io.url.removeprefix("http://")
        assert f"LIVE: what it accepts is also sent to {host}, with the key …-key.\n" in lines
        body = {"identification": {"user": {"userId": "u1"}}, "name": "signed_up"}
        assert requests.post(f"{url}/track", json=body, headers={"X-Api-Key": "app"}, timeout=10).status_code == 201
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=30)
        assert f"Also sent to {host}: 1 request. Failed there: 0.\n" in rest
        assert [request.json for request in journy_io.requests] == [body]
        assert "the-real-key" not in "".join(lines) + rest


@pytest.mark.slow
def test_a_catalogue_is_found_and_a_link_to_traces_is_taken(
    start: Callable[..., tuple[subprocess.Popen[str], list[str], str]], folder: Path
) -> None:
    assert run("catalog", "app.py", "--output", "events.md").exit_code == 0
    _, lines, url = start("--trace-url", "https://traces.example/{trace_id}")
    assert "It compares what arrives with the catalogue events.md.\n" in lines
    settings = requests.get(f"{url}/__inspector/settings", timeout=10).json()
    assert settings == {"trace_url": "https://traces.example/{trace_id}", "forward": None, "catalogue": True}
    compared = requests.get(f"{url}/__inspector/catalogue", timeout=10).json()
    assert compared == {"file": "events.md", "names": ["bought | paid", "signed_up"], "is_whole": False, "seen": []}
    (folder / "events.md").unlink()
    compared = requests.get(f"{url}/__inspector/catalogue", timeout=10).json()
    assert compared == {"problem": "Cannot read events.md: No such file or directory."}
