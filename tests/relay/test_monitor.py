"""`journy-track relay --http`: its liveness, its readiness, and its metrics."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import requests
from typer.testing import CliRunner

from journy_track._model.numbers import Stats
from journy_track._relay.relay import Status
from journy_track.cli import monitor as monitoring
from journy_track.cli.app import app
from journy_track.cli.monitor import Monitor, address_of

from .conftest import NAMES, until

prometheus = pytest.importorskip("prometheus_client.parser")
MESSAGE = json.dumps({"v": 1, "operation": "delete_user", "body": {"identification": {"userId": "u1"}}})
WELL = Status("active", Stats(), 1, broker_waiting=3, broker_oldest=2.5, dead_letters=1)


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def make_monitor() -> Iterator[Callable[..., Monitor]]:
    made: list[Monitor] = []

    def make(host: str = "127.0.0.1") -> Monitor:
        made.append(monitor := Monitor((host, 0)))
        monitor.start()
        return monitor

    yield make
    for monitor in made:
        monitor.close()


def get(url: str, path: str) -> tuple[int, str]:
    try:
        response = requests.get(url + path, timeout=5)
    except requests.ConnectionError:
        return 0, ""
    return response.status_code, response.text.strip()


def numbers(url: str) -> dict[tuple[str, ...], float]:
    """Return the samples that Prometheus reads, by name and label values."""
    text = requests.get(url + "/metrics", timeout=5).text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in prometheus.text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_relay_says_that_it_lives_is_ready_and_what_it_has_done(api, broker, run_relay, free_port):
    broker.client.xadd(NAMES.dead, {"m": "{}"})
    relay = run_relay("--http", f"127.0.0.1:{free_port}")
    url = f"http://127.0.0.1:{free_port}"
    until(lambda: get(url, "/ready") == (200, "ok"), "it is ready")
    assert get(url, "/live") == (200, "ok")
    broker.client.xadd(NAMES.stream, {"m": MESSAGE})
    delivered = ("journy_sdk_item_processed_total", "delivered")
    until(lambda: numbers(url).get(delivered) == 1, "it is counted")
    found = numbers(url)
    assert found["journy_relay_active",] == found["journy_sdk_healthy",] == found["journy_relay_term_total",] == 1
    assert found["journy_relay_dead_letter_size",] == 1
    assert found["journy_relay_broker_size",] == 0
    assert sum(value for name, value in found.items() if name[0] == "journy_sdk_request_duration_seconds_count") == 1
    assert found["journy_sdk_rate_limit_limit",] == 1_000_000
    _, err = relay.end()
    assert f"/live, /ready and /metrics are at {url}\n" in err
    assert relay.process.returncode == 0


def test_a_relay_that_stands_by_is_ready_and_does_not_lead(broker, run_relay, free_port):
    run_relay().waits_to_be("active")
    run_relay("--http", str(free_port))
    url = f"http://127.0.0.1:{free_port}"
    until(lambda: get(url, "/ready") == (200, "ok"), "it is ready")
    assert numbers(url)["journy_relay_active",] == 0


def test_without_its_broker_it_lives_and_is_not_ready(absent_broker, run_relay_alone, free_port):
    run_relay_alone(absent_broker.url, "--http", f":{free_port}")
    url = f"http://127.0.0.1:{free_port}"
    until(lambda: get(url, "/ready")[0] == 503, "it has looked")
    assert get(url, "/live") == (200, "ok")
    absent_broker.start()
    until(lambda: get(url, "/ready") == (200, "ok"), "it is ready")


def test_with_a_refused_key_it_is_not_ready_and_says_why(api, broker, run_relay, free_port):
    api.answer_next(403, count=10_000)
    broker.client.xadd(NAMES.stream, {"m": MESSAGE})
    run_relay("--http", str(free_port))
    url = f"http://127.0.0.1:{free_port}"
    until(lambda: get(url, "/ready") == (503, "the API key is refused"), "the key was tried")
    assert numbers(url)["journy_sdk_circuit_status", "open"] == 1


def test_a_relay_that_was_stopped_by_a_signal_hangs(broker, run_relay, free_port):
    relay = run_relay("--http", str(free_port))
    url = f"http://127.0.0.1:{free_port}"
    until(lambda: get(url, "/live") == (200, "ok"), "it lives")
    relay.send(signal.SIGSTOP)
    with pytest.raises(requests.ReadTimeout):
        requests.get(url + "/live", timeout=0.3)
    relay.send(signal.SIGCONT)
    until(lambda: get(url, "/live") == (200, "ok"), "it lives")


def test_a_loop_that_makes_no_turn_is_not_alive(make_monitor, monkeypatch):
    monitor = make_monitor()
    monitor.show(WELL)
    assert get(monitor.url, "/live")[0] == get(monitor.url, "/ready")[0] == 200
    monkeypatch.setattr(monitoring, "HANGS", -1.0)
    assert get(monitor.url, "/live") == get(monitor.url, "/ready") == (503, "the relay has not responded for 0 s")


def test_before_the_first_turn_it_is_not_ready_and_has_no_numbers(make_monitor):
    monitor = make_monitor()
    assert get(monitor.url, "/ready") == (503, "the relay is starting")
    assert get(monitor.url, "/metrics") == (200, "")
    assert get(monitor.url, "/elsewhere") == (404, "There are /live, /ready and /metrics.")
    assert requests.post(monitor.url + "/live", timeout=5).status_code == 501


def test_it_listens_to_this_machine_unless_another_address_is_named():
    assert address_of("9090") == address_of(":9090") == address_of("127.0.0.1:9090") == ("127.0.0.1", 9090)
    assert address_of("0.0.0.0:9090") == ("0.0.0.0", 9090)
    assert address_of("[::1]:9090") == ("::1", 9090)


@pytest.mark.parametrize("text", ["nonsense", "127.0.0.1", "127.0.0.1:", "h:70000", "::1:9090", "h:-1", "h:٣"])
def test_an_address_that_cannot_be_is_refused(text):
    ended = CliRunner().invoke(app, ["relay", "--broker", "redis://127.0.0.1:1", "--http", text])
    assert ended.exit_code == 2
    assert "--http must be a port, or a host and a port" in " ".join(ended.output.split())


def test_a_port_that_is_taken_is_told(monkeypatch):
    monkeypatch.setenv("JOURNY_API_KEY", "a-key-0123456789")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = CliRunner().invoke(app, ["relay", "--broker", "redis://127.0.0.1:1", "--http", str(port)])
    assert (ended.exit_code, ended.output) == (
        1,
        f"Error: Cannot listen at 127.0.0.1, port {port}: Address already in use. Pass another port to --http.\n",
    )


def test_it_serves_ipv6(make_monitor):
    try:
        monitor = make_monitor("::1")
    except OSError:
        pytest.skip("no IPv6 here")
    monitor.show(WELL)
    assert monitor.url.startswith("http://[::1]:")
    assert numbers(monitor.url)["journy_relay_broker_size",] == 3
    assert numbers(monitor.url)["journy_sdk_queue_oldest_age_seconds",] == 2.5


def test_clients_that_say_nothing_hold_a_bounded_number_of_threads(make_monitor):
    monitor = make_monitor()
    monitor.show(WELL)
    before = threading.active_count()
    address = ("127.0.0.1", int(monitor.url.rpartition(":")[2]))
    silent = [socket.create_connection(address) for _ in range(monitoring.MAX_CONNECTIONS + 4)]
    until(lambda: get(monitor.url, "/live")[0] == 0, "the room is full")
    assert threading.active_count() - before <= monitoring.MAX_CONNECTIONS
    for connection in silent:
        connection.close()
    until(lambda: get(monitor.url, "/live") == (200, "ok"), "there is room again")
