"""The files for operating a relay: the commands, options, paths and settings in them exist."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from journy_track._model.config import Config
from journy_track.cli.app import app
from journy_track.cli.monitor import address_of

yaml = pytest.importorskip("yaml", reason="needs PyYAML")
ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "relay"
TIMEOUT = 10  # the default of Config


def parse(arguments: list[str]) -> dict[str, Any]:
    """Return the options as the command parses them. Raises the error that a user would see."""
    command: Any = typer.main.get_command(app)
    parent = command.make_context("journy-track", list(arguments))
    name, relay, rest = command.resolve_command(parent, list(arguments))
    assert name == "relay"
    return dict(relay.make_context("relay", rest, parent=parent).params)


def dockerfile() -> list[list[str]]:
    """Return its instructions, split into words."""
    text = (FOLDER / "Dockerfile").read_text()
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [line.split(" ", 1) for line in lines if line and not line.startswith("#")]


def service() -> dict[str, str]:
    lines = (FOLDER / "journy-relay.service").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def containers() -> list[Any]:
    """Return the container of the deployment, and the services of the compose file, which include the relay."""
    (deployment, _) = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text())
    return [deployment["spec"]["template"]["spec"], yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]]


@pytest.fixture(autouse=True)
def _credential(tmp_path, monkeypatch):
    monkeypatch.setenv("JOURNY_BROKER_URL", "redis://127.0.0.1/0")


# ── Dockerfile ──


def test_the_image_runs_the_relay_with_options_that_it_has():
    instructions = dict(dockerfile())
    command = json.loads(instructions["ENTRYPOINT"]) + json.loads(instructions["CMD"])
    assert command[0] == "journy-track"
    assert address_of(parse(command[1:])["http"]) == ("0.0.0.0", int(instructions["EXPOSE"]))


def test_the_image_installs_extras_that_there_are_and_which_the_relay_needs():
    (extras,) = re.findall(r"\[([\w,]+)\]'", dict(dockerfile())["RUN"])
    there = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"broker", "cli"} == set(extras.split(",")) <= set(there)


def test_the_image_checks_its_life_at_the_port_that_it_serves(run_program):
    check = dict(dockerfile())["HEALTHCHECK"]
    program, flag, source = json.loads(check[check.index("[") :])
    assert (program, flag) == ("python", "-c")
    assert "127.0.0.1:9090/live" in source
    compile(source, "HEALTHCHECK", "exec")


def test_the_image_has_what_a_wheel_is_built_from():
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"journy_track", "pyproject.toml", project["readme"], *project["license-files"]} == kept
    assert all((ROOT / name).exists() for name in kept)


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs docker")
def test_the_image_builds(tmp_path):
    if subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=60).returncode:
        pytest.skip("needs a running docker daemon")
    command = ["docker", "build", "-q", "-f", str(FOLDER / "Dockerfile"), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr


# ── Compose and Kubernetes ──


def test_the_manifest_probes_paths_and_ports_that_are_served():
    pod, _ = containers()
    (container,) = pod["containers"]
    ((name, port),) = [(port["name"], port["containerPort"]) for port in container["ports"]]
    assert address_of(parse(["relay", *container["args"]])["http"]) == ("0.0.0.0", port)
    probes = {probe: container[probe]["httpGet"] for probe in ("livenessProbe", "readinessProbe")}
    assert probes == {
        "livenessProbe": {"path": "/live", "port": name},
        "readinessProbe": {"path": "/ready", "port": name},
    }


def test_the_parts_of_the_manifest_belong_together():
    deployment, budget = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text())
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels == budget["spec"]["selector"]["matchLabels"]
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == "9090"
    assert annotations["prometheus.io/path"] == "/metrics"


def test_the_secret_has_the_keys_that_the_manifest_asks_for():
    pod, _ = containers()
    asked = {variable["valueFrom"]["secretKeyRef"]["key"] for variable in pod["containers"][0]["env"]}
    assert asked == set(re.findall(r"--from-literal=([\w-]+)=", (FOLDER / "kubernetes.yaml").read_text()))


def test_the_user_is_the_same_everywhere_and_is_not_root():
    pod, _ = containers()
    assert f"{pod['securityContext']['runAsUser']}" == dict(dockerfile())["USER"].partition(":")[0] != "0"


def test_compose_builds_the_image_and_sets_redis_up_as_the_relay_wants_it():
    _, services = containers()
    relay = services["relay"]
    assert (FOLDER / relay["build"]["context"]).resolve() == ROOT
    assert (ROOT / relay["build"]["dockerfile"]).is_file()
    assert services["redis"]["command"][1:] == ["--appendonly", "yes", "--maxmemory-policy", "noeviction"]
    assert relay["environment"]["JOURNY_BROKER_URL"] == "redis://redis:6379/0"
    assert all(port.startswith("127.0.0.1:") for port in services["redis"]["ports"])  # it has no password


def test_each_setting_is_one_that_is_read():
    pod, services = containers()
    names = {variable["name"] for variable in pod["containers"][0]["env"]} | {*services["relay"]["environment"]}
    assert names == {"JOURNY_API_KEY", "JOURNY_BROKER_URL"}
    Config.load(None, {}, environ={"JOURNY_API_KEY": "a-key", "JOURNY_BROKER_URL": "redis://redis:6379/0"})


def test_an_end_is_given_longer_than_a_request_takes():
    pod, services = containers()
    limits = [
        pod["terminationGracePeriodSeconds"],
        int(services["relay"]["stop_grace_period"].removesuffix("s")),
        int(service()["TimeoutStopSec"]),
    ]
    assert min(limits) > Config.load("a-key", {}, environ={}).timeout == TIMEOUT


# ── systemd ──


def test_the_service_runs_the_relay_with_options_that_it_has(tmp_path):
    program, *arguments = shlex.split(service()["ExecStart"])
    assert Path(program).name == "journy-track"
    options = parse(arguments)
    assert address_of(options["http"]) == ("127.0.0.1", 9090)
    assert str(options["api_key_file"]) == "%d/" + service()["LoadCredential"].partition(":")[0]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_service(tmp_path):
    text = (FOLDER / "journy-relay.service").read_text()
    unit = tmp_path / "journy-relay.service"
    unit.write_text(text.replace("/opt/journy/bin/journy-track", str(Path(sys.executable).with_name("journy-track"))))
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert [line for line in done.stderr.splitlines() if unit.name in line] == []
    assert done.returncode == 0, done.stderr
