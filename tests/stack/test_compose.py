"""Here: docker-compose.yml on paper, and as docker compose reads it with every combination of the files laid over it.

No Docker is needed, only the program that reads the files.
"""

import itertools
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from stack_support.boards import ROOT
from stack_support.given import needs, program
from stack_support.stack import run

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ALWAYS = [n for n, s in SERVICES.items() if not s.get("profiles") and s["restart"] != "no"]
PORTS = {3000, 3200, 4317, 4318, 8787, 8888, 9090, 13133}
"""What docs/stack.md tells, and the demo's."""
PINNED = re.compile(r"^(\w[\w/-]+):\$\{\w+_TAG:-v?\d+\.\d+\.\d+\}$")


def test_the_four_services_are_there():
    """The collector, Tempo, Prometheus and Grafana come up without a profile; the demo with one."""
    assert sorted(ALWAYS) == ["grafana", "otel-collector", "prometheus", "tempo"]
    assert {n for n, s in SERVICES.items() if s.get("profiles") == ["demo"]} == {"demo-groq", "demo-application"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_limited_and_unprivileged(name: str):
    """Images have an exact tag, memory an end, processes no capabilities they do not need."""
    service = SERVICES[name]

    assert PINNED.match(service["image"]) or service["build"]["dockerfile"] == "stack/demo/Dockerfile"
    assert service["mem_limit"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


@pytest.mark.parametrize("name", ALWAYS)
def test_a_service_starts_again_and_keeps_its_data(name: str):
    """It restarts unless stopped and has a named volume."""
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert any(v.split(":")[0] in COMPOSE["volumes"] for v in SERVICES[name]["volumes"])


def test_ports_are_published_on_the_loopback_only_and_differ():
    """No port is open to the network, and all can live on one host."""
    published = [p.split(":") for s in SERVICES.values() for p in s.get("ports", [])]
    ports = [p[2] for p in published]

    assert {p[0] for p in published} == {"127.0.0.1"}
    assert all(p[1] == p[2] for p in published)
    assert len(ports) == len(set(ports))
    assert {int(p) for p in ports} == PORTS


def test_services_with_a_shell_are_checked_for_health():
    """Prometheus and Grafana have a health check; the images of the other two have nothing to run one with."""
    assert [n for n in ALWAYS if "healthcheck" in SERVICES[n]] == ["prometheus", "grafana"]


def test_there_is_no_secret_in_the_files():
    """A password is the user's: its variable has no default, here and in Grafana's settings."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    settings = (ROOT / "stack/grafana/grafana.ini").read_text(encoding="utf-8")

    assert SERVICES["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"] == "${GROQSCOPE_GRAFANA_PASSWORD:-}"
    assert re.findall(r"(?im)^admin_password *= *(.*)", settings) == ["$__file{/proc/sys/kernel/random/uuid}"]
    assert not re.findall(
        r"(?im)^[^#]*(?:secret|token|api_key|credential)\w*: *\S", text.replace("GROQ_API_KEY: none-is-needed", "")
    )
    assert "org_role = Viewer" in settings


def test_memory_limits_agree_with_what_the_programs_are_told():
    """The collector refuses data, and Go collects garbage, before the kernel kills."""
    collector = yaml.safe_load((ROOT / "stack/collector/collector.yaml").read_text(encoding="utf-8"))
    limiter = collector["processors"]["memory_limiter"]

    assert next(iter(collector["service"]["pipelines"]["traces"]["processors"])) == "memory_limiter"
    assert next(iter(collector["service"]["pipelines"]["metrics"]["processors"])) == "memory_limiter"
    assert limiter["limit_mib"] < 400
    assert SERVICES["otel-collector"]["environment"]["GOMEMLIMIT"] == "400MiB"
    assert SERVICES["otel-collector"]["mem_limit"] == "512m"


LAID_OVER = ("stack/compose.secure.yml", "stack/compose.tail-sampling.yml")
COMBINATIONS = [
    [*files, *(["--profile", "demo"] if demo else [])]
    for count in range(len(LAID_OVER) + 1)
    for files in itertools.permutations(LAID_OVER, count)
    for demo in (False, True)
]


def _read(combination: list[str], **variables: str) -> dict[str, Any]:
    """Have docker compose put the files together."""
    files = [a for f in ("docker-compose.yml", *combination) if f.endswith(".yml") for a in ("-f", f)]
    options = [a for a in combination if not a.endswith(".yml")]
    command = [*program("DOCKER_COMPOSE"), *files, *options, "config", "--format", "json"]
    return json.loads(run(*command, env={**os.environ, **variables}))["services"]


@needs("DOCKER_COMPOSE")
@pytest.mark.parametrize("combination", COMBINATIONS, ids=" ".join)
def test_docker_compose_reads_every_combination(combination: list[str]):
    """Each file has its effect whatever stands beside it, in any order, and every file that is mounted is there."""
    token = {"GROQSCOPE_OTLP_TOKEN": "only-for-this-test", "GROQSCOPE_TLS_DIR": str(ROOT)}
    services = _read(combination, **token)
    collector = services["otel-collector"]
    mounted = {v["target"]: v["source"] for v in collector["volumes"]}
    secure = "stack/compose.secure.yml" in combination
    sampled = "stack/compose.tail-sampling.yml" in combination

    assert set(services) == {n for n in SERVICES if "demo" in combination or not SERVICES[n].get("profiles")}
    assert ("--config=/etc/otelcol/secure.yaml" in collector["command"]) == secure
    assert {p.get("host_ip") for p in collector["ports"] if p["target"] in (4317, 4318)} == {
        None if secure else "127.0.0.1"
    }
    assert {p.get("host_ip") for n, s in services.items() for p in s.get("ports", []) if n != "otel-collector"} == {
        "127.0.0.1"
    }
    assert "--config=/etc/otelcol-sampling.yaml" in collector["command"]
    assert mounted["/etc/otelcol-sampling.yaml"].endswith("tail-sampling.yaml" if sampled else "every-trace.yaml")
    for service in services.values():
        for volume in service.get("volumes", []):
            assert volume["type"] == "volume" or Path(volume["source"]).exists(), volume


@needs("DOCKER_COMPOSE")
def test_a_secured_collector_is_not_started_without_its_secret():
    """Docker compose refuses the files when the token or the folder with the certificate is not given."""
    for given in ({"GROQSCOPE_OTLP_TOKEN": "x", "GROQSCOPE_TLS_DIR": ""}, {"GROQSCOPE_OTLP_TOKEN": ""}):
        with pytest.raises(AssertionError, match=r"GROQSCOPE_TLS_DIR|GROQSCOPE_OTLP_TOKEN"):
            _read(["stack/compose.secure.yml"], **given)


@needs("DOCKER_COMPOSE")
@pytest.mark.parametrize(("password", "hidden"), [("", ""), ("only-for-this-test", "false")])
def test_a_password_brings_the_login_form(password: str, hidden: str):
    """Grafana's login form is there with a password, and the one of grafana.ini, which hides it, holds without."""
    environment = _read([], GROQSCOPE_GRAFANA_PASSWORD=password)["grafana"]["environment"]

    assert environment["GF_SECURITY_ADMIN_PASSWORD"] == password
    assert environment["GF_AUTH_DISABLE_LOGIN_FORM"] == hidden
