"""The requests-based client, with servers that behave and servers that do not."""

from __future__ import annotations

import gc
import gzip
import socket
import ssl
import struct
import sys
import threading
import time
import traceback
from contextlib import closing, suppress
from http.client import HTTPConnection

import pytest
from urllib3.connectionpool import HTTPConnectionPool

from journy_track import HttpRequest, MaybeSent, NotSent, RequestsHttpClient, TransportError
from journy_track._model.outcomes import Deferred
from journy_track._transport import requests_client
from journy_track._transport.deadline import Bounds
from journy_track._transport.rest import outcome_of, response_of

from .conftest import OK

LARGE = 64 * 1024


def answered(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


# ── What is sent, and over which connection ──


def test_a_request_has_the_length_of_its_body(client, serve, request_to):
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
    # Catches: allow_redirects: requests removes only the Authorization header.
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
    # Catches: the key of the inspector or of a demo, sent unencrypted to a company's proxy.
    proxy, server = serve(), serve()
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert client.send(request_to(server.url)).status == 201
    assert (proxy.connections, server.connections) == (0, 1)


def test_several_hosts_are_reached_each_over_its_own_connections(client, serve, request_to):
    servers = [serve() for _ in range(12)]  # more than are kept open
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


def pump(one: socket.socket, other: socket.socket) -> None:
    """Copy in both directions, until either side closes."""

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    back = threading.Thread(target=copy, args=(other, one), daemon=True)
    back.start()
    copy(one, other)
    back.join(10)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_is_used_with_its_login(client, serve, request_to, monkeypatch, scheme):
    pytest.importorskip("socks", reason="needs PySocks")
    asked = []

    def talk(connection: socket.socket) -> None:
        assert connection.recv(16) == b"\x05\x02\x00\x02"
        connection.sendall(b"\x05\x02")
        asked.append(connection.recv(64))
        connection.sendall(b"\x01\x00")
        asked.append(connection.recv(64)[3:])
        connection.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
        with socket.create_connection(("127.0.0.1", server.port)) as beyond:
            pump(connection, beyond)

    server, proxy = serve(), serve(talk)
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://jane:p%40ss@127.0.0.1:{proxy.port}")
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **named: real(host.replace("api.example", "127.0.0.9"), *rest, **named),
    )
    for _ in range(2):
        assert client.send(request_to("http://api.example")).status == 201
    login, target = asked
    assert login == b"\x01\x04jane\x04p@ss"
    assert target == (b"\x03\x0bapi.example\x00P" if scheme == "socks5h" else b"\x01\x7f\x00\x00\x09\x00P")
    assert server.heard[0].startswith(b"POST /track HTTP/1.1\r\n")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_connects_with_a_server_over_tls(
    client, serve, request_to, monkeypatch, tls_server, certificate, scheme
):
    # With an https proxy, it is TLS within TLS.
    def talk(connection: socket.socket) -> None:
        proxy.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 Connected\r\nVia: 1.1 proxy\r\n\r\n")
        with socket.create_connection(("127.0.0.1", tls_server.port)) as beyond:
            pump(connection, beyond)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    over_tls = {"wrap": lambda connection: context.wrap_socket(connection, server_side=True)}
    proxy = serve(talk, **(over_tls if scheme == "https" else {}))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"{certificate}.crt")
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://user:pass@127.0.0.1:{proxy.port}")
    for _ in range(2):
        assert client.send(request_to("https://api.example")).status == 201
    (connect,) = proxy.heard
    assert connect.startswith(b"CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNz\r\n" in connect
    assert b"canary-key" not in connect
    assert len(tls_server.heard) == 2
    assert b"proxy-authorization" not in tls_server.heard[0].lower()


def test_a_proxy_that_refuses_to_connect_is_named(client, serve, request_to, monkeypatch):
    proxy = serve(answered("407 Proxy Authentication Required", b""))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(NotSent, match="the proxy refused the connection"):
        client.send(request_to("https://api.example"))


def test_a_proxy_is_told_an_address_of_ipv6_in_brackets(client, serve, request_to, monkeypatch):
    proxy = serve(answered("502 Bad Gateway", b""))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(NotSent):
        client.send(request_to("https://[2001:db8::1]"))
    assert proxy.heard[0].startswith(b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n")


def test_an_address_of_ipv6_is_reached(client, request_to):
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this system has no IPv6")
    heard = []

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(65536))
            connection.sendall(answered("201 Created", b"{}"))

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    with listener:
        assert client.send(request_to(f"http://[::1]:{port}")).status == 201
    thread.join(10)
    assert f"Host: [::1]:{port}\r\n".encode() in heard[0]


@pytest.mark.parametrize("headers", [{"X-Api-Key": "a\r\nX-Other: b"}, {"X\r\nOther": "b"}, {"X-Name": "a\nb"}])
def test_a_header_with_a_line_break_is_not_sent(client, serve, headers):
    server = serve()
    with pytest.raises(NotSent, match="ValueError"):
        client.send(HttpRequest("POST", server.url + "/track", headers, b"{}", 5.0))
    assert server.connections == 0


def test_a_path_that_is_not_ascii_is_quoted(client, serve):
    server = serve()
    client.send(HttpRequest("GET", server.url + "/a b?name=Zoë", {}, None, 5.0))
    assert server.heard[0].startswith(b"GET /a%20b?name=Zo%C3%AB HTTP/1.1\r\n")
    assert b"content-length" not in server.heard[0].lower()


def test_many_threads_share_the_connections_that_are_kept(serve, request_to):
    # Catches: a connection that two requests use at the same time, or that is lost.
    def talk(connection: socket.socket) -> None:
        while head := server.read_request(connection):
            connection.sendall(answered("201 Created", head.rpartition(b"\r\n")[2]))

    server, wrong = serve(talk), []

    def send(number: int) -> None:
        for turn in range(20):
            body = f"{number}.{turn}".encode()
            if client.send(request_to(server.url, body=body)).body != body:
                wrong.append(body)

    with closing(RequestsHttpClient(connections=4)) as client:
        threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert (wrong, len(server.heard)) == ([], 160)
        before = server.connections
        for _ in range(4):
            client.send(request_to(server.url))
        assert server.connections == before


def test_a_connection_that_the_server_has_closed_is_not_used_again(client, serve, request_to):
    def talk(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(OK)
        connection.shutdown(socket.SHUT_WR)
        closed.set()

    closed = threading.Event()
    server = serve(talk)
    for _ in range(3):
        closed.clear()
        assert client.send(request_to(server.url)).status == 201
        assert closed.wait(10)
    assert server.connections == 3


def test_no_proxy_of_the_environment_is_honoured(client, serve, request_to, monkeypatch):
    proxy = serve()
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", ".invalid")
    with pytest.raises(NotSent, match="host name"):
        client.send(request_to("http://no-such-host.invalid"))
    assert proxy.connections == 0


def test_headers_that_are_added_on_the_way_do_not_leave(client, serve, request_to, monkeypatch):
    # As tracers do: in the http.client method, and in urllib3's arguments.
    putrequest, urlopen = HTTPConnection.putrequest, HTTPConnectionPool.urlopen

    def with_header(self, *arguments, **options):
        putrequest(self, *arguments, **options)
        self.putheader("traceparent", "00-1-2-01")

    def with_baggage(self, method, url, body=None, headers=None, *arguments, **options):
        return urlopen(self, method, url, body, {**headers, "Baggage": "customer=jane"}, *arguments, **options)

    monkeypatch.setattr(HTTPConnection, "putrequest", with_header)
    monkeypatch.setattr(HTTPConnectionPool, "urlopen", with_baggage)
    server = serve()
    client.send(request_to(server.url))
    head = server.heard[0].lower()
    assert b"traceparent" not in head
    assert b"baggage" not in head
    assert b"x-api-key: canary-key" in head
    with closing(HTTPConnection("127.0.0.1", server.port)) as theirs:
        theirs.request("GET", "/theirs")
        theirs.getresponse().close()
    assert b"traceparent" in server.heard[1].lower()


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


def test_no_response_in_time_may_have_been_enough(client, hung_server, request_to):
    began = time.monotonic()
    with pytest.raises(MaybeSent, match="no response in time") as caught:
        client.send(request_to(hung_server, timeout=0.2))
    assert caught.value.timed_out
    assert 0.2 <= time.monotonic() - began < 20


def test_a_refused_connection_was_not_sent(client, request_to):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening
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


def test_a_socks_proxy_without_pysocks_is_named_as_the_reason(run_program):
    done = run_program(
        """
        import sys
        sys.modules["socks"] = None  # not installed
        import journy_track

        with journy_track.Client.with_defaults("key") as client:
            print(client.get_api_key_details())
        """,
        ALL_PROXY="socks5://jane:secret@127.0.0.1:9",
        HTTPS_PROXY="",
    )
    assert done.status == 0, done.err
    assert "the SOCKS proxy of the environment needs PySocks: pip install 'requests[socks]'" in done.out
    assert "secret" not in done.out


def test_a_socks_proxy_that_is_not_there_means_that_nothing_was_sent(client, request_to, monkeypatch):
    pytest.importorskip("socks", reason="needs PySocks")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(NotSent, match="the proxy refused the connection"):
            client.send(request_to("http://api.example"))


@pytest.mark.parametrize("proxy", ["gopher://jane:secret@127.0.0.1:9", "http:///path"])
def test_a_proxy_whose_url_cannot_be_used_is_named_as_the_reason(client, request_to, monkeypatch, proxy):
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(NotSent, match="proxy of the environment") as caught:
        client.send(request_to("http://api.example"))
    assert "secret" not in str(caught.value)


def test_tls_that_breaks_after_the_request_may_have_been_enough(client, serve, request_to, certificate, monkeypatch):
    # Catches: treating every TLS error as an error of the handshake.
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


@pytest.mark.slow
def test_a_connection_that_was_made_too_late_is_closed(client, serve, request_to, monkeypatch):
    # Catches: leaving it to the garbage collector, which warns about it.
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


@pytest.mark.parametrize("url", ["http://[::1", "http://", "ftp://api.example", "api.example", "http://a:99999"])
def test_an_absurd_url_was_not_sent(client, request_to, url):
    with pytest.raises(NotSent, match="the URL has no valid host name"):
        client.send(request_to(url))


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
    assert len(client.send(request_to(server.url, timeout=60)).body) == LARGE
    assert time.monotonic() - began < 20  # and not only at the timeout


@pytest.mark.slow
def test_a_compressed_body_is_unpacked_as_far_as_64_kib(client, serve, request_to):
    bomb = gzip.compress(b"\0" * 200_000_000, compresslevel=9)
    server = serve(answered("201 Created", bomb, "Content-Encoding: gzip"))
    response = client.send(request_to(server.url))
    assert response.status == 201
    assert len(response.body) == LARGE


def test_a_small_compressed_body_is_unpacked(client, serve, request_to):
    server = serve(answered("201 Created", gzip.compress(b'{"message": "ok"}'), "Content-Encoding: gzip"))
    assert client.send(request_to(server.url)).body == b'{"message": "ok"}'


INTERIM = {
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n",
    "processing": b"HTTP/1.1 102 Processing\r\n\r\n",
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nX-RateLimit-Remaining: 1\r\n\r\n",
    "one that does not exist yet": b"HTTP/1.1 199 Wait\r\nConnection: close\r\nContent-Length: 5\r\n\r\n",
}
INTERIM["several"] = b"".join(INTERIM.values())


@pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM)
def test_interim_responses_are_skipped_and_the_connection_is_kept(client, serve, request_to, interim):
    server = serve(interim + answered("201 Created", b"{}", "X-RateLimit-Remaining: 7"))
    for _ in range(2):
        response = client.send(request_to(server.url))
        assert (response.status, response.body) == (201, b"{}")
        assert response.headers["x-ratelimit-remaining"] == "7"
        assert "link" not in response.headers
    assert (server.connections, len(server.heard)) == (1, 2)


def test_after_an_interim_response_alone_the_request_may_have_been_processed(client, serve, request_to):
    def talk(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(INTERIM["early hints"])

    server = serve(talk)
    with pytest.raises(MaybeSent, match="the connection broke"):
        client.send(request_to(server.url))


def test_a_server_that_switches_protocols_gets_no_second_request_on_that_connection(client, serve, request_to):
    server = serve(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")
    for _ in range(2):
        response = client.send(request_to(server.url))
        assert response.status == 101
    assert server.connections == 2
    outcome = outcome_of(response_of(response), empty=True)
    assert isinstance(outcome, Deferred)
    assert outcome.ambiguous


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


@pytest.mark.slow
def test_a_body_that_drips_is_bounded_by_the_timeout(client, serve, request_to):
    def talk(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 10000\r\n\r\n")
        while not server.stopping.wait(0.02):
            connection.sendall(b"x")

    server = serve(talk)
    began = time.monotonic()
    assert client.send(request_to(server.url, timeout=0.4)).status == 201
    assert time.monotonic() - began < 20


@pytest.mark.slow
def test_a_body_that_stops_is_bounded_by_the_timeout(client, serve, request_to):
    def talk(connection: socket.socket) -> None:
        server.read_request(connection)
        server.stopping.wait(0.2)
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 10000\r\n\r\nxxx")
        server.stopping.wait(60)

    server = serve(talk)
    began = time.monotonic()
    assert client.send(request_to(server.url, timeout=0.4)).status == 201
    assert time.monotonic() - began < 20


# ── Forks and signal handlers ──

FORKS = """
import faulthandler, os, sys, warnings
from journy_track import HttpRequest, RequestsHttpClient
from journy_track._transport import requests_client

faulthandler.dump_traceback_later(60, exit=True)
warnings.simplefilter("ignore", DeprecationWarning)
client = RequestsHttpClient()

def send():
    return client.send(HttpRequest("POST", sys.argv[1] + "/track", {}, b"{}", 20.0)).status

def in_a_child(work):
    child = os.fork()
    if not child:
        try:
            os._exit(work() != 201)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
"""
forks = pytest.mark.skipif(sys.platform == "win32", reason="forks")


@forks
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_forked_child_does_not_use_its_parents_connections_and_leaves_them_open(
    serve, tls_server, run_program, certificate, secure
):
    # Catches: two processes that write to the same socket.
    server = tls_server if secure else serve()
    url = f"https://127.0.0.1:{server.port}" if secure else server.url
    done = run_program(
        FORKS
        + """
send()
in_a_child(send)
send()
""",
        url,
        REQUESTS_CA_BUNDLE=f"{certificate}.crt",
        PYTHONWARNINGS="error::ResourceWarning",
        timeout=90,
    )
    assert (done.status, done.err) == (0, "")
    assert (server.connections, len(server.heard)) == (2, 3)


@forks
def test_a_child_that_is_forked_while_a_thread_looks_for_the_route_does_not_wait_for_it(serve, run_program):
    # Catches: a lock of the parent's, which nobody releases in the child.
    server = serve()
    done = run_program(
        FORKS
        + """
import threading
entered, forked, Route = threading.Event(), threading.Event(), requests_client.Route

def slow(origin):
    if threading.current_thread() is thread:
        entered.set()
        assert forked.wait(50)
    return Route(origin)

requests_client.Route = slow
thread = threading.Thread(target=send)
thread.start()
assert entered.wait(50)
in_a_child(send)
forked.set()
thread.join()
""",
        server.url,
        timeout=90,
    )
    assert (done.status, done.err) == (0, "")
    assert len(server.heard) == 2


def test_a_signal_handler_may_send_while_its_thread_looks_for_the_route(client, serve, request_to, monkeypatch):
    server, Route, statuses = serve(), requests_client.Route, []

    def interrupted(origin):
        monkeypatch.setattr(requests_client, "Route", Route)
        statuses.append(client.send(request_to(server.url)).status)  # as a handler does
        return Route(origin)

    monkeypatch.setattr(requests_client, "Route", interrupted)
    thread = threading.Thread(target=lambda: statuses.append(client.send(request_to(server.url)).status), daemon=True)
    thread.start()
    thread.join(10)
    assert statuses == [201, 201]
    assert server.connections == 1


def test_the_client_can_be_had_by_name():
    RequestsHttpClient(connections=1).close()
