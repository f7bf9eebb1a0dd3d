"""The client on requests, against servers that behave and servers that do not."""

from __future__ import annotations

import gc
import gzip
import socket
import ssl
import struct
import threading
import time
import traceback

import pytest

from journy_track import MaybeSent, NotSent, RequestsHttpClient, TransportError
from journy_track._transport import requests_client
from journy_track._transport.deadline import Bounds

LARGE = 64 * 1024


def answered(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


# ── What is sent, and over which connection ──


def test_a_request_says_how_long_its_body_is(client, serve, request_to):
    server = serve()
    client.send(request_to(server.url))
    head, _, body = server.heard[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /track HTTP/1.1\r\n")
    assert b"content-length: 20" in head.lower()
    assert b"transfer-encoding" not in head.lower()
    assert b"cookie" not in head.lower()
    assert body == b'{"name":"signed_in"}'


def test_a_connection_is_kept_and_used_again(client, serve, request_to):
    server = serve()
    for _ in range(5):
        assert client.send(request_to(server.url)).status == 201
    assert (server.connections, len(server.heard)) == (1, 5)


def test_a_connection_that_was_idle_for_long_is_not_used_again(client, serve, request_to, monkeypatch):
    server = serve()
    client.send(request_to(server.url))
    client.send(request_to(server.url))
    now = time.monotonic()
    monkeypatch.setattr(requests_client, "monotonic", lambda: now + 10)
    client.send(request_to(server.url))
    assert server.connections == 2


def test_close_closes_the_connections(client, serve, request_to):
    ended = threading.Event()

    def talk(connection: socket.socket) -> None:
        while server.read_request(connection):
            connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}")
        ended.set()

    server = serve(talk)
    client.send(request_to(server.url))
    client.close()
    assert ended.wait(5)


def test_headers_and_status_come_back_whatever_they_are(client, serve, request_to):
    server = serve(answered("418 Teapot", b"short and stout", "X-RateLimit-Remaining: 7"))
    response = client.send(request_to(server.url))
    assert (response.status, response.body) == (418, b"short and stout")
    assert response.headers["x-ratelimit-remaining"] == "7"


def test_cookies_are_not_kept(client, serve, request_to):
    server = serve(answered("201 Created", b"{}", "Set-Cookie: session=1; Path=/"))
    client.send(request_to(server.url))
    client.send(request_to(server.url))
    assert b"session" not in server.heard[1]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed_and_the_key_reaches_no_other_host(client, serve, request_to, status):
    # Catches: allow_redirects: requests drops Authorization alone.
    other = serve()
    server = serve(answered(status, b"", f"Location: http://localhost:{other.port}/track"))
    assert client.send(request_to(server.url)).status == int(status[:3])
    assert (other.connections, len(server.heard)) == (0, 1)


def test_netrc_adds_nothing(client, serve, request_to, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login jane password from-netrc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server = serve()
    client.send(request_to(server.url))
    assert b"authorization" not in server.heard[0].lower()


def test_a_proxy_of_the_environment_is_used(client, serve, request_to, monkeypatch):
    proxy = serve()
    monkeypatch.setenv("HTTP_PROXY", f"http://user:pass@127.0.0.1:{proxy.port}")
    assert client.send(request_to("http://api.example")).status == 201
    assert proxy.heard[0].startswith(b"POST http://api.example/track HTTP/1.1\r\n")
    assert b"proxy-authorization: basic dXNlcjpwYXNz".lower() in proxy.heard[0].lower()


def test_an_idle_connection_to_a_proxy_is_not_used_again_either(client, serve, request_to, monkeypatch):
    proxy = serve()
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    client.send(request_to("http://api.example"))
    now = time.monotonic()
    monkeypatch.setattr(requests_client, "monotonic", lambda: now + 10)
    client.send(request_to("http://api.example"))
    assert proxy.connections == 2


def test_a_proxy_gets_nothing_that_is_for_this_machine(client, serve, request_to, monkeypatch):
    # Catches: the key of the inspector, or of a demo, in clear on the way to a company's proxy.
    proxy, server = serve(), serve()
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert client.send(request_to(server.url)).status == 201
    assert (proxy.connections, server.connections) == (0, 1)


def test_several_hosts_are_reached_each_over_its_own_connections(client, serve, request_to):
    servers = [serve() for _ in range(12)]  # more than are kept
    for server in servers * 2:
        assert client.send(request_to(server.url)).status == 201
    assert [len(server.heard) for server in servers] == [2] * 12


def test_head_and_body_leave_in_one_packet(client, serve, request_to):
    received = []

    def talk(connection: socket.socket) -> None:
        received.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}")

    client.send(request_to(serve(talk).url))
    assert received[0].endswith(b'{"name":"signed_in"}')


def test_the_head_comes_first_whatever_kind_of_bytes_the_body_is(client, serve, request_to):
    server = serve()
    assert client.send(request_to(server.url, body=bytearray(b'{"name":"signed_in"}'))).status == 201
    assert server.heard[0].startswith(b"POST /track")


def test_no_proxy_of_the_environment_is_honoured(client, serve, request_to, monkeypatch):
    proxy = serve()
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", ".invalid")
    with pytest.raises(NotSent, match="host name"):
        client.send(request_to("http://no-such-host.invalid"))
    assert proxy.connections == 0


# ── Certificates ──


@pytest.fixture
def tls_server(serve, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return serve(wrap=lambda connection: context.wrap_socket(connection, server_side=True))


def test_a_certificate_that_is_not_trusted_is_refused_before_anything_is_sent(client, tls_server, request_to):
    with pytest.raises(NotSent, match="certificate"):
        client.send(request_to(f"https://127.0.0.1:{tls_server.port}"))
    assert not tls_server.heard


def test_the_environments_bundle_of_certificates_is_trusted(client, tls_server, request_to, monkeypatch, certificate):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"{certificate}.crt")
    assert client.send(request_to(f"https://127.0.0.1:{tls_server.port}")).status == 201
    assert len(tls_server.heard) == 1


def test_a_bundle_that_is_not_there_means_that_nothing_was_sent(client, tls_server, request_to, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/bundle.pem")
    with pytest.raises(NotSent, match="REQUESTS_CA_BUNDLE"):
        client.send(request_to(f"https://127.0.0.1:{tls_server.port}"))


# ── What goes wrong ──


def reset(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang_up(connection: socket.socket) -> None:
    connection.recv(65536)


def say_nonsense(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


@pytest.mark.parametrize("talk", [reset, hang_up, say_nonsense])
def test_a_connection_lost_after_sending_may_have_been_enough(client, serve, request_to, talk):
    with pytest.raises(MaybeSent, match="the connection broke"):
        client.send(request_to(serve(talk).url))


def test_no_answer_in_time_may_have_been_enough(client, hung_server, request_to):
    began = time.monotonic()
    with pytest.raises(MaybeSent, match="no answer in time") as caught:
        client.send(request_to(hung_server, timeout=0.2))
    assert caught.value.timed_out
    assert 0.2 <= time.monotonic() - began < 3


def test_a_refused_connection_was_not_sent(client, request_to):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening
        with pytest.raises(NotSent, match="the connection was refused"):
            client.send(request_to(f"http://127.0.0.1:{taken.getsockname()[1]}"))


def test_an_unknown_host_was_not_sent(client, request_to):
    with pytest.raises(NotSent, match="host name"):
        client.send(request_to("http://no-such-host.invalid"))


def test_a_proxy_that_is_not_there_means_that_nothing_was_sent(client, request_to, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(NotSent, match="proxy"):
            client.send(request_to("http://api.example"))


def test_tls_that_breaks_after_the_request_may_have_been_enough(client, serve, request_to, certificate, monkeypatch):
    # Catches: taking every error of TLS for one of the handshake.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"{certificate}.crt")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def talk(connection: ssl.SSLSocket) -> None:
        server.read_request(connection)
        with socket.socket(fileno=connection.detach()) as beneath:
            beneath.sendall(b"this is no record of TLS" * 10)

    server = serve(talk, wrap=lambda connection: context.wrap_socket(connection, server_side=True))
    with pytest.raises(MaybeSent, match="the connection broke"):
        client.send(request_to(f"https://127.0.0.1:{server.port}"))
    assert len(server.heard) == 1


def test_a_connection_that_was_made_too_late_is_closed(client, serve, request_to, monkeypatch):
    # Catches: leaving it to the garbage collector, which warns of it.
    server, looks = serve(), []

    def late(bounds: Bounds) -> float:
        looks.append(None)
        if len(looks) > 1:
            raise TimeoutError("the time of the request is over")
        return 5.0

    monkeypatch.setattr(Bounds, "seconds_left", late)
    with pytest.raises(NotSent, match="connecting timed out") as caught:
        client.send(request_to(server.url))
    assert caught.value.timed_out
    gc.collect()
    assert len(looks) == 2


def test_an_absurd_url_was_not_sent(client, request_to):
    with pytest.raises(NotSent):
        client.send(request_to("http://[::1"))


def failures(client, serve, request_to, hung_server):
    yield request_to(hung_server, timeout=0.1)
    yield request_to("http://no-such-host.invalid")
    yield request_to("http://[::1")
    yield request_to(serve(reset).url)
    yield request_to(serve(say_nonsense).url)


def test_what_is_raised_holds_no_key(client, serve, request_to, hung_server):
    for request in failures(client, serve, request_to, hung_server):
        with pytest.raises(TransportError) as caught:
            client.send(request)
        error = caught.value
        assert (error.__cause__, error.__context__) == (None, None)
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        assert "canary-key" not in "".join(told.format()) + repr(error)


# ── What comes back ──


def test_a_body_is_read_as_far_as_64_kib(client, serve, request_to):
    server = serve(answered("201 Created", b"x" * 5_000_000))
    response = client.send(request_to(server.url))
    assert len(response.body) == LARGE


def test_a_body_without_end_is_read_as_far_as_64_kib(client, serve, request_to):
    def talk(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not server.stopping.is_set():
            connection.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")

    server = serve(talk)
    began = time.monotonic()
    assert len(client.send(request_to(server.url)).body) == LARGE
    assert time.monotonic() - began < 2  # and not until the timeout


def test_a_compressed_body_is_unpacked_as_far_as_64_kib(client, serve, request_to):
    bomb = gzip.compress(b"\0" * 200_000_000, compresslevel=9)
    server = serve(answered("201 Created", bomb, "Content-Encoding: gzip"))
    response = client.send(request_to(server.url))
    assert response.status == 201
    assert len(response.body) == LARGE


def test_a_small_compressed_body_is_unpacked(client, serve, request_to):
    server = serve(answered("201 Created", gzip.compress(b'{"message": "ok"}'), "Content-Encoding: gzip"))
    assert client.send(request_to(server.url)).body == b'{"message": "ok"}'


@pytest.mark.parametrize(
    "body",
    [
        answered("201 Created", b"not gzip", "Content-Encoding: gzip"),
        b"HTTP/1.1 201 Created\r\nContent-Length: 50\r\nConnection: close\r\n\r\nshort",
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["broken gzip", "shorter than said", "broken chunks"],
)
def test_a_broken_body_takes_nothing_from_the_status(client, serve, request_to, body):
    def talk(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(body)

    server = serve(talk)
    assert client.send(request_to(server.url)).status == 201


def test_a_body_that_drips_is_bounded_by_the_timeout(client, serve, request_to):
    def talk(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 10000\r\n\r\n")
        while not server.stopping.wait(0.02):
            connection.sendall(b"x")

    server = serve(talk)
    began = time.monotonic()
    assert client.send(request_to(server.url, timeout=0.4)).status == 201
    assert time.monotonic() - began < 3


def test_a_body_that_stops_is_bounded_by_the_timeout(client, serve, request_to):
    def talk(connection: socket.socket) -> None:
        server.read_request(connection)
        server.stopping.wait(0.2)
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 10000\r\n\r\nxxx")
        server.stopping.wait(10)

    server = serve(talk)
    began = time.monotonic()
    assert client.send(request_to(server.url, timeout=0.4)).status == 201
    assert time.monotonic() - began < 3


def test_the_client_can_be_had_by_name():
    RequestsHttpClient(connections=1).close()
