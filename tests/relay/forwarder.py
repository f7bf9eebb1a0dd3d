"""A proxy between a client and its server: an address whose target can be changed, and a slow network."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from time import monotonic, sleep

_CHUNK = 8 * 1024


class Forwarder:
    """Listens on a loopback port and forwards to *target*, another port, at *rate* bytes per second."""

    def __init__(self, target: int, rate: float | None = None) -> None:
        self.target = target
        self.rate = rate
        #: The number of connections accepted.
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        # Small, so that the rate limit applies from the first byte.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _CHUNK)
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, name="forwarder", daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                self.connections += 1
                try:
                    there = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    here.close()
                    continue
                self._sockets += here, there
                for ends in ((here, there), (there, here)):
                    threading.Thread(target=self._pump, args=ends, name="forwarder", daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        """Copy in one direction. The sleep is the network's rate, not a wait for a condition."""
        due = monotonic()
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                sink.sendall(data)
                if self.rate is not None:
                    due = max(due, monotonic()) + len(data) / self.rate
                    sleep(max(0.0, due - monotonic()))
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
