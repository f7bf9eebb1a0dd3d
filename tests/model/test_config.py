"""Every setting: its argument, its environment variable, and what is said when it is wrong."""

from __future__ import annotations

import dataclasses
import re
from datetime import timedelta
from pathlib import Path

import pytest

import journy_track
from journy_track import ConfigurationError, Tracker
from journy_track._model.config import Config
from journy_track._model.secret import Secret


class Http:
    def send(self, request):
        raise NotImplementedError

    def close(self):
        pass


def function(item):
    return item


HTTP = Http()
#: Argument, what may be given and what it means.
GOOD = [
    ("required", True, True),
    ("base_url", "https://eu.journy.io/", "https://eu.journy.io"),
    ("allow_http", True, True),
    ("enabled", False, False),
    ("queue_size", 1, 1),
    ("queue_bytes", 1000, 1000),
    ("max_connections", 3, 3),
    ("share", 0.25, 0.25),
    ("share", 1, 1.0),
    ("skip_unchanged", 0, 0.0),
    ("skip_unchanged", timedelta(minutes=5), 300.0),
    ("spool", "/var/spool/app", Path("/var/spool/app")),
    ("spool", Path("spool"), Path.cwd() / "spool"),
    ("spool", "~/spool", Path.home() / "spool"),
    ("spool_limit", 1000, 1000),
    ("broker", "redis://127.0.0.1/0", Secret("redis://127.0.0.1/0")),
    ("timeout", 2, 2.0),
    ("timeout", 0.5, 0.5),
    ("timeout", timedelta(minutes=1), 60.0),
    ("shutdown_timeout", 0, 0.0),
    ("shutdown_timeout", 0.0, 0.0),
    ("shutdown_timeout", timedelta(), 0.0),
    ("shutdown_timeout", timedelta(seconds=3), 3.0),
    ("max_age", timedelta(days=1), 86400.0),
    ("on_ambiguous", "drop", "drop"),
    ("metadata", {"region": "eu", "tier": 1}, {"region": "eu", "tier": 1}),
    ("trace_ids", False, False),
    ("span_events", True, True),
    ("before_send", function, function),
    ("on_error", function, function),
    ("http_client", HTTP, HTTP),
    ("debug", True, True),
]
FLAGS = ("required", "allow_http", "enabled", "trace_ids", "span_events", "debug")
COUNTS = ("queue_size", "queue_bytes", "max_connections", "spool_limit")
DURATIONS = ("timeout", "shutdown_timeout", "max_age", "skip_unchanged")
BAD = [
    *[("broker", value) for value in ("", "127.0.0.1", "amqp://127.0.0.1", "https://x", 1, True, b"redis://x", [])],
    *[("spool", value) for value in ("", 1, True, b"spool", [], "a\0b")],
    *[(name, value) for name in FLAGS for value in (1, 0, "true", "no", [])],
    *[(name, value) for name in COUNTS for value in (0, -1, 1.0, True, "10", float("inf"))],
    *[
        (name, value)
        for name in DURATIONS
        for value in (-1, True, False, "5", float("nan"), float("inf"), [], 1e11, 9.3e9)
    ],
    *[(name, timedelta(seconds=-1)) for name in DURATIONS],
    *[(name, 0) for name in ("timeout", "max_age")],
    *[("share", value) for value in (0, -0.1, 1.1, True, "0.5", float("nan"))],
    *[("on_ambiguous", value) for value in ("Retry", "never", "", 1, True)],
    *[("metadata", value) for value in ("x", [("a", 1)], {1: "x"}, {"": "x"}, {"a": ["x"]}, {"a": {}}, {"a": b"x"})],
    *[("metadata", {"a": value}) for value in (float("nan"), 10**400, object())],
    *[(name, value) for name in ("before_send", "on_error") for value in ("function", 1, [])],
    *[("http_client", value) for value in (object(), "requests", function, Http)],
    *[("api_key", value) for value in ("", b"key", 5, True, "two words", "line\n", "naïve", "\x7f", "\t")],
    *[("base_url", value) for value in ("", 5, b"https://journy.io", "journy.io")],
]
#: Variable, text, the setting and what it means.
ENVIRONMENT = [
    ("JOURNY_BROKER_URL", "rediss://cache.internal/1", "broker", Secret("rediss://cache.internal/1")),
    ("JOURNY_SPOOL", "/var/spool/app", "spool", Path("/var/spool/app")),
    ("JOURNY_SPOOL_LIMIT", "1_000_000", "spool_limit", 1_000_000),
    ("JOURNY_BASE_URL", "https://eu.journy.io", "base_url", "https://eu.journy.io"),
    ("JOURNY_ALLOW_HTTP", "1", "allow_http", True),
    ("JOURNY_ENABLED", "false", "enabled", False),
    ("JOURNY_ENABLED", "Off", "enabled", False),
    ("JOURNY_ENABLED", " yes ", "enabled", True),
    ("JOURNY_QUEUE_SIZE", "500", "queue_size", 500),
    ("JOURNY_QUEUE_BYTES", "1_000_000", "queue_bytes", 1_000_000),
    ("JOURNY_MAX_CONNECTIONS", "2", "max_connections", 2),
    ("JOURNY_SHARE", "0.25", "share", 0.25),
    ("JOURNY_SKIP_UNCHANGED", "600", "skip_unchanged", 600.0),
    ("JOURNY_TIMEOUT", "2.5", "timeout", 2.5),
    ("JOURNY_SHUTDOWN_TIMEOUT", "0", "shutdown_timeout", 0.0),
    ("JOURNY_MAX_AGE", "60", "max_age", 60.0),
    ("JOURNY_ON_AMBIGUOUS", "drop", "on_ambiguous", "drop"),
    ("JOURNY_TRACE_IDS", "no", "trace_ids", False),
    ("JOURNY_SPAN_EVENTS", "on", "span_events", True),
    ("JOURNY_DEBUG", "TRUE", "debug", True),
]
BAD_ENVIRONMENT = [
    ("JOURNY_BROKER_URL", "localhost"),
    ("JOURNY_SPOOL_LIMIT", "1 GiB"),
    *[(name, "maybe") for name in ("JOURNY_ALLOW_HTTP", "JOURNY_ENABLED", "JOURNY_TRACE_IDS", "JOURNY_DEBUG")],
    *[(name, text) for name in ("JOURNY_QUEUE_SIZE", "JOURNY_QUEUE_BYTES") for text in ("0", "many", "1.5", "-1")],
    *[("JOURNY_SHARE", text) for text in ("0", "2", "half", "nan")],
    *[("JOURNY_TIMEOUT", text) for text in ("0", "-1", "soon", "nan", "inf")],
    *[("JOURNY_SHUTDOWN_TIMEOUT", text) for text in ("-1", "soon", "nan")],
    *[("JOURNY_MAX_AGE", text) for text in ("0", "1e400", "1h")],
    ("JOURNY_MAX_CONNECTIONS", "0"),
    ("JOURNY_SKIP_UNCHANGED", "-1"),
    ("JOURNY_ON_AMBIGUOUS", "sometimes"),
    ("JOURNY_SPAN_EVENTS", "2"),
    ("JOURNY_BASE_URL", "journy.io"),
    ("JOURNY_API_KEY", "a key"),
]


