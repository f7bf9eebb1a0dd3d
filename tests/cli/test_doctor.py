"""`journy-track doctor`: a setup as seen from inside."""

from __future__ import annotations

import json
import platform
import socket
import sys

import pytest
import pytest_journy_track
import redis

import journy_track

from ..redis_server import redis_server
from .commands import KEY, journy, run, words


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def findings(*arguments, **variables):
    ended = run("doctor", "--json", *arguments, **variables)
    document = json.loads(ended.stdout)
    assert ended.exit_code == (0 if document["ok"] else 1)
    return {(f["topic"], f["name"]): f for f in document["findings"]}


def test_each_setting_is_printed_with_its_origin_and_the_key_never(api, tmp_path):
    file = tmp_path / "key"
    file.write_text("key-of-the-file")
    seen = findings("--base-url", api.url, JOURNY_TIMEOUT="3", JOURNY_SHARE="0.5")
    told = {name: (f["value"], f["origin"]) for (topic, name), f in seen.items() if topic == "settings"}
    assert told["api_key"] == ("set (not shown)", "JOURNY_API_KEY")
    assert told["base_url"] == (api.url, "argument")
    assert told["timeout"] == ("3 s", "JOURNY_TIMEOUT")
    assert told["share"] == ("0.5", "JOURNY_SHARE")
    assert told["queue_bytes"] == ("64 MiB", "default")
    assert KEY not in json.dumps(list(seen.values()))
    seen = findings("--base-url", api.url, "--api-key-file", str(file))
    assert seen["settings", "api_key"]["origin"] == "argument"


def test_versions_process_and_reachability(api):
    seen = findings(JOURNY_BASE_URL=api.url)
    assert seen["versions", "python"]["value"].startswith(platform.python_version())
    assert seen["versions", "journy-track"]["value"] == journy_track.__version__
    assert {("versions", name) for name in ("requests", "urllib3", "opentelemetry-api", "starlette")} <= set(seen)
    assert seen["process", "threads"]["value"] == "can be started"
    assert seen["reach", "connection"]["state"] == "ok"
    assert "TrackData" in seen["reach", "API"]["value"]


def test_a_variable_that_is_misspelt_is_a_problem(api):
    seen = findings("--offline", JOURNY_BASE_URL=api.url, JOURNY_SPOL="/var/spool/shop")
    assert seen["settings", "JOURNY_SPOL"]["value"] == "not a setting, and ignored: did you mean JOURNY_SPOOL?"
    assert seen["settings", "JOURNY_SPOL"]["state"] == "problem"


def test_every_wrong_setting_is_printed_and_not_only_the_first(api):
    seen = findings("--offline", JOURNY_BASE_URL=api.url, JOURNY_TIMEOUT="soon", JOURNY_SHARE="7")
    assert seen["settings", "timeout"]["state"] == seen["settings", "share"]["state"] == "problem"
    assert "JOURNY_TIMEOUT" in seen["settings", "timeout"]["value"]
    seen = findings("--offline", JOURNY_BASE_URL="http://example.com")
    assert "plain http://" in seen["settings", "configure()"]["value"]


@pytest.mark.slow
def test_what_is_out_of_reach_is_a_problem():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    seen = findings(JOURNY_BASE_URL=f"http://127.0.0.1:{port}")
    assert seen["reach", "connection"]["state"] == "problem"
    assert "connection was refused" in seen["reach", "API"]["value"]
    seen = findings(JOURNY_BASE_URL="https://no-such-host.invalid")
    assert "could not be resolved" in seen["reach", "DNS"]["value"]


@pytest.mark.slow
def test_a_server_without_tls_is_a_problem_of_tls(hung_server):
    seen = findings(JOURNY_BASE_URL=hung_server.replace("http://", "https://"), JOURNY_TIMEOUT="0.3")
    assert seen["reach", "TLS"]["state"] == "problem"


