"""HTTP mocks in users' tests: their mocks of journy.io match our requests, and nothing is really sent.

Each test is one that a user may write. The pytest plugin is active in it, as in users' tests.
"""

from __future__ import annotations

import json
import logging
import shutil
import socket
import subprocess
import sys
from unittest import mock

import pytest
import requests
from requests import Session
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool

import journy_track
from journy_track import APIError, Client, Failure, HttpRequest, RequestsHttpClient, Success

URL = "https://api.journy.io"
PATHS = ("/users/upsert", "/track")
BODY = {"message": "created", "meta": {"status": 201, "requestId": "r-1"}}
CREATED = json.dumps(BODY)
LEFT = {"X-RateLimit-Remaining": "7"}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def upsert() -> Success[None] | Failure:
    with Client.with_defaults("a-key") as client:
        return client.upsert_user(user_id="u1", properties={"plan": "pro"})


def track() -> journy_track.Stats:
    """Track an event as an app does, and wait until it is settled."""
    tracker = journy_track.configure("a-key")
    journy_track.track("signed_in", user="u1", plan="pro")
    assert tracker.flush(timeout=5)
    return tracker.stats()


def both_arrive() -> None:
    assert upsert() == Success(None, "r-1", 7)
    assert track().delivered == 1


def neither_is_sent(caplog: pytest.LogCaptureFixture, *reasons: str) -> None:
    """Check that both fail at once, with one line each that explains what to do."""
    result = upsert()
    assert isinstance(result, Failure)
    assert result.error is APIError.ConnectionFailed
    with caplog.at_level(logging.WARNING, "journy_track"):
        assert track().given_up == 1
    (line,) = [record.getMessage() for record in caplog.records if record.name == "journy_track"]
    for text in (result.message, line):
        assert all(reason in text for reason in reasons), text


NO_MOCK = ("has no mock of POST https://api.journy.io/", "journy_track.testing")
REFUSED = ("is refused while pytest runs", "journy_events")


# ── responses ──


def test_mocks_of_responses_are_hit(caplog):
    responses = pytest.importorskip("responses")
    with responses.RequestsMock() as mocks:
        for path in PATHS:
            mocks.post(URL + path, json=BODY, status=201, headers=LEFT)
        both_arrive()
        first, second = mocks.calls
        assert first.request.headers["X-Api-Key"] == "a-key"
        assert json.loads(second.request.body)["name"] == "signed_in"


def test_what_responses_has_no_mock_of_fails_at_once(caplog):
    responses = pytest.importorskip("responses")
    with responses.RequestsMock():
        neither_is_sent(caplog, "responses replaces the network", *NO_MOCK)


def test_an_outage_that_responses_plays_is_one(caplog):
    # Catches: treating every error of a mock as a request that is not mocked.
    responses = pytest.importorskip("responses")
    with responses.RequestsMock() as mocks:
        mocks.post(URL + PATHS[0], body=requests.exceptions.ConnectTimeout())
        assert upsert() == Failure(APIError.Timeout, "connecting timed out")
        mocks.replace("POST", URL + PATHS[0], body=requests.exceptions.ReadTimeout())
        assert upsert() == Failure(APIError.Timeout, "no response in time")
        mocks.replace("POST", URL + PATHS[0], body=requests.exceptions.ConnectionError("reset"))
        assert upsert() == Failure(APIError.ConnectionFailed, "the connection broke")
        mocks.replace("POST", URL + PATHS[0], status=401, json={**BODY, "message": "no"})
        assert upsert().error is APIError.UnauthorizedError


def test_a_redirect_that_responses_plays_is_not_followed():
    responses = pytest.importorskip("responses")
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocks:
        mocks.post(URL + PATHS[0], status=307, headers={"Location": "https://elsewhere.example/"})
        elsewhere = mocks.post("https://elsewhere.example/", json=BODY, status=201)
        assert upsert().status == 307
        assert not elsewhere.calls


# ── requests-mock ──


def test_mocks_of_requests_mock_are_hit():
    requests_mock = pytest.importorskip("requests_mock")
    with requests_mock.Mocker() as mocks:
        for path in PATHS:
            mocks.post(URL + path, json=BODY, status_code=201, headers=LEFT)
        both_arrive()
        assert mocks.last_request.json()["name"] == "signed_in"


