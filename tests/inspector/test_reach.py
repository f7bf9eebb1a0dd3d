"""Who can reach the inspector: only this machine, under its own name."""

import socket

import pytest

import journy_track
from journy_track.inspector import Inspector


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8470", "localhost", "LOCALHOST:1", "[::1]", "[::1]:80"])
def test_a_name_of_this_machine_is_accepted(call, host):
    assert call("GET", "/validate", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/__inspector/page/main.js", "/__inspector/requests", "/__inspector/stream", "/validate"]
)
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "[::2]", ""])
def test_another_name_is_refused_everywhere(api, call, host, path):
    response = call("GET", path, headers={"Host": host})
    assert response.status_code == 421
    assert "this machine" in response.json()["message"]
    assert api.requests == []


def test_a_name_that_was_allowed_is_accepted(caller_of):
    with Inspector(allowed_hosts=["Inspector.test"]) as api:
        call = caller_of(api.url)
        assert call("GET", "/validate", headers={"Host": "inspector.test:80"}).status_code == 200
        assert call("GET", "/validate", headers={"Host": "other.test"}).status_code == 421


@pytest.mark.parametrize(
    "name", ["", "http://inspector", "inspector:8470", "*", "a/b", "a b", "-a", "[::1]", "a" * 254]
)
def test_what_is_not_a_host_name_is_not_allowed(name):
    with pytest.raises(ValueError, match="is not a host name"):
        Inspector(allowed_hosts=[name])


@pytest.mark.parametrize("name", ["inspector", "local_api.test", "192.0.2.1", "2001:db8::1", "xn--bcher-kva.example"])
def test_names_and_addresses_can_be_allowed(name):
    Inspector(allowed_hosts=[name])


def test_no_other_origin_may_read(call):
    for path in ("/", "/validate", "/__inspector/requests", "/__inspector/export"):
        headers = call("GET", path, headers={"Origin": "https://evil.example"}).headers
        assert not [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "inspector.test"])
def test_other_machines_can_reach_it_only_when_that_is_meant(host):
    with pytest.raises(ValueError, match="allow_remote"):
        Inspector(host)
    Inspector(host, allow_remote=True)


def test_it_listens_on_ipv6_too(caller_of):
    try:
        api = Inspector("::1").start()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with_brackets = api.url
    try:
        assert with_brackets.startswith("http://[::1]:")
        assert caller_of(with_brackets).track().status_code == 201
    finally:
        api.stop()


def test_an_app_that_comes_under_another_name_learns_why_and_keeps_its_key(api, monkeypatch, caplog):
    look_up, port = socket.getaddrinfo, api.url.rpartition(":")[2]
    for_all = lambda _, *arguments, **named: look_up("127.0.0.1", *arguments, **named)  # noqa: E731
    monkeypatch.setattr(socket, "getaddrinfo", for_all)
    monkeypatch.setattr("pytest_journy_track.live", True)
    journy_track.configure("a-key", base_url=f"http://inspector.test:{port}", allow_http=True)
    journy_track.track("signed_in", user="u1")
    assert journy_track.flush(5)
    assert "was given up: 421 The inspector accepts requests only under names of this machine" in caplog.text
