"""Scripted HTTP clients, and a tracker's worker without its thread and with a simulated clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import time
from typing import Any

import pytest

from journy_track import HttpRequest, HttpResponse
from journy_track._capture.recorder import Recorder
from journy_track._delivery.budget import Budget
from journy_track._delivery.pacing import Pacer
from journy_track._delivery.pipeline import Pipeline
from journy_track._model.config import Config
from journy_track._verbs import Verbs

#: Response headers for a budget that never runs out, so that pacing does not matter.
PLENTY = {"X-RateLimit-Limit": "1000000", "X-RateLimit-Remaining": "1000000"}
ANSWER = b'{"meta": {"requestId": "r", "status": 0}}'


@dataclass
class Script:
    """An HTTP client that returns or raises the next of its *answers*, and 201 after the last one."""

    answers: list[Any] = field(default_factory=list)
    requests: list[HttpRequest] = field(default_factory=list)

    def send(self, request: HttpRequest, /) -> HttpResponse:
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else 201
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, HttpResponse) else HttpResponse(answer, PLENTY, ANSWER)

    def close(self) -> None:
        """Do nothing: no connection is kept open."""


class Clock:
    """Simulated time, which passes only when a test advances it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Desk(Verbs):
    """The parts of a tracker, without a thread and with a simulated clock. *turn()* is one turn of the worker."""

    def __init__(self, script: Script, settings: dict[str, Any]) -> None:
        self.clock = Clock()
        config = Config.load("a-key", {"http_client": script, **settings}, environ={})
        budget = Budget(Pacer(self.clock, lambda low, high: low), self.clock)
        began = time() - self.clock()
        pipeline = self.pipeline = Pipeline(
            config,
            clock=self.clock,
            wall=lambda: began + self.clock(),
            budget=budget,
            wait_before=lambda attempts: 2.0**attempts,
            inline=True,
        )
        self.script = script
        self.queue, self.ledger = pipeline.queue, pipeline.ledger
        self.dispatcher, self.worker = pipeline.dispatcher, pipeline.worker
        self.recorder = Recorder(config, lambda: self.queue, None)

    def put(self, name: str = "signed_in", **metadata: object) -> None:
        """Capture one event."""
        self.track(name, metadata, user="u1")

    def put_many(self, count: int) -> None:
        for _ in range(count):
            self.track("signed_in", user="u1")

    def take_captured(self) -> None:
        """Run the first half of a turn: hand what was captured to the dispatcher."""
        self.pipeline.keep_captured()
        self.pipeline.feed.fetch(self.dispatcher)

    def turn(self) -> float | None:
        """Run one turn of the worker. Returns the seconds until the next one, `None` when nothing waits."""
        return self.worker.step()


@pytest.fixture
def desk() -> Iterator[Callable[..., Desk]]:
    """Makes the parts of a tracker with these settings, whose HTTP client returns *answers* in order."""
    all_made: list[Desk] = []

    def make(*answers: Any, **settings: Any) -> Desk:
        all_made.append(Desk(Script(list(answers)), settings))
        return all_made[-1]

    yield make
    for made in all_made:
        made.pipeline.store.close()
