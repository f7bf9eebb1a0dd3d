"""Every setting: its argument, its environment variable, and the error for invalid values."""

from __future__ import annotations

import dataclasses
import functools
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


async def awaited(item):
    return item


class Awaited:
    async def __call__(self, item):
        return item


#: Hooks that the worker cannot call with one argument, or would have to await.
WRONG_HOOKS = (lambda: None, lambda item, more: item, lambda *, item: item, awaited, Awaited())
#: Hooks that it can call, as far as that can be known.
GOOD_HOOKS = (
    lambda item, more=1: item,
    lambda *items: items,
    [].append,
    Http().send,
    int,
    functools.partial(max, 1),
)
HTTP = Http()
#: Argument, given value, resulting setting.
GOOD = [
    ("required", True, True),
    ("base_url", "https://eu.journy.io/", "https://eu.journy.io"),
    ("write_key", "a-write-key", Secret("a-write-key")),
    ("batch_url", "https://data.acme.com/v1/batch/", "https://data.acme.com/v1/batch"),
    ("batch_interval", 0, 0.0),
    ("batch_interval", timedelta(seconds=2), 2.0),
    ("spool_shared", True, True),
    ("allow_http", True, True),
    ("enabled", False, False),
    ("queue_size", 1, 1),
    ("queue_bytes", 1000, 1000),
    ("max_connections", 3, 3),
    ("share", 0.25, 0.25),
    ("share", 1, 1.0),
    ("priority", "bulk", "bulk"),
    ("propagate_to", ["*.internal", "Billing.Shop."], ("*.internal", "billing.shop")),
    ("max_delay", 30, 30.0),
    ("skip_unchanged", 0, 0.0),
    ("skip_unchanged", timedelta(minutes=5), 300.0),
    ("spool", "/var/spool/app", Path("/var/spool/app")),
    ("spool", Path("spool"), Path.cwd() / "spool"),
    ("skip_unchanged_state", "~/state", Path.home() / "state"),
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
    ("shutdown_limit", 0, 0.0),
    ("shutdown_limit", timedelta(seconds=30), 30.0),
    ("wrap_os_exit", False, False),
    ("max_age", timedelta(days=1), 86400.0),
    ("on_ambiguous", "drop", "drop"),
    ("metadata", {"region": "eu", "tier": 1}, {"region": "eu", "tier": 1}),
    ("trace_ids", False, False),
    ("span_events", True, True),
    *((name, hook, hook) for name in ("before_send", "on_error", "allow") for hook in (function, *GOOD_HOOKS)),
    ("http_client", HTTP, HTTP),
    ("carrier_secret", "0123456789abcdef", Secret("0123456789abcdef")),
    ("strict", True, True),
    ("strict", False, False),
    ("debug", True, True),
]
FLAGS = (
    "required",
    "allow_http",
    "enabled",
    "spool_shared",
    "wrap_os_exit",
    "trace_ids",
    "span_events",
    "strict",
    "debug",
)
COUNTS = ("queue_size", "queue_bytes", "max_connections", "spool_limit")
DURATIONS = (
    "batch_interval",
    "timeout",
    "shutdown_timeout",
    "shutdown_limit",
    "max_age",
    "max_delay",
    "skip_unchanged",
)
BAD = [
    *[("broker", value) for value in ("", "127.0.0.1", "amqp://127.0.0.1", "https://x", 1, True, b"redis://x", [])],
    *[(name, value) for name in ("spool", "skip_unchanged_state") for value in ("", 1, True, b"spool", [], "a\0b")],
    *[(name, value) for name in FLAGS for value in (1, 0, "true", "no", [])],
    *[(name, value) for name in COUNTS for value in (0, -1, 1.0, True, "10", float("inf"))],
    *[
        (name, value)
        for name in DURATIONS
        for value in (-1, True, False, "5", float("nan"), float("inf"), [], 1e11, 9.3e9)
    ],
    *[(name, timedelta(seconds=-1)) for name in DURATIONS],
    *[(name, 0) for name in ("timeout", "max_age", "max_delay")],
    *[("share", value) for value in (0, -0.1, 1.1, True, "0.5", float("nan"))],
    *[("propagate_to", value) for value in ("*.internal", ["*"], ["*."], ["*internal"], ["a.*"], [""], [1], 1)],
    *[("priority", value) for value in ("Bulk", "", 1, True)],
    *[("on_ambiguous", value) for value in ("Retry", "never", "", 1, True)],
    *[("metadata", value) for value in ("x", [("a", 1)], {1: "x"}, {"": "x"}, {"a": ["x"]}, {"a": {}}, {"a": b"x"})],
    *[("metadata", {"a": value}) for value in (float("nan"), 10**400, object())],
    *[(name, value) for name in ("before_send", "on_error", "allow") for value in ("function", 1, [], *WRONG_HOOKS)],
    *[("carrier_secret", value) for value in ("too short", b"0123456789abcdef", 5)],
    *[("http_client", value) for value in (object(), "requests", function, Http)],
    *[
        (name, value)
        for name in ("api_key", "write_key")
        for value in ("", b"key", 5, True, "two words", "\n", "two\nlines", "naïve", "\x7f", "\t")
    ],
    *[(name, value) for name in ("base_url", "batch_url") for value in ("", 5, b"https://journy.io", "journy.io")],
]
PATHS = {"JOURNY_SPOOL", "JOURNY_SKIP_UNCHANGED_STATE"}
#: Variable, text, setting, resulting value.
ENVIRONMENT = [
    ("JOURNY_BROKER_URL", "rediss://cache.internal/1", "broker", Secret("rediss://cache.internal/1")),
    ("JOURNY_SPOOL", "/var/spool/app", "spool", Path("/var/spool/app")),
    ("JOURNY_SPOOL_LIMIT", "1_000_000", "spool_limit", 1_000_000),
    ("JOURNY_BASE_URL", "https://eu.journy.io", "base_url", "https://eu.journy.io"),
    ("JOURNY_WRITE_KEY", "a-write-key", "write_key", Secret("a-write-key")),
    ("JOURNY_BATCH_URL", "https://data.acme.com/v1/batch", "batch_url", "https://data.acme.com/v1/batch"),
    ("JOURNY_BATCH_INTERVAL", "0.1", "batch_interval", 0.1),
    ("JOURNY_ALLOW_HTTP", "1", "allow_http", True),
    ("JOURNY_SPOOL_SHARED", "1", "spool_shared", True),
    ("JOURNY_ENABLED", "false", "enabled", False),
    ("JOURNY_ENABLED", "Off", "enabled", False),
    ("JOURNY_ENABLED", " yes ", "enabled", True),
    ("JOURNY_QUEUE_SIZE", "500", "queue_size", 500),
    ("JOURNY_QUEUE_BYTES", "1_000_000", "queue_bytes", 1_000_000),
    ("JOURNY_MAX_CONNECTIONS", "2", "max_connections", 2),
    ("JOURNY_SHARE", "0.25", "share", 0.25),
    ("JOURNY_PRIORITY", "bulk", "priority", "bulk"),
    ("JOURNY_PROPAGATE_TO", "*.internal, Billing.Shop", "propagate_to", ("*.internal", "billing.shop")),
    ("JOURNY_MAX_DELAY", "120", "max_delay", 120.0),
    ("JOURNY_SKIP_UNCHANGED", "600", "skip_unchanged", 600.0),
    ("JOURNY_SKIP_UNCHANGED_STATE", "/var/state", "skip_unchanged_state", Path("/var/state")),
    ("JOURNY_TIMEOUT", "2.5", "timeout", 2.5),
    ("JOURNY_SHUTDOWN_TIMEOUT", "0", "shutdown_timeout", 0.0),
    ("JOURNY_SHUTDOWN_LIMIT", "60", "shutdown_limit", 60.0),
    ("JOURNY_WRAP_OS_EXIT", "no", "wrap_os_exit", False),
    ("JOURNY_MAX_AGE", "60", "max_age", 60.0),
    ("JOURNY_ON_AMBIGUOUS", "drop", "on_ambiguous", "drop"),
    ("JOURNY_TRACE_IDS", "no", "trace_ids", False),
    ("JOURNY_SPAN_EVENTS", "on", "span_events", True),
    ("JOURNY_STRICT", "0", "strict", False),
    ("JOURNY_DEBUG", "TRUE", "debug", True),
    ("JOURNY_CARRIER_SECRET", "0123456789abcdef\n", "carrier_secret", Secret("0123456789abcdef")),
]
BAD_ENVIRONMENT = [
    ("JOURNY_SPOOL_SHARED", "maybe"),
    ("JOURNY_BROKER_URL", "localhost"),
    ("JOURNY_SPOOL_LIMIT", "1 GiB"),
    *[(name, "maybe") for name in ("JOURNY_ALLOW_HTTP", "JOURNY_ENABLED", "JOURNY_TRACE_IDS", "JOURNY_DEBUG")],
    *[(name, text) for name in ("JOURNY_QUEUE_SIZE", "JOURNY_QUEUE_BYTES") for text in ("0", "many", "1.5", "-1")],
    *[("JOURNY_SHARE", text) for text in ("0", "2", "half", "nan")],
    *[("JOURNY_TIMEOUT", text) for text in ("0", "-1", "soon", "nan", "inf")],
    *[(f"JOURNY_SHUTDOWN_{name}", text) for name in ("TIMEOUT", "LIMIT") for text in ("-1", "soon", "nan")],
    ("JOURNY_WRAP_OS_EXIT", "maybe"),
    *[("JOURNY_MAX_AGE", text) for text in ("0", "1e400", "1h")],
    ("JOURNY_MAX_CONNECTIONS", "0"),
    ("JOURNY_SKIP_UNCHANGED", "-1"),
    ("JOURNY_ON_AMBIGUOUS", "sometimes"),
    ("JOURNY_PRIORITY", "high"),
    *[("JOURNY_PROPAGATE_TO", text) for text in ("*", "http://a.internal", "a.internal:80", "a,,b")],
    ("JOURNY_MAX_DELAY", "0"),
    ("JOURNY_SPAN_EVENTS", "2"),
    ("JOURNY_STRICT", "2"),
    ("JOURNY_BASE_URL", "journy.io"),
    ("JOURNY_API_KEY", "a key"),
    ("JOURNY_WRITE_KEY", "a key"),
    ("JOURNY_BATCH_URL", "journy.io"),
    ("JOURNY_BATCH_INTERVAL", "-1"),
    ("JOURNY_CARRIER_SECRET", "too short"),
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
    assert {variable for variable, _ in BAD_ENVIRONMENT} == variables - PATHS  # any text is a valid path


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_wrong_argument_is_named(name, value):
    key, settings = (value, {}) if name == "api_key" else ("key", {name: value})
    for make in (journy_track.configure, Tracker):
        with pytest.raises(ConfigurationError, match=f"^{name} must be .*; got ") as caught:
            make(key, **settings)
        assert caught.value.__context__ is None  # no chained exception that could show the given value
    assert journy_track.get_tracker() is None


@pytest.mark.parametrize(("variable", "text"), BAD_ENVIRONMENT)
def test_a_wrong_variable_is_named_with_its_setting(monkeypatch, variable, text):
    monkeypatch.setenv(variable, text)
    name = variable.removeprefix("JOURNY_").removesuffix("_URL" if "BROKER" in variable else "").lower()
    with pytest.raises(ConfigurationError, match=re.escape(f"{variable} (setting {name}) must be ")) as caught:
        journy_track.configure()
    confidential = name in ("api_key", "write_key", "base_url", "batch_url", "broker", "carrier_secret", "metadata")
    assert str(caught.value).endswith(f"; got str {text!r}") is not confidential


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("time_out", "did you mean 'timeout'"),
        ("baseurl", "did you mean 'base_url'"),
        ("queuesize", "did you mean 'queue_size'"),
        ("apikey", "did you mean 'api_key'"),
        ("colour", "the settings are api_key, required, "),
    ],
)
def test_an_unknown_setting_is_refused_with_a_suggestion(name, hint):
    with pytest.raises(ConfigurationError, match=f"^{name} is not a setting of journy_track: {hint}"):
        journy_track.configure("key", **{name: 1})