@pytest.mark.parametrize(("name", "given", "meant"), GOOD)
def test_a_setting_is_taken_as_an_argument(name, given, meant):
    value = getattr(Config.load("key", {name: given}, environ={}), name)
    assert (type(value), value) == (type(value), meant)


@pytest.mark.parametrize(("variable", "text", "name", "meant"), ENVIRONMENT)
def test_a_setting_is_read_from_the_environment(monkeypatch, variable, text, name, meant):
    monkeypatch.setenv(variable, text)
    assert getattr(Config.load("key"), name) == meant


@pytest.mark.parametrize(("variable", "text", "name", "meant"), ENVIRONMENT)
def test_an_argument_wins_over_the_environment(monkeypatch, variable, text, name, meant):
    other = next(given for known, given, value in GOOD if known == name)
    monkeypatch.setenv(variable, "nonsense")
    assert getattr(Config.load("key", {name: other}), name) == next(
        value for known, _, value in GOOD if known == name
    )


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Config) if field.name != "api_key"])
def test_none_and_an_empty_variable_are_the_default(name):
    default = getattr(Config(), name)
    variable = next(field.metadata["env"] for field in dataclasses.fields(Config) if field.name == name)
    assert getattr(Config.load("key", {name: None}, environ={variable or "": ""}), name) == default


