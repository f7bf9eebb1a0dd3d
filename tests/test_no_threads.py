"""Where threads cannot be started, as in Pyodide, the caller that waits delivers."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from journy_track import HttpResponse, Tracker

PLENTY = {"X-RateLimit-Limit": "1000000", "X-RateLimit-Remaining": "1000000"}


class Server:
    def send(self, request):
        return HttpResponse(201, PLENTY, b'{"meta": {"requestId": "r"}}')

    def close(self): ...


@pytest.fixture
def tracker(monkeypatch):
    tried = []

    def start(thread):
        tried.append(thread.name)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    monkeypatch.setattr(sys, "platform", "emscripten")
    tracker = Tracker("test-key-0123456789", http_client=Server())
    for _ in range(3):
        tracker.track("worked", user="u1")
    assert tried == ["journy_track"]  # once, and not for each capture
    return tracker


@pytest.mark.parametrize(
    "wait",
    [
        lambda tracker: tracker.flush(30),
        # Catches: waiting for the whole timeout for a thread that cannot be started.
        lambda tracker: asyncio.run(tracker.aflush(30)),
        lambda tracker: tracker.shutdown(30),
    ],
    ids=["flush", "aflush", "shutdown"],
)
def test_whoever_waits_delivers(tracker, wait, caplog):
    assert wait(tracker)
    assert tracker.stats().delivered == 3
    assert ["no thread can deliver" in record.message for record in caplog.get_records("setup")] == [True]
