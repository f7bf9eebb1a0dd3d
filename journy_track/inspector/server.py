"""The inspector as a standalone server: in a thread for tests, in the foreground for interactive use."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from journy_track.inspector.app import create_app
from journy_track.inspector.catalogue import ReadCatalogue
from journy_track.inspector.faults import body_error, headers_error
from journy_track.inspector.forward import Target
from journy_track.inspector.guard import is_loopback
from journy_track.inspector.listener import Server
from journy_track.inspector.state import InspectorState
from journy_track.inspector.values import (
    Counts,
    KnownAccount,
    KnownUser,
    PlannedFault,
    Received,
    ReceivedEvent,
    ReceivedMessage,
)


class Inspector:
    """A local stand-in for the journy.io API that records what arrives.

    It listens on `host` and `port` (0: any free port), allows each key `limit` requests per `window` seconds
    and keeps the newest `keep` requests, events, users and accounts, as far as they fit in 64 MiB in total.
    `clock` measures the window's seconds. The recorded data is not protected by a real key, so a host that
    other machines can reach needs `allow_remote`, and the names by which they call it in `allowed_hosts`;
    without `allow_remote`, such a host raises ValueError.
    `forward` receives each accepted request and also sends it to journy.io. `catalogue` reads the project's
    committed events, with which incoming events are compared. `trace_url` is the URL that the page links
    traces to, with `{trace_id}` in it.
    Start and stop the inspector, or use it as a context manager.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        limit: int = 1800,
        window: float = 60.0,
        keep: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
        allowed_hosts: Collection[str] = (),
        allow_remote: bool = False,
        forward: Target | None = None,
        catalogue: ReadCatalogue | None = None,
        trace_url: str | None = None,
    ) -> None:
        if trace_url is not None and (wrong := trace_url_error(trace_url)):
            raise ValueError(wrong)
        if not (allow_remote or is_loopback(host)):
            raise ValueError(
                f"{host!r} can be reached from other machines: pass allow_remote=True if that is intended."
            )
        self._host = "127.0.0.1" if host == "localhost" else host
        self._port = port
        self._state = InspectorState(
            limit=limit,
            window=window,
            keep=keep,
            clock=clock,
            forward=forward,
            catalogue=catalogue,
            trace_url=trace_url,
        )
        self._app = create_app(self._state, allowed_hosts=allowed_hosts)
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The inspector's URL, without a trailing slash. A restart uses the same port."""
        if self._port == 0:
            raise RuntimeError("The inspector has no port yet: start it first.")
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    def start(self) -> Self:
        """Serve in a thread. Returns once requests are accepted; raises OSError if the port is in use."""
        if self._server is not None:
            raise RuntimeError("The inspector is already running.")
        ready = threading.Event()
        server, listener = self._listen(ready.set)

        def run() -> None:
            try:
                server.run(sockets=[listener])
            finally:
                ready.set()

        self._thread = threading.Thread(target=run, name="journy-inspector", daemon=True)
        self._server = server
        self._thread.start()
        if not (ready.wait(timeout=10) and server.started):
            self.stop()
            listener.close()
            raise RuntimeError("The inspector's server could not start.")
        return self

    def stop(self) -> None:
        """Cut every connection and end the thread, within 2 seconds. The recorded data stays readable.

        With `forward`, requests that still wait to be forwarded get another 5 seconds.
        """
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=10)
        self._server = self._thread = None
        self._end_forwarding()

    def run(self, on_ready: Callable[[Self], object] | None = None) -> None:
        """Serve in this thread until Ctrl-C or `stop`. Calls `on_ready` once requests are accepted."""
        server, listener = self._listen(lambda: on_ready(self) if on_ready else None)
        self._server = server  # so that a stop from another thread reaches it
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            pass
        finally:
            self._server = None
            self._end_forwarding()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def requests(self) -> list[Received]:
        """The recorded requests, oldest first: at most the newest `keep`."""
        with self._state.changed:
            return list(self._state.requests)

    @property
    def events(self) -> list[ReceivedEvent]:
        """The accepted events, oldest first: at most the newest `keep`."""
        with self._state.changed:
            return self._state.known.events()

    @property
    def messages(self) -> list[ReceivedMessage]:
        """The batch API messages in the recorded requests, oldest first, each with its outcome."""
        return [message for request in self.requests for message in request.messages]

    @property
    def users(self) -> list[KnownUser]:
        """The users that accepted requests named, in the order in which they first appeared."""
        with self._state.changed:
            return self._state.known.users()

    @property
    def accounts(self) -> list[KnownAccount]:
        """The accounts that accepted requests named, in the order in which they first appeared."""
        with self._state.changed:
            return self._state.known.accounts()

    @property
    def counts(self) -> Counts:
        """Exact counts, which include requests that are no longer kept."""
        return self._state.counts()

    def wait_for(self, condition: Callable[[Self], object], timeout: float = 5.0) -> None:
        """Wait until `condition(inspector)` is true; it is evaluated again after each request.

        Raises TimeoutError after `timeout` seconds, with a summary of what arrived.
        """
        with self._state.changed:
            if not self._state.changed.wait_for(lambda: condition(self), timeout):
                raise TimeoutError(f"The condition was not met within {timeout:g} s. {self._summary()}")

    def reset(self) -> None:
        """Forget everything that arrived, along with planned faults and rate windows."""
        self._state.reset()

    def answer_next(
        self,
        status: int | None = 500,
        body: str | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        count: int = 1,
        delay: float = 0.0,
        drop: bool = False,
        containing: str = "",
    ) -> None:
        """Plan the response to the next `count` API requests, before any check of key, limit or body.

        A string as `body` is sent as HTML, a mapping as JSON, None as the API's usual error
        shape. The response has only these `headers`, without rate headers. `delay` is in seconds, and ends early
        when the caller hangs up. `drop` closes the connection without a response. With `status=None`
        the request is processed as usual, and only its response is late or lost. `containing` reserves the response
        for requests with this text in their bodies, such as the messageId of one message in a batch.
        Raises ValueError for a response that cannot be sent, and if more than 100 000 responses or 4 MiB of bodies
        would be pending.
        """
        if status is not None and (not isinstance(status, int) or not 200 <= status <= 599):
            raise ValueError(f"{status!r} is not the status of a response: 200 to 599.")
        if wrong := body_error(body) or headers_error(dict(headers or {})):
            raise ValueError(wrong)
        if count < 1 or delay < 0:
            raise ValueError(f"count is at least 1 and delay at least 0 s, got {count} and {delay}.")
        self._state.order(PlannedFault(status, body, dict(headers or {}), delay, drop, containing), count)

    @property
    def forwarded(self) -> tuple[int, int]:
        """The numbers of forwarded requests that succeeded and that failed, since the start or the last reset."""
        with self._state.changed:
            forwarder = self._state.forwarder
            return (0, 0) if forwarder is None else (forwarder.sent, forwarder.failed)

    def _end_forwarding(self) -> None:
        if self._state.forwarder is not None:
            with suppress(KeyboardInterrupt):  # a second Ctrl-C skips the wait
                self._state.forwarder.close()

    def _listen(self, on_ready: Callable[[], object]) -> tuple[Server, socket.socket]:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self._port), family=family, backlog=1024)
        self._port = listener.getsockname()[1]
        return Server(self._app, on_ready), listener

    def _summary(self) -> str:
        counts, requests = self.counts, self._state.requests
        if not requests:
            return "Nothing arrived."
        statuses = ", ".join(f"{number} × {status}" for status, number in sorted(counts.by_status.items()))
        names = ", ".join(event.name for event in self.events[-5:]) or "none"
        last = requests[-1]
        return (
            f"Arrived: {_counted(counts.requests, 'request')} ({statuses}) "
            f"and {_counted(counts.accepted, 'event')}, the last ones: {names}. "
            f"Last request: {last.method} {last.path}, with status {last.status}."
        )


def serve(
    host: str = "127.0.0.1",
    port: int = 8470,
    limit: int = 1800,
    window: float = 60.0,
    *,
    keep: int = 10_000,
    allowed_hosts: Collection[str] = (),
    allow_remote: bool = False,
    on_ready: Callable[[Inspector], object] | None = None,
) -> None:
    """Run an inspector in the foreground until Ctrl-C. Calls `on_ready` with it once requests are accepted.

    The other parameters are those of `Inspector`; `window` is in seconds. Raises OSError if the port is in use, and
    ValueError for a host that other machines can reach if `allow_remote` is not set.
    """
    inspector = Inspector(
        host,
        port,
        limit=limit,
        window=window,
        keep=keep,
        allowed_hosts=allowed_hosts,
        allow_remote=allow_remote,
    )
    inspector.run(on_ready)


def trace_url_error(template: str) -> str | None:
    """Why this is not a valid trace URL template; None if it is valid."""
    if "{trace_id}" in template and re.fullmatch(r"https?://[^\s]+", template):
        return None
    return f"{template!r} is not the address of a trace: write it as in https://traces.example/{{trace_id}}."


def _counted(number: int, noun: str) -> str:
    """`1 event`, `2 events`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