def test_every_setting_is_tried_here():
    names = {field.name for field in dataclasses.fields(Config)}
    variables = {field.metadata["env"] for field in dataclasses.fields(Config)} - {None}
    assert {name for name, *_ in GOOD} | {"api_key"} == names
    assert {name for name, _ in BAD} == names
    assert {variable for variable, *_ in ENVIRONMENT} | {"JOURNY_API_KEY"} == variables
    assert {variable for variable, _ in BAD_ENVIRONMENT} == variables - {"JOURNY_SPOOL"}  # any text is a path


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_wrong_argument_is_named(name, value):
    key, settings = (value, {}) if name == "api_key" else ("key", {name: value})
    for make in (journy_track.configure, Tracker):
        with pytest.raises(ConfigurationError, match=f"^{name} must be .*; got ") as caught:
            make(key, **settings)
        assert caught.value.__context__ is None  # nothing beside it that could show what was given
    assert journy_track.get_tracker() is None


@pytest.mark.parametrize(("variable", "text"), BAD_ENVIRONMENT)
def test_a_wrong_variable_is_named_with_its_setting(monkeypatch, variable, text):
    monkeypatch.setenv(variable, text)
    name = variable.removeprefix("JOURNY_").removesuffix("_URL" if "BROKER" in variable else "").lower()
    with pytest.raises(ConfigurationError, match=re.escape(f"{variable} (setting {name}) must be ")) as caught:
        journy_track.configure()
    confidential = name in ("api_key", "base_url", "broker", "metadata")
    assert str(caught.value).endswith(f"; got str {text!r}") is not confidential


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("time_out", "did you mean 'timeout'"),
        ("baseurl", "did you mean 'base_url'"),
        ("queuesize", "did you mean 'queue_size'"),
        ("apikey", "did you mean 'api_key'"),
        ("colour", "known are api_key, required, "),
    ],
)
def test_an_unknown_setting_is_refused_with_a_suggestion(name, hint):
    with pytest.raises(ConfigurationError, match=f"^{name} is not a setting of journy_track: {hint}"):
        journy_track.configure("key", **{name: 1})


def test_a_required_key_that_is_missing_raises_unless_it_is_not_needed():
    with pytest.raises(ConfigurationError, match=r"api_key is required.*JOURNY_API_KEY"):
        Config.load(None, {"required": True}, environ={})
    for settings in ({"enabled": False}, {"base_url": "http://127.0.0.1:1"}):
        Config.load(None, {"required": True, **settings}, environ={})
    assert Config.load(None, {"required": True}, environ={"JOURNY_API_KEY": "key"}).api_key.reveal() == "key"


def test_without_a_key_the_tracker_is_disabled_and_says_once_where_one_comes_from(caplog):
    journy_track.configure()
    journy_track.track("signed_in", user="u1")
    assert journy_track.flush(timeout=5)
    [record] = caplog.records
    for word in ("Settings", "Connections", "permission", "JOURNY_API_KEY", "JOURNY_ENABLED=0"):
        assert word in record.message


def test_the_configured_metadata_is_a_copy():
    given = {"region": "eu"}
    config = Config.load("key", {"metadata": given}, environ={})
    given["region"] = "us"
    assert config.metadata == {"region": "eu"}
    with pytest.raises(TypeError):
        config.metadata["region"] = "us"


def test_the_configuration_cannot_be_changed(tracker):
    with pytest.raises(dataclasses.FrozenInstanceError):
        tracker.config.timeout = 1.0