def test_a_required_key_that_is_missing_raises_unless_it_is_not_needed():
    with pytest.raises(ConfigurationError, match=r"api_key or write_key is required.*JOURNY_API_KEY"):
        Config.load(None, {"required": True}, environ={})
    for settings in ({"enabled": False}, {"base_url": "http://127.0.0.1:1"}):
        Config.load(None, {"required": True, **settings}, environ={})
    assert Config.load(None, {"required": True}, environ={"JOURNY_API_KEY": "key"}).api_key.reveal() == "key"
    assert Config.load(None, {"required": True}, environ={"JOURNY_WRITE_KEY": "key"}).write_key.reveal() == "key"


def test_at_the_inspector_a_write_key_alone_is_alone_as_it_is_elsewhere():
    local = {"base_url": "http://127.0.0.1:8470"}
    assert Config.load(None, {**local, "write_key": "key"}, environ={}).rest_key is None
    assert Config.load("api", {**local, "write_key": "key"}, environ={}).rest_key.reveal() == "api"
    assert Config.load(None, local, environ={}).rest_key is not None


def test_where_the_api_is_this_machine_batches_go_there_too():
    assert Config.load(None, {}, environ={}).batch_url == "https://analyze.journy.io/backend/v1/batch"
    inspected = Config.load(None, {"base_url": "http://127.0.0.1:8470"}, environ={})
    assert inspected.batch_url == "http://127.0.0.1:8470/backend/v1/batch"


def test_a_write_key_is_not_sent_in_clear():
    for url in ("http://data.acme.com/v1/batch", "http://10.0.0.1/"):
        with pytest.raises(ConfigurationError, match="batch_url is plain http://"):
            Config.load(None, {"write_key": "k", "batch_url": url}, environ={})
        Config.load(None, {"write_key": "k", "batch_url": url, "allow_http": True}, environ={})


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
