"""docker-compose.yml on paper."""

import re
from typing import Any

import pytest
import yaml
from stack_support.services import PORTS, ROOT

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ALWAYS = [n for n, s in SERVICES.items() if not s.get("profiles") and s["restart"] != "no"]
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
    assert {int(p) for p in ports} <= {*PORTS, 8787}


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
