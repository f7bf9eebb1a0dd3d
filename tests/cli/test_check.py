"""`journy-track check`: what it prints about a valid key, and the reason why a key is invalid."""

from __future__ import annotations

import json
import socket
import ssl
import threading

import pytest
import pytest_journy_track

from .commands import KEY, journy, run, words


def test_it_tells_permissions_budget_and_round_trip(api):
    ended = run("check", JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 0, ended.stderr
    assert "TrackData, GetTrackingSnippet" in words(ended.stdout)
    assert "999,999 of 1,000,000 requests left" in words(ended.stdout)
    assert api.requests[-1].request_id in words(ended.stdout)


@pytest.mark.slow
def test_as_json_it_is_one_document_on_stdout(api):
    ended = journy("check", "--json", JOURNY_BASE_URL=api.url)
    document = json.loads(ended.stdout)
    assert (ended.returncode, document["ok"], document["problem"]) == (0, True, None)
    assert "TrackData" in document["permissions"]
    assert (document["calls_remaining"], document["calls_limit"]) == (999_999, 1_000_000)
    assert document["round_trip_ms"] > 0


@pytest.mark.parametrize(
    ("scripted", "said"),
    [
        ({"status": 503}, "cannot accept it now"),
        ({"status": 200, "body": "<html>log in</html>"}, "Something between here and journy.io responded (200"),
        ({"status": 502, "body": "<html>bad gateway</html>"}, "Something between here and journy.io responded (502"),
        ({"status": 404, "body": "<html>no</html>"}, "Something between here and journy.io responded (404"),
        ({"status": 200, "body": {"hello": 1}, "headers": {}}, "Something between here and journy.io responded (200"),
        ({"status": 200, "body": {"meta": {"requestId": "r"}}, "headers": {}}, "is not journy.io"),
        ({"status": 302, "headers": {"Location": "https://example.com"}}, "redirect (302), which is never followed"),
        ({"status": 429, "headers": {"Retry-After": "17"}}, "budget is used up"),
        ({"drop": True}, "Cannot reach"),
    ],
    ids=["503", "portal", "502 page", "404 page", "other server", "other form", "redirect", "429", "dropped"],
)
def test_what_goes_wrong_on_the_way_is_a_sentence_and_exit_code_1(api, scripted, said):
    api.answer_next(**scripted)
    ended = run("check", JOURNY_BASE_URL=api.url)
    assert ended.exit_code == 1
    assert said in words(ended.stderr)
    assert ended.stdout == ""
    assert KEY not in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("key", "said"), [("invalid", "does not know this key"), ("disabled", "disabled or lacks")])
def test_a_refused_key_differs_from_a_disabled_one(api, key, said):
    ended = run("check", JOURNY_BASE_URL=api.url, JOURNY_API_KEY=key)
    assert ended.exit_code == 1
    assert said in words(ended.stderr)
    assert "request ID" in words(ended.stderr)


def test_a_refused_connection_differs_from_an_unknown_host(monkeypatch):
    monkeypatch.setattr(pytest_journy_track, "live", True)  # the name does not resolve
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    ended = run("check", JOURNY_BASE_URL=f"http://127.0.0.1:{port}")
    assert ended.exit_code == 1
    assert f"127.0.0.1:{port}: the connection was refused" in words(ended.stderr)
    ended = run("check", JOURNY_BASE_URL="https://no-such-host.invalid", NO_PROXY="*")
    assert ended.exit_code == 1
    assert "the host name could not be resolved" in words(ended.stderr)


def test_a_server_that_speaks_no_tls_is_said_to_be_untrusted():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        ended = run("check", JOURNY_BASE_URL=f"https://127.0.0.1:{listener.getsockname()[1]}", NO_PROXY="*")
        thread.join(10)
    assert ended.exit_code == 1
    assert "certificate or TLS could not be trusted" in words(ended.stderr), ssl.OPENSSL_VERSION
    assert "REQUESTS_CA_BUNDLE" in words(ended.stderr)


@pytest.mark.slow
def test_a_server_that_does_not_respond_is_waited_for_as_long_as_configured(hung_server):
    ended = run("check", JOURNY_BASE_URL=hung_server, JOURNY_TIMEOUT="0.3")
    assert ended.exit_code == 1
    assert "no response in time" in words(ended.stderr)


@pytest.mark.slow
def test_the_key_may_come_from_a_file(api, tmp_path):
    file = tmp_path / "key"
    file.write_text("a-key-in-a-file\n")
    ended = run("check", "--api-key-file", file, JOURNY_BASE_URL=api.url, JOURNY_API_KEY="invalid")
    assert ended.exit_code == 0
    assert api.requests[-1].key == "…file"
    file.write_text("\n")
    ended = run("check", "--api-key-file", file)
    assert (ended.exit_code, "is empty" in words(ended.stderr)) == (2, True)
    ended = run("check", "--api-key-file", tmp_path / "none")
    assert (ended.exit_code, "No such file" in words(ended.stderr)) == (2, True)


def test_without_a_key_and_with_wrong_settings_it_is_wrong_usage():
    ended = run("check", JOURNY_API_KEY="")
    assert ended.exit_code == 2
    assert "There is no API key" in words(ended.stderr)
    ended = run("check", "--base-url", "http://example.com")
    assert ended.exit_code == 2
    assert "plain http://" in words(ended.stderr)


def test_the_key_is_never_an_argument():
    assert run("check", "--api-key", KEY).exit_code == 2


@pytest.mark.slow
def test_without_a_terminal_there_is_no_colour(api):
    ended = journy("check", JOURNY_BASE_URL=api.url)
    assert ended.returncode == 0
    assert "\x1b" not in ended.stdout + ended.stderr
