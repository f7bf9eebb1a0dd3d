"""The timeout limits the whole request, and the size limits apply to the whole response."""

from __future__ import annotations

import socket
import ssl
import time

import pytest

from journy_track import HttpRequest, MaybeSent, NotSent, TransportError

TIMEOUT = 0.4
#: Seconds that a busy machine may add to it.
SLACK = 10.0
HEAD = b"HTTP/1.1 201 Created\r\nX-Filler: "


def drips(server, before: bytes = b"", drop: bytes = b"x"):
    """Return a server function that reads the request, sends *before*, and then *drop* every 20 ms."""

    def talk(connection: socket.socket) -> None:
        server().read_request(connection)
        connection.sendall(before)
        while not server().stopping.wait(0.02):
            connection.sendall(drop)

    return talk


@pytest.fixture
def tls(certificate, monkeypatch):
    """Return a function that wraps a server's connections, with a certificate that the client trusts."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"{certificate}.crt")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return lambda connection: context.wrap_socket(connection, server_side=True)


def took(client, request) -> float:
    began = time.monotonic()
    with pytest.raises(TransportError) as caught:
        client.send(request)
    assert isinstance(caught.value, MaybeSent)
    assert caught.value.timed_out
    return time.monotonic() - began


DRIPS = {
    "status line": (b"", b"H"),
    "header": (HEAD, b"x"),
    "headers": (b"HTTP/1.1 201 Created\r\n", b"A: b\r\n"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "early hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("before", "drop"), DRIPS.values(), ids=DRIPS)
def test_a_head_that_drips_is_bounded_by_the_timeout(client, serve, request_to, before, drop):
    # Catches: the timeout of requests, which applies to each read.
    if drop.startswith(b"A"):
        before += b"B: c\r\n"
    server = serve(drips(lambda: server, before, drop))
    assert TIMEOUT <= took(client, request_to(server.url, timeout=TIMEOUT)) < TIMEOUT + SLACK


@pytest.mark.slow
@pytest.mark.parametrize(("before", "drop"), [DRIPS["status line"], DRIPS["header"]], ids=["status line", "header"])
def test_a_head_that_drips_over_tls_is_bounded_by_the_timeout(client, serve, request_to, tls, before, drop):
    server = serve(drips(lambda: server, before, drop), wrap=tls)
    url = f"https://127.0.0.1:{server.port}"
    assert TIMEOUT <= took(client, request_to(url, timeout=TIMEOUT)) < TIMEOUT + SLACK


@pytest.mark.slow
def test_a_proxy_that_drips_is_bounded_by_the_timeout(client, serve, request_to, monkeypatch):
    proxy = serve(drips(lambda: proxy, HEAD))
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    assert took(client, request_to("http://api.example", timeout=TIMEOUT)) < TIMEOUT + SLACK


def test_a_proxy_that_drips_before_it_lets_through_is_bounded_by_the_timeout(client, serve, request_to, monkeypatch):
    proxy = serve(drips(lambda: proxy, HEAD))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    began = time.monotonic()
    with pytest.raises(NotSent):
        client.send(request_to("https://api.example", timeout=TIMEOUT))
    assert time.monotonic() - began < TIMEOUT + SLACK


@pytest.mark.slow
@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_proxy_that_falls_silent_before_it_lets_through_was_not_sent_the_request(
    client, serve, request_to, monkeypatch, before
):
    proxy = serve(drips(lambda: proxy, before, b""))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(NotSent, match="proxy did not connect in time") as caught:
        client.send(request_to("https://api.example", timeout=TIMEOUT))
    assert caught.value.timed_out


@pytest.mark.slow
def test_a_server_that_falls_silent_in_the_tunnel_may_have_got_the_request(
    client, serve, request_to, monkeypatch, tls
):
    def talk(connection: socket.socket) -> None:
        proxy.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with tls(connection) as tunnelled:
            proxy.read_request(tunnelled)
            proxy.stopping.wait(5)

    proxy = serve(talk)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    took(client, request_to("https://api.example", timeout=1.0))
    assert len(proxy.heard) == 2


@pytest.mark.slow
def test_a_server_behind_a_proxy_that_falls_silent_may_have_it(client, serve, request_to, monkeypatch):
    proxy = serve(drips(lambda: proxy, b"", b""))
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    took(client, request_to("http://api.example", timeout=TIMEOUT))


@pytest.mark.slow
def test_a_connection_that_takes_the_body_slowly_is_bounded_by_the_timeout(client, serve, request_to):
    def talk(connection: socket.socket) -> None:
        while not server.stopping.wait(0.05):
            connection.recv(4096)

    server = serve(talk)
    request = request_to(server.url, timeout=TIMEOUT, body=b"x" * 20_000_000)
    assert took(client, request) < TIMEOUT + SLACK


@pytest.mark.slow
def test_a_handshake_that_never_comes_is_bounded_by_the_timeout_and_nothing_was_sent(client, hung_server, request_to):
    began = time.monotonic()
    with pytest.raises(NotSent, match="TLS handshake") as caught:
        client.send(request_to(hung_server.replace("http:", "https:"), timeout=TIMEOUT))
    assert caught.value.timed_out
    assert time.monotonic() - began < TIMEOUT + SLACK


@pytest.mark.slow
def test_a_connection_is_used_again_with_a_deadline_of_its_own(client, serve, request_to, tls):
    server = serve(wrap=tls)
    request = request_to(f"https://127.0.0.1:{server.port}", timeout=TIMEOUT)
    began = time.monotonic()
    while time.monotonic() - began < TIMEOUT + 0.2:
        assert client.send(request).status == 201
    assert server.connections == 1


@pytest.mark.parametrize("status", [b"100 Continue", b"103 Early Hints"])
def test_a_head_without_end_is_read_as_far_as_128_kib(client, serve, request_to, status):
    sent = 0

    def talk(connection: socket.socket) -> None:
        nonlocal sent
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        server.read_request(connection)
        while not server.stopping.is_set():
            sent += connection.send((b"HTTP/1.1 " + status + b"\r\n\r\n") * 100)

    server = serve(talk)
    began = time.monotonic()
    with pytest.raises(MaybeSent):
        client.send(request_to(server.url, timeout=60))
    assert time.monotonic() - began < 20  # and not only at the timeout
    assert sent < 20_000_000  # what fits into the kernel's buffers


def test_the_response_to_a_read_call_may_be_longer(client, serve):
    body = b"x" * 3_000_000
    server = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + body)
    assert client.send(HttpRequest("GET", server.url + "/events", {}, None, 5.0)).body == body


def test_a_server_that_drips_its_part_of_tls_within_tls_is_bounded_by_the_timeout(
    client, serve, request_to, monkeypatch, tls
):
    # Catches: a timeout for each read from the proxy connection. One TLS read takes many of them.
    server_hello = b"\x16\x03\x03\x40\x00\x02\x00\x3f\x00"

    def talk(connection: socket.socket) -> None:
        proxy.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        connection.recv(65536)
        connection.sendall(server_hello)
        while not proxy.stopping.wait(0.02):
            connection.sendall(b"\0")

    proxy = serve(talk, wrap=tls)
    monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{proxy.port}")
    began = time.monotonic()
    with pytest.raises(NotSent) as caught:
        client.send(request_to("https://api.example", timeout=TIMEOUT))
    assert caught.value.timed_out
    assert time.monotonic() - began < TIMEOUT + SLACK


@pytest.mark.parametrize("scheme", ["socks4a", "socks5h"])
def test_a_socks_proxy_that_drips_is_bounded_by_the_timeout(client, serve, request_to, monkeypatch, scheme):
    pytest.importorskip("socks", reason="needs PySocks")
    said = b"\x05\0\x05\0\0\x03\xff" + bytes(257) if scheme == "socks5h" else b"\0\x5a" + bytes(6)

    def talk(connection: socket.socket) -> None:
        for byte in said:
            connection.sendall(bytes([byte]))
            if proxy.stopping.wait(0.3):
                return

    proxy = serve(talk)
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://127.0.0.1:{proxy.port}")
    began = time.monotonic()
    with pytest.raises(NotSent, match="the proxy did not connect in time") as caught:
        client.send(request_to("http://api.example", timeout=TIMEOUT))
    assert caught.value.timed_out
    assert time.monotonic() - began < TIMEOUT + SLACK
