"""A byte server: it sends exactly the bytes it is given, and keeps what it received."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from journy_track import HttpRequest, RequestsHttpClient

OK = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"
Talk = Callable[[socket.socket], None]


@dataclass
class RawServer:
    """Accepts connections and passes each to *talk*, or responds to each request with the same bytes."""

    talk: Talk | bytes = OK
    wrap: Callable[[socket.socket], socket.socket] = lambda connection: connection
    heard: list[bytes] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.stopping = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def read_request(self, connection: socket.socket) -> bytes:
        """Return one request with its body, or empty bytes if the client has disconnected."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += (more := connection.recv(65536))
            if not more:
                return b""
        head, _, body = data.partition(b"\r\n\r\n")
        length = next((int(ln[15:]) for ln in head.lower().split(b"\r\n") if ln.startswith(b"content-length:")), 0)
        while len(body) < length:
            body += connection.recv(65536)
        self.heard.append(head + b"\r\n\r\n" + body)
        return self.heard[-1]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError), plain, self.wrap(plain) as connection:
            if not isinstance(self.talk, bytes):
                self.talk(connection)
                return
            while self.read_request(connection):
                connection.sendall(self.talk)


@pytest.fixture
def serve() -> Iterator[Callable[..., RawServer]]:
    """Return a function that starts a byte server."""
    started: list[RawServer] = []

    def start(*arguments: object, **settings: object) -> RawServer:
        started.append(RawServer(*arguments, **settings))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[RequestsHttpClient]:
    """Return the requests-based client, in an environment without proxies."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    made = RequestsHttpClient()
    yield made
    made.close()


@pytest.fixture
def request_to() -> Callable[..., HttpRequest]:
    """Return a function that makes a POST with the key in its headers."""

    def make(url: str, timeout: float = 5.0, body: bytes | None = b'{"name":"signed_in"}') -> HttpRequest:
        headers = {"X-Api-Key": "canary-key", "Content-Type": "application/json"}
        return HttpRequest("POST", url + "/track", headers, body, timeout)

    return make


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Return a self-signed certificate for 127.0.0.1 and api.example, with its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("makes a certificate with openssl")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", path]
    whose = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:api.example"]
    subprocess.run(
        [*made, *whose, "-out", f"{path}.crt"],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + path.with_suffix(".pem.crt").read_bytes())
    return path
