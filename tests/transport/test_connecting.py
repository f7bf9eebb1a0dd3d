"""A host with several addresses is reached by the first one that connects, however many do not respond."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import urllib3.util.connection
from timing import keeps_to

from journy_track import NotSent, RequestsHttpClient
from journy_track._transport import connecting

LIVE = "127.0.0.1"
DEAD = "127.0.0.2"
DEAD_TOO = "127.0.0.3"
#: A name that no resolver knows, and that the test certificate covers.
NAME = "api.example"


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> Iterator[None]:
    connecting._avoided.clear()
    yield
    connecting._avoided.clear()


@pytest.fixture
def resolve(monkeypatch) -> Callable[..., None]:
    """Return a function that makes the name resolve to the given addresses, in this order."""
    real = socket.getaddrinfo

    def to(*addresses: str) -> None:
        def getaddrinfo(host, port, family=0, *arguments, **settings):
            if host != NAME:
                return real(host, port, family, *arguments, **settings)
            found = [found for address in addresses for found in real(address, port, 0, socket.SOCK_STREAM)]
            return [one for one in found if family in (0, one[0])]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return to


@pytest.fixture
def black_hole() -> Iterator[Callable[..., None]]:
    """Return a function that makes local addresses swallow connections to a port: their accept queue is full."""
    opened: list[socket.socket] = []

    def on(port: int, *addresses: str) -> None:
        for address in addresses or (DEAD,):
            hole = socket.socket()
            opened.append(hole)
            try:
                hole.bind((address, port))
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL:
                    pytest.skip(f"this system has no address {address}")
                raise
            hole.listen(0)
            for _ in range(4):
                opened.append(filling := socket.socket())
                filling.setblocking(False)
                filling.connect_ex((address, port))

    yield on
    for made in opened:
        made.close()


def url(server, scheme: str = "http") -> str:
    return f"{scheme}://{NAME}:{server.port}"


def test_an_address_that_swallows_packets_costs_its_head_start_only(serve, client, request_to, resolve, black_hole):
    server = serve()
    resolve(DEAD, LIVE)
    black_hole(server.port)

    def send() -> None:
        connecting._avoided.clear()
        with closing(RequestsHttpClient()) as fresh:
            assert fresh.send(request_to(url(server))).status == 201

    keeps_to(connecting.HEAD_START, send)


def test_the_next_connections_do_not_wait_for_it_again(serve, request_to, resolve, black_hole, monkeypatch):
    server = serve()
    resolve(DEAD, LIVE)
    black_hole(server.port)
    tried = []
    real = connecting.Endpoint.open
    monkeypatch.setattr(
        connecting.Endpoint, "open", lambda self, address: tried.append(address.where[0]) or real(self, address)
    )
    for _ in range(3):
        with closing(RequestsHttpClient()) as client:
            client.send(request_to(url(server)))
    assert tried == [DEAD, LIVE, LIVE, LIVE]


def test_an_address_that_failed_comes_first_again_after_a_while(
    serve, client, request_to, resolve, black_hole, monkeypatch
):
    server = serve()
    resolve(DEAD, LIVE)
    black_hole(server.port)
    client.send(request_to(url(server)))
    addresses = connecting.Endpoint(NAME, server.port)._addresses()
    assert [address.where[0] for address in connecting._in_order(addresses)] == [LIVE, DEAD]
    now = time.monotonic()
    monkeypatch.setattr(connecting, "monotonic", lambda: now + connecting.AVOIDED + 1)
    assert [address.where[0] for address in connecting._in_order(addresses)] == [DEAD, LIVE]


def test_where_one_address_refuses_the_next_is_tried_at_once(serve, client, request_to, resolve):
    server = serve()
    resolve(DEAD, DEAD_TOO, LIVE)  # nothing listens on the dead addresses

    def send() -> None:
        connecting._avoided.clear()
        with closing(RequestsHttpClient()) as fresh:
            assert fresh.send(request_to(url(server))).status == 201

    keeps_to(0, send, slack=connecting.HEAD_START)


def test_with_little_time_all_addresses_are_tried_all_the_same(serve, client, request_to, resolve, black_hole):
    server = serve()
    resolve(DEAD, DEAD_TOO, LIVE)
    black_hole(server.port, DEAD, DEAD_TOO)
    assert client.send(request_to(url(server), timeout=0.4)).status == 201  # less than two head starts


@pytest.mark.slow
def test_where_no_address_connects_the_timeout_holds(serve, client, request_to, resolve, black_hole):
    server = serve()
    resolve(DEAD, DEAD_TOO)
    black_hole(server.port, DEAD, DEAD_TOO)

    def send() -> None:
        with pytest.raises(NotSent, match="connecting timed out") as caught:
            client.send(request_to(url(server), timeout=0.5))
        assert caught.value.timed_out

    keeps_to(0.5, send)


def test_a_name_server_that_sends_thousands_of_addresses_has_a_few_of_them_tried(
    client, request_to, resolve, black_hole, monkeypatch
):
    # Catches: a socket per address, until the app cannot open any file.
    with closing(socket.create_server((DEAD_TOO, 0))) as free:
        port = free.getsockname()[1]
    black_hole(port, "0.0.0.0")
    opened = []
    real = connecting.Endpoint.open
    monkeypatch.setattr(connecting.Endpoint, "open", lambda *taken: opened.append(1) or real(*taken))
    resolve(*(f"127.0.{number // 250}.{number % 250 + 1}" for number in range(2000)))
    with pytest.raises(NotSent) as caught:
        client.send(request_to(f"http://{NAME}:{port}", timeout=1))
    assert caught.value.timed_out
    assert 1 < len(opened) <= connecting.MAX_ADDRESSES


def test_where_every_address_refuses_that_is_the_reason(client, request_to, resolve):
    resolve(DEAD, DEAD_TOO)
    with socket.socket() as taken:
        taken.bind((LIVE, 0))  # the port is not bound on other addresses
        with pytest.raises(NotSent, match="the connection was refused"):
            client.send(request_to(f"http://{NAME}:{taken.getsockname()[1]}"))


def test_the_families_take_turns(serve, client, request_to, resolve, black_hole):
    # Catches: trying all addresses of one family first, which may be the one that does not work here.
    server = serve()
    resolve(DEAD, DEAD_TOO, "::1")
    black_hole(server.port, DEAD, DEAD_TOO)
    try:
        sixth = socket.create_server(("::1", server.port), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this system has no IPv6")
    with sixth:
        addresses = connecting._in_order(connecting.Endpoint(NAME, server.port)._addresses())
        assert [address.where[0] for address in addresses] == [DEAD, "::1", DEAD_TOO]
        with connecting.Endpoint(NAME, server.port).connect(lambda: 5.0) as made:
            assert made.family == socket.AF_INET6


def test_a_proxy_with_a_broken_address_is_reached_too(serve, client, request_to, resolve, black_hole, monkeypatch):
    proxy = serve()
    resolve(DEAD, LIVE)
    black_hole(proxy.port)
    monkeypatch.setenv("HTTP_PROXY", url(proxy))
    assert client.send(request_to("http://journy.example")).status == 201
    assert proxy.heard[0].startswith(b"POST http://journy.example/track ")


@pytest.mark.slow
def test_the_certificate_is_checked_for_the_name(
    serve, client, request_to, resolve, black_hole, certificate, monkeypatch
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = serve(wrap=lambda connection: context.wrap_socket(connection, server_side=True))
    resolve(DEAD, LIVE)
    black_hole(server.port)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"{certificate}.crt")
    assert client.send(request_to(url(server, "https"))).status == 201


def test_a_connection_that_was_overtaken_is_closed(monkeypatch, resolve, serve):
    server = serve()
    resolve(DEAD, LIVE)
    opened = []
    real = connecting.Endpoint.open
    monkeypatch.setattr(connecting.Endpoint, "open", lambda *arguments: opened.append(real(*arguments)) or opened[-1])
    monkeypatch.setattr(connecting, "HEAD_START", 0.0)
    with (
        socket.create_server((DEAD, server.port)),
        connecting.Endpoint(NAME, server.port).connect(lambda: 5.0) as won,
    ):
        assert [made for made in opened if made.fileno() >= 0] == [won]


def test_what_interrupts_the_waiting_leaves_no_socket_open(monkeypatch, resolve, serve, black_hole):
    server = serve()
    resolve(DEAD, DEAD_TOO)
    black_hole(server.port, DEAD, DEAD_TOO)
    opened, looks = [], iter([5.0, 5.0])
    real = connecting.Endpoint.open
    monkeypatch.setattr(connecting.Endpoint, "open", lambda *arguments: opened.append(real(*arguments)) or opened[-1])

    def seconds_left() -> float:
        try:
            return next(looks)
        except StopIteration:
            raise KeyboardInterrupt from None

    with pytest.raises(KeyboardInterrupt):
        connecting.Endpoint(NAME, server.port).connect(seconds_left)
    assert [made.fileno() for made in opened] == [-1, -1]


def test_apps_that_do_without_ipv6_get_none(serve, client, request_to, resolve, monkeypatch):
    resolve("::1", LIVE)
    server = serve()
    monkeypatch.setattr(urllib3.util.connection, "allowed_gai_family", lambda: socket.AF_INET)
    assert [address.where[0] for address in connecting.Endpoint(NAME, server.port)._addresses()] == [LIVE]


def test_apps_that_choose_addresses_by_a_function_of_their_own_keep_it(serve, client, request_to, monkeypatch):
    server = serve()
    real, asked = urllib3.util.connection.create_connection, []

    def create_connection(address, *arguments, **settings):
        asked.append(address[0])
        return real((LIVE, address[1]), *arguments, **settings)

    monkeypatch.setattr(urllib3.util.connection, "create_connection", create_connection)
    assert client.send(request_to(url(server))).status == 201
    assert asked == [NAME]


def test_under_gevent_others_go_on_while_it_connects(run_program, black_hole, serve):
    pytest.importorskip("gevent")
    server = serve()
    black_hole(server.port)
    done = run_program(
        """
        from gevent import monkey
        monkey.patch_all()
        import gevent, socket, sys
        from journy_track import HttpRequest, RequestsHttpClient

        port = int(sys.argv[1])
        real = socket.getaddrinfo
        socket.getaddrinfo = lambda host, *rest, **named: [
            found for address in ("127.0.0.2", "127.0.0.1") for found in real(address, *rest, **named)
        ]
        turns = []

        def turn():
            while True:
                turns.append(None)
                gevent.sleep(0.01)

        gevent.spawn(turn)
        response = RequestsHttpClient().send(HttpRequest("POST", f"http://api.example:{port}/track", {}, b"{}", 5.0))
        print(response.status, len(turns) > 5)
        """,
        str(server.port),
        NO_PROXY="*",
    )
    assert done.out.split() == ["201", "True"], done.err
