"""`journy-track relay` from an operator's view."""

from __future__ import annotations

import json
import re
import signal
from time import time

import pytest
from typer.testing import CliRunner

from journy_track.cli.app import app

from ..conftest import KEY
from .conftest import NAMES, until

MESSAGE = json.dumps({"v": 1, "operation": "delete_user", "body": {"identification": {"userId": "u1"}}})


@pytest.fixture
def call(monkeypatch):
    """Return a function that runs the command in this process, where it ends by itself."""

    def run(*options, **environment):
        monkeypatch.setenv("JOURNY_API_KEY", KEY)
        return CliRunner().invoke(app, ["relay", *options], env=environment)

    return run


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        ([], {}, "Pass the broker's URL"),
        (["--broker", "amqp://x"], {}, "redis://"),
        (["--broker", "redis://:canary/x@h:1/0"], {}, "percent-encoded"),
        (["--broker", "redis://:canary@h/0?nonsense=1"], {}, "redis-py does not understand"),
        (["--broker", "redis://127.0.0.1:1"], {"JOURNY_API_KEY": ""}, "needs the API key"),
        (["--broker", "redis://127.0.0.1:1", "--api-key-file", "/nowhere/key"], {}, "Cannot read"),
        (["--broker", "redis://127.0.0.1:1", "--base-url", "http://journy.example"], {}, "http"),
    ],
)
def test_wrong_usage_says_what_is_wrong(call, options, environment, said):
    ended = call(*options, **environment)
    assert ended.exit_code == 2
    assert said in " ".join(ended.output.split())
    assert "canary" not in ended.output


@pytest.mark.parametrize(("content", "said"), [(b" \n", "is empty"), (b"\xff\xfe\x00", "is not UTF-8 text")])
def test_a_key_file_without_a_key_says_so(call, tmp_path, content, said):
    file = tmp_path / "key"
    file.write_bytes(content)
    ended = call("--broker", "redis://127.0.0.1:1", "--api-key-file", str(file))
    assert (ended.exit_code, ended.stderr) == (
        2,
        f"Error: The key file {file} {said}: it must hold the key, and nothing else.\n",
    )


def test_the_address_and_the_key_are_given_as_to_the_other_commands(api, broker, run_relay, tmp_path):
    (tmp_path / "key").write_text("another-key-0123\n")
    relay = run_relay("--base-url", api.url, "--api-key-file", str(tmp_path / "key"), url="http://127.0.0.1:1")
    broker.client.xadd(NAMES.stream, {"m": MESSAGE})
    until(lambda: broker.client.xlen(NAMES.stream) == 0, "it is delivered")
    assert api.requests[-1].key == "…0123"
    relay.end()


def test_the_numbers_are_one_line_also_where_nobody_says_how_wide_it_is(api, broker, run_relay):
    api.answer_next(None)
    api.answer_next(503, count=10_000)
    came = int((time() - 200) * 1000)
    with broker.client.pipeline() as pipeline:
        for number in range(1201):
            pipeline.xadd(NAMES.stream, {"m": MESSAGE.replace("u1", f"u{number}")}, id=f"{came}-{number}")
        pipeline.execute()
    relay = run_relay()
    until(lambda: relay.health.get("broker_waiting") == 1200, "the first has gone")
    _, err = relay.end()
    (line,) = [line for line in err.splitlines() if line.startswith("stopped")]
    assert re.fullmatch(
        r"stopped · 1 delivered \([\d.]+/s\) · 0 given up · 1,200 in the broker, the oldest 3 min"
        r" · 999,999 of 1,000,000 calls left",
        line,
    )


def test_help_lists_it_beside_the_spool(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    lines = CliRunner().invoke(app, ["--help"]).output.splitlines()
    listed = [line.strip("│ ").split(" ")[0] for line in lines if line.startswith("│") and line[2] != " "]
    assert listed[listed.index("relay") + 1] == "spool"


def test_dead_letters_are_put_back(call, broker):
    broker.client.xadd(NAMES.dead, {"m": json.dumps({"message": MESSAGE, "reason": "x"})})
    ended = call("--broker", broker.url, "--retry-dead", "--json")
    assert (ended.exit_code, json.loads(ended.stdout)) == (0, {"retried": 1})
    assert broker.messages() == [json.loads(MESSAGE)]
    assert broker.letters() == []
    assert call("--broker", broker.url, "--retry-dead").stdout == "0 items put back.\n"


def test_dead_letters_of_another_name(call, broker):
    broker.client.xadd("graveyard", {"m": json.dumps({"message": MESSAGE})})
    ended = call("--broker", broker.url, "--dead-letter", "graveyard", "--retry-dead")
    assert ended.stdout == "1 item put back.\n"


def test_a_broker_that_is_away_cannot_be_retried_from(call, canary):
    ended = call("--broker", f"redis://:{canary}@127.0.0.1:1/0", "--retry-dead")
    assert ended.exit_code == 1
    assert "cannot be used" in ended.output
    assert canary not in ended.output


def test_a_relay_waits_for_a_broker_that_is_away_and_shows_no_password(absent_broker, run_relay_alone, canary):
    url = f"redis://:{canary}@127.0.0.1:{absent_broker.port}/0"
    relay = run_relay_alone(url, "--json")
    until(lambda: relay.health.get("trouble"), "the health file tells of it")
    assert relay.health["ok"] is False
    absent_broker.start("--requirepass", canary, "--appendonly", "no", "--maxmemory-policy", "allkeys-lru")
    relay.waits_to_be("active")
    until(lambda: relay.health["ok"], "all is well")
    assert relay.health["broker_waiting"] == 0
    out, err = relay.end(signal.SIGINT)
    assert relay.process.returncode == 0
    assert "cannot be used yet" in err
    assert canary not in out + err
    assert json.loads(out.splitlines()[-1])["terms"] == 1


def test_settings_that_lose_messages_are_told_at_the_start(broker, run_relay):
    broker.client.config_set("appendonly", "no")
    broker.client.config_set("maxmemory-policy", "allkeys-lru")
    relay = run_relay()
    relay.waits_to_be("active")
    _, err = relay.end()
    assert "appendonly is off" in err
    assert "allkeys-lru" in err


def test_a_health_file_that_cannot_be_written_is_told_once(broker, run_relay, tmp_path):
    relay = run_relay("--health-file", str(tmp_path / "missing" / "health"))
    broker.client.xadd(NAMES.stream, {"m": MESSAGE})
    until(lambda: broker.client.xlen(NAMES.stream) == 0, "it works all the same")
    _, err = relay.end()
    assert err.count("Cannot write") == 1


def test_a_health_file_is_for_its_owner_and_never_written_through_a_link(broker, run_relay, tmp_path):
    victim, health = tmp_path / "victim", tmp_path / "health.json"
    victim.write_text("precious")
    health.symlink_to(victim)
    health.with_name("health.json.new").symlink_to(victim)
    relay = run_relay("--health-file", str(health))
    until(lambda: not health.is_symlink(), "the link is replaced by the file")
    relay.end()
    assert victim.read_text() == "precious"
    assert json.loads(health.read_text())["role"] == "stopped"
    assert health.stat().st_mode & 0o777 == 0o600