def test_what_requests_mock_has_no_mock_of_fails_at_once(caplog):
    requests_mock = pytest.importorskip("requests_mock")
    with requests_mock.Mocker():
        neither_is_sent(caplog, "requests_mock replaces the network", *NO_MOCK)


# ── pook ──


def test_mocks_of_pook_are_hit():
    pook = pytest.importorskip("pook")
    with pook.use():
        for path in PATHS:
            pook.post(URL + path).header("X-Api-Key", "a-key").reply(201).headers(LEFT).json(BODY)
        both_arrive()
        assert pook.isdone()


def test_what_pook_has_no_mock_of_fails_at_once(caplog):
    pook = pytest.importorskip("pook")
    with pook.use():
        neither_is_sent(caplog, "pook replaces the network", *NO_MOCK)


# ── vcrpy ──


@pytest.fixture
def cassette(tmp_path):
    """Return a recording of both requests."""
    path = tmp_path / "cassette.yaml"
    response = {
        "status": {"code": 201, "message": "Created"},
        "headers": {name: [value] for name, value in LEFT.items()},
        "body": {"string": CREATED},
    }
    recorded = [
        {"request": {"method": "POST", "uri": URL + path, "body": "", "headers": {}}, "response": response}
        for path in PATHS
    ]
    path.write_text(json.dumps({"version": 1, "interactions": recorded}))  # JSON is YAML
    return str(path)


def test_cassettes_of_vcrpy_are_played(cassette):
    vcr = pytest.importorskip("vcr")
    with vcr.use_cassette(cassette) as played:
        both_arrive()
        assert played.all_played


def test_cassettes_of_vcrpy_are_played_by_a_client_that_has_sent_before(cassette, serve, request_to):
    # Catches: connections opened before the cassette was inserted.
    vcr = pytest.importorskip("vcr")
    client, server = RequestsHttpClient(), serve()
    assert client.send(request_to(server.url)).status == 201
    with vcr.use_cassette(cassette):
        response = client.send(HttpRequest("POST", URL + PATHS[1], {}, b"{}", 5.0))
        assert (response.status, response.body.decode()) == (201, CREATED)
    assert client.send(request_to(server.url)).status == 201
    assert server.connections == 1
    client.close()


def test_what_is_not_on_a_cassette_fails_at_once(cassette, caplog, tmp_path):
    vcr = pytest.importorskip("vcr")
    empty = tmp_path / "empty.yaml"
    empty.write_text("version: 1\ninteractions: []\n")
    with vcr.use_cassette(str(empty), record_mode="none"):
        neither_is_sent(caplog, "vcr replaces the network", *NO_MOCK)


def test_vcrpy_records_nothing_from_journy_unless_tests_may_send(tmp_path, caplog):
    vcr = pytest.importorskip("vcr")
    with vcr.use_cassette(str(tmp_path / "new.yaml")):
        neither_is_sent(caplog, *REFUSED)


def test_vcrpy_records_what_goes_to_this_machine(tmp_path, serve, request_to, client):
    vcr = pytest.importorskip("vcr")
    server, path = serve(), str(tmp_path / "new.yaml")
    for _ in range(2):
        with vcr.use_cassette(path, filter_headers=["X-Api-Key"]):
            assert client.send(request_to(server.url)).status == 201
    assert len(server.heard) == 1
    assert "canary-key" not in (tmp_path / "new.yaml").read_text()
    assert b"canary-key" in server.heard[0]


# ── httpretty ──


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")  # httpretty's own, from Python 3.12 on
def test_mocks_of_httpretty_are_hit():
    httpretty = pytest.importorskip("httpretty")
    with httpretty.enabled():
        for path in PATHS:
            httpretty.register_uri("POST", URL + path, body=CREATED, status=201, adding_headers=LEFT)
        both_arrive()
        assert httpretty.last_request().parsed_body["name"] == "signed_in"


def test_what_httpretty_has_no_mock_of_is_refused(caplog):
    httpretty = pytest.importorskip("httpretty")
    with httpretty.enabled():
        neither_is_sent(caplog, *REFUSED)


