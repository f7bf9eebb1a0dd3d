"""Measure what one event costs this library's threads after its capture, without the HTTP exchange.

    python -m benchmarks._worker

An HTTP client that responds at once replaces the network. The CPU time of the process, minus the capturing thread's,
is divided by the number of events. Each process measures only once, so that there are no more events than the API
accepts per minute: what the pacer keeps about that minute has a cost, too.
"""

from __future__ import annotations

import time

import journy_track
from journy_track import HttpRequest, HttpResponse

EVENTS = 400
WARM = 50
USERS = 100
CREATED = HttpResponse(
    201,
    {"X-RateLimit-Limit": "10000000", "X-RateLimit-Remaining": "9999999", "Content-Type": "application/json"},
    b'{"message": "-", "meta": {"requestId": "r", "status": 201}}',
)


class NoNetwork:
    """Accepts every request."""

    def send(self, request: HttpRequest, /) -> HttpResponse:
        """Respond as the API does on success."""
        return CREATED

    def close(self) -> None: ...


def per_event(events: int) -> float:
    """Return the CPU microseconds of all threads but this one, per event."""
    process, own = time.process_time_ns(), time.thread_time_ns()
    for number in range(events):
        journy_track.track("benchmarked", {"plan": "pro", "marker": number}, user=f"u{number % USERS}")
    if not journy_track.flush(timeout=30):
        raise SystemExit("the events were not delivered in time")
    others = time.process_time_ns() - process - (time.thread_time_ns() - own)
    return others / events / 1000


def main() -> None:
    """Measure and print the result."""
    journy_track.configure("benchmark-key", base_url="http://127.0.0.1:9", http_client=NoNetwork())
    per_event(WARM)
    print(per_event(EVENTS))


if __name__ == "__main__":
    main()