def test_a_proxy_is_printed_without_its_password_and_reached_instead(api, monkeypatch):
    monkeypatch.setattr(pytest_journy_track, "live", True)  # the proxy is on this machine
    proxy = "http://jane:swordfish@127.0.0.1:9"
    seen = findings(JOURNY_BASE_URL="https://api.example", HTTPS_PROXY=proxy, NO_PROXY="")
    assert seen["network", "HTTPS_PROXY"]["value"] == "http://…@127.0.0.1:9"
    assert seen["reach", "proxy"]["value"] == "http://…@127.0.0.1:9 is asked for api.example"
    assert "the proxy refused the connection" in seen["reach", "API"]["value"]
    assert "swordfish" not in json.dumps(list(seen.values()))


def test_a_socks_proxy_without_pysocks_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "socks", None)  # not installed
    monkeypatch.setattr(pytest_journy_track, "live", True)
    seen = findings(JOURNY_BASE_URL="https://api.example", ALL_PROXY="socks5://127.0.0.1:9", NO_PROXY="")
    assert "needs PySocks: pip install 'requests[socks]'" in seen["reach", "API"]["value"]


def test_certificates_that_are_not_there_are_a_problem(tmp_path):
    seen = findings("--offline", REQUESTS_CA_BUNDLE=str(tmp_path / "none.pem"), JOURNY_BASE_URL="http://127.0.0.1:9")
    assert seen["network", "REQUESTS_CA_BUNDLE"]["state"] == "problem"


def test_the_folder_of_the_spool_is_looked_at_and_not_made(api, tmp_path):
    folder = tmp_path / "spool"
    seen = findings("--offline", JOURNY_BASE_URL=api.url, JOURNY_SPOOL=str(folder))
    assert seen["spool", str(folder)]["value"] == "does not exist yet"
    assert not folder.exists()
    journy_track.configure(KEY, base_url=api.url, spool=folder)
    journy_track.track("signed_in", user="u1")
    journy_track.flush(10)
    seen = findings("--offline", JOURNY_BASE_URL=api.url, JOURNY_SPOOL=str(folder))
    assert seen["spool", str(folder)]["value"].startswith("1 file, ")
    assert ("spool", "permissions") not in seen
    folder.rename(tmp_path / "moved")
    folder.write_text("a file")
    seen = findings("--offline", JOURNY_BASE_URL=api.url, JOURNY_SPOOL=str(folder))
    assert seen["spool", str(folder)]["state"] == "problem"


@pytest.mark.slow
def test_for_people_it_is_a_list_and_a_sentence(api):
    ended = journy("doctor", JOURNY_BASE_URL=api.url, COLUMNS="50")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Nothing is wrong." in ended.stderr
    assert "\x1b" not in ended.stdout + ended.stderr
    assert KEY not in ended.stdout
    ended = journy("doctor", "--offline", JOURNY_API_KEY="")
    assert ended.returncode == 1
    assert "no API key: nothing would be captured" in words(ended.stdout)
    assert "One thing is wrong: configure()." in ended.stderr


@pytest.mark.slow
def test_the_broker_is_looked_at_and_the_api_is_the_relays(monkeypatch):
    with redis_server() as url:
        client = redis.Redis.from_url(url)
        client.config_set("maxmemory-policy", "volatile-lru")
        seen = findings(JOURNY_BROKER_URL=url, JOURNY_API_KEY="")
        assert seen["broker", "reach"]["value"] == "0 messages wait; 0 dead letters"
        assert seen["broker", "relay"]["state"] == "note"
        assert "volatile-lru" in seen["broker", "settings"]["value"]
        assert not [topic for topic, _ in seen if topic == "reach"]
        client.set("journy:{items}:v1:lease", "x")
        assert findings(JOURNY_BROKER_URL=url, JOURNY_API_KEY="")["broker", "relay"]["value"] == "one leads"
        client.close()
    away = findings(JOURNY_BROKER_URL=url.replace("//", "//:canary@"), JOURNY_API_KEY="")
    assert away["broker", "reach"]["state"] == "problem"
    assert "canary" not in json.dumps(list(away.values()))
