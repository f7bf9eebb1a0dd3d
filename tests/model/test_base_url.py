"""The base URL: never unencrypted to another machine, and never with a secret in it."""

from __future__ import annotations

import pytest

import journy_track
from journy_track import ClientConfig, ConfigurationError
from journy_track._model.config import Config, is_loopback


def load(url, **settings):
    return Config.load("key", {"base_url": url, **settings}, environ={})


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("https://api.journy.io", "https://api.journy.io"),
        ("https://api.journy.io/", "https://api.journy.io"),
        ("https://proxy.acme.com/journy/", "https://proxy.acme.com/journy"),
        ("https://proxy.acme.com:8443", "https://proxy.acme.com:8443"),
        ("HTTPS://api.journy.io", "HTTPS://api.journy.io"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://LOCALHOST", "http://LOCALHOST"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.8.8.8", "http://127.8.8.8"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_an_address_is_taken(given, meant):
    assert load(given).base_url == meant


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://user@api.journy.io", "user name and password"),
        ("https://user:secret@api.journy.io", "user name and password"),
        ("https://api.journy.io@evil.example", "user name and password"),
        ("https://api.journy.io\\@evil.example", "user name and password"),
        ("https://api.journy.io?key=secret", "query"),
        ("https://api.journy.io?", "query"),
        ("https://api.journy.io#secret", "fragment"),
        ("https://api.journy.io/#", "fragment"),
        ("https://api.journy.io\n.evil.example", "control characters"),
        ("https://api.jour\tny.io", "control characters"),
        (" https://api.journy.io", "spaces"),
        ("https://api journy.io", "spaces"),
        ("https://jöurny.io", "spaces and control characters"),
        ("https://", "host"),
        ("https://:443", "host"),
        ("https:api.journy.io", "host"),
        ("//api.journy.io", "https://"),
        ("ftp://api.journy.io", "https://"),
        ("file:///etc/passwd", "https://"),
        ("javascript:alert(1)", "https://"),
        ("https://api.journy.io:99999", "port"),
        ("https://api.journy.io:0", "host"),
        ("https://api.journy.io:x", "port"),
        ("https://[::1", "host"),
    ],
)
def test_an_address_that_could_mislead_is_refused_without_repeating_it(url, says):
    for make in (load, lambda url: ClientConfig("key", base_url=url)):
        with pytest.raises(ConfigurationError, match=f"^base_url must be .*{says}") as caught:
            make(url)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.journy.io",
        "HTTP://api.journy.io",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://127.evil.example",
        "http://0.0.0.0",
        "http://192.168.0.1",
        "http://[::2]",
    ],
)
def test_plain_http_to_another_machine_needs_saying(url):
    with pytest.raises(ConfigurationError, match=r"base_url is plain http.*allow_http=True"):
        load(url)
    with pytest.raises(ConfigurationError, match="allow_http"):
        ClientConfig("key", base_url=url)
    assert load(url, allow_http=True).base_url == url
    assert ClientConfig("key", base_url=url, allow_http=True).base_url == url
    assert Config.load("key", {"base_url": url}, environ={"JOURNY_ALLOW_HTTP": "1"}).allow_http


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "journy.io"),
        ({"write_key": "w"}, "journy.io"),
        ({"base_url": "http://127.0.0.1:8123"}, "127.0.0.1:8123"),
        ({"base_url": "http://127.0.0.1:8123", "write_key": "w"}, "127.0.0.1:8123"),
        ({"base_url": "https://proxy.example/journy"}, "proxy.example"),
        ({"batch_url": "https://proxy.example/batch", "write_key": "w"}, "proxy.example"),
    ],
)
def test_messages_name_the_one_that_is_delivered_to(given, name):
    assert Config.load("key", given, environ={}).server == name


def test_this_machine_needs_no_key(api):
    assert is_loopback(api.url)
    journy_track.configure(base_url=api.url)
    journy_track.track("signed_in", user="u1")
    assert journy_track.flush(timeout=5)
    assert [event.name for event in api.events] == ["signed_in"]
