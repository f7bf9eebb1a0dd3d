"""The lines that `journy-track inspect` prints: one for each request, and for each item that an app did not send."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator

import pytest
import requests
from rich.console import Console

import journy_track
from journy_track.cli.request_lines import TOGETHER, RequestLines
from journy_track.inspector import Inspector

TIME = r"\d\d:\d\d:\d\d  "


class Printed:
    """Prints what arrives, and provides the lines at the end of the block."""

    def __init__(self, api: Inspector, *, width: int | None = None) -> None:
        terminal = width is not None
        self._file = io.StringIO()
        console = Console(file=self._file, width=width, force_terminal=terminal, color_system=None)
        self._lines = RequestLines(api, console)

    def __enter__(self) -> Printed:
        self._lines.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._lines.__exit__(*error)

    @property
    def lines(self) -> list[str]:
        return self._file.getvalue().splitlines()


@pytest.fixture
def post(api: Inspector) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.headers["X-Api-Key"] = "key-of-nobody"
        yield session


def event(name: object = "signed_in", **user: str) -> dict[str, object]:
    return {"name": name, "identification": {"user": user or {"userId": "u1"}, "account": {"accountId": "acme"}}}


def test_a_request_is_one_line_with_time_call_status_event_and_whom_it_is_about(
    api: Inspector, post: requests.Session
) -> None:
    with Printed(api) as printed:
        post.post(f"{api.url}/track", json=event())
        post.post(f"{api.url}/users/upsert", json={"identification": {"userId": "u2"}, "properties": {"a": 1}})
        post.get(f"{api.url}/validate")
    first, second, third = printed.lines
    assert re.fullmatch(TIME + r"POST /track +201  signed_in  u1 at acme", first)
    assert re.fullmatch(TIME + r"POST /users/upsert +201  u2", second)
    assert re.fullmatch(TIME + r"GET /validate +200", third)


def test_a_request_that_is_refused_prints_why(api: Inspector, post: requests.Session) -> None:
    with Printed(api) as printed:
        post.post(f"{api.url}/track", json=event(name=3))
        requests.get(f"{api.url}/validate", timeout=10)
    assert re.fullmatch(TIME + r"POST /track +400  u1 at acme  name: .+", printed.lines[0])
    assert re.fullmatch(TIME + r"GET /validate +401  The header X-Api-Key is missing\.", printed.lines[1])


def test_a_repeated_attempt_is_marked(api: Inspector) -> None:
    api.answer_next(status=503)
    with Printed(api) as printed:
        journy_track.configure(base_url=api.url)
        journy_track.track("signed_in", user="u1")
        assert journy_track.flush(20)
    assert " 503  signed_in  u1  " in printed.lines[0]
    assert printed.lines[1].endswith(" 201  signed_in  u1 (attempt 2)")


def test_a_batch_is_one_line_with_the_names_of_its_events_first(api: Inspector) -> None:
    common = {"userId": "u1", "timestamp": "2026-05-17T09:30:00.000Z", "context": {"groupId": "acme"}}
    track = common | {"type": "track", "event": "signed_in"}
    batch = [
        common | {"type": "identify", "traits": {"plan": "pro"}, "messageId": "m1"},
        *(track | {"messageId": number} for number in ("m2", "m3")),
    ]
    with Printed(api) as printed:
        requests.post(f"{api.url}/backend/v1/batch", json={"batch": batch}, auth=("write-key", ""), timeout=10)
    (line,) = printed.lines
    assert re.fullmatch(
        TIME + r"POST /backend/v1/batch +200  3 messages: signed_in × 2, upsertUser  u1 at acme", line
    ), line


def test_what_the_app_did_not_send_is_a_line_too(api: Inspector) -> None:
    with Printed(api) as printed:
        journy_track.configure(base_url=api.url)
        journy_track.track("signed_in")
        journy_track.shutdown()
    (line,) = printed.lines
    assert re.fullmatch(TIME + r"not sent  signed_in: no identity, .*test_request_lines\.py:\d+", line)


def test_a_terminal_gets_one_line_that_fits_and_a_file_the_whole(api: Inspector, post: requests.Session) -> None:
    name = "a_very_long_name_of_an_event_" * 5
    with Printed(api, width=60) as terminal, Printed(api) as file:
        post.post(f"{api.url}/track", json=event(name))
    assert [len(line) for line in terminal.lines] == [60]
    assert f"{name}  u1 at acme" in file.lines[0]


def test_what_a_request_holds_cannot_act_on_the_terminal(api: Inspector, post: requests.Session) -> None:
    with Printed(api, width=100) as printed:
        post.post(f"{api.url}/track", json=event("red\x1b[31m\n[bold]", userId="u\u202e1"))
    (line,) = printed.lines
    assert r"red\x1b[31m\n[bold]  u\u202e1 at acme" in line


def test_many_requests_are_all_printed_in_order_and_so_after_a_reset(api: Inspector, post: requests.Session) -> None:
    with Printed(api) as printed:
        for number in range(TOGETHER + 10):
            post.post(f"{api.url}/track", json=event(f"event_{number}"))
        deadline = time.monotonic() + 30
        while len(printed.lines) < TOGETHER + 10 and time.monotonic() < deadline:
            post.get(f"{api.url}/__inspector/faults")
        api.reset()
        post.post(f"{api.url}/track", json=event("after"))
    names = [line.split()[4] for line in printed.lines]
    assert names == [*(f"event_{number}" for number in range(TOGETHER + 10)), "after"]


def test_what_arrived_before_is_not_printed(api: Inspector, post: requests.Session) -> None:
    post.post(f"{api.url}/track", json=event("before"))
    with Printed(api) as printed:
        post.post(f"{api.url}/track", json=event("after"))
    assert ["before" in line for line in printed.lines] == [False]


def test_requests_that_are_no_longer_kept_are_counted(post: requests.Session) -> None:
    with Inspector(keep=2) as api:
        printed = Printed(api)
        for number in range(5):
            post.post(f"{api.url}/track", json=event(f"event_{number}"))
        with printed:
            pass
    assert printed.lines[0].endswith("… 3 requests came too fast to be printed")
    assert len(printed.lines) == 3