def test_what_httpretty_has_no_mock_of_fails_at_once_where_it_lets_nothing_through(caplog):
    httpretty = pytest.importorskip("httpretty")
    with httpretty.enabled(allow_net_connect=False):
        neither_is_sent(caplog, *NO_MOCK)


def test_where_httpretty_itself_fails_it_is_named(caplog):
    # With urllib3 2 it does not work without a network: requests.post() fails then, too.
    httpretty = pytest.importorskip("httpretty")
    with httpretty.enabled(allow_net_connect=False):
        for path in PATHS:
            httpretty.register_uri("POST", URL + path, body=CREATED, status=201)
        with pytest.raises(httpretty.errors.UnmockedError):
            requests.post(URL + PATHS[0], data=b"{}", timeout=5)
        neither_is_sent(caplog, "httpretty fails with allow_net_connect=False", "journy_track.testing")


# ── unittest.mock ──


def test_a_mock_in_the_place_of_the_send_of_requests_is_hit():
    made = requests.Response()
    made.status_code, made._content, made.headers["X-RateLimit-Remaining"] = 201, CREATED.encode(), "7"
    with mock.patch.object(requests.Session, "send", return_value=made) as send:
        both_arrive()
    assert [call.args[0].url for call in send.call_args_list] == [URL + path for path in PATHS]


SPIES = {
    "wraps": lambda: mock.patch.object(HTTPAdapter, "send", mock.Mock(wraps=HTTPAdapter().send)),
    "side effect": lambda: mock.patch.object(HTTPAdapter, "send", mock.Mock(side_effect=HTTPAdapter().send)),
    "of adapters": lambda: mock.patch.object(Session, "get_adapter", mock.Mock(wraps=Session().get_adapter)),
    "of http alone": lambda: mock.patch.object(HTTPConnectionPool, "ConnectionCls", mock.Mock()),
}


@pytest.mark.parametrize("spy", SPIES.values(), ids=SPIES)
def test_what_only_watches_requests_lets_nothing_out_of_tests(spy, monkeypatch, caplog):
    looked_up = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: looked_up.append(host) or [])
    with spy():
        neither_is_sent(caplog, *REFUSED)
    assert looked_up == []


# ── None of them ──


def test_without_a_mock_nothing_is_sent_from_tests(caplog):
    neither_is_sent(caplog, *REFUSED)


# ── urllib3-future ──


@pytest.fixture(scope="module")
def urllib3_future(tmp_path_factory):
    """Return a folder with urllib3-future in the place of urllib3, where its .pth file puts it."""
    folder = tmp_path_factory.mktemp("urllib3-future")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), "urllib3-future"]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"urllib3-future cannot be installed: {done.stderr[-200:]}")
    shutil.rmtree(folder / "urllib3", ignore_errors=True)
    shutil.copytree(folder / "urllib3_future", folder / "urllib3")
    return str(folder)


def test_beside_urllib3_future_requests_are_sent_and_keep_to_their_deadline(urllib3_future, run_program, serve):
    def drip(connection):
        slow.read_request(connection)
        while not slow.stopping.wait(0.02):
            connection.sendall(b"H")

    head = f"HTTP/1.1 201 Created\r\nContent-Length: {len(CREATED)}\r\n\r\n"
    server, slow = serve((head + CREATED).encode()), serve(drip)
    done = run_program(
        """
        import sys, time, urllib3
        from journy_track import Client, ClientConfig, HttpRequest, MaybeSent, RequestsHttpClient

        print(urllib3.__version__.split(".")[2][0])  # 9: how it is told from the other
        with Client(None, ClientConfig("a-key", base_url=sys.argv[1])) as client:
            for _ in range(3):
                print(client.upsert_user(user_id="u1").success)
        began = time.monotonic()
        try:
            RequestsHttpClient().send(HttpRequest("POST", sys.argv[2] + "/track", {}, b"{}", 0.5))
        except MaybeSent as error:
            print(error, time.monotonic() - began < 20)
        """,
        server.url,
        slow.url,
        PYTHONPATH=urllib3_future,
    )
    assert done.out.split("\n")[:5] == ["9", "True", "True", "True", "no response in time True"], done.err
    assert server.connections == 1
    assert b"a-key" in server.heard[0]
