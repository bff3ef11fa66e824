"""Grafana as a bare program with the settings that docker-compose.yml gives it: who is the admin?"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from stack_support.programs import free_port, started
from stack_support.services import PASSWORD, ROOT, run

pytestmark = pytest.mark.stack


@contextmanager
def _grafana(programs: dict[str, str], folder: Path, password: str | None) -> Iterator[httpx.Client]:
    """Run it as `GROQSCOPE_GRAFANA_PASSWORD=… docker compose up` would, and give a client of its API."""
    surroundings = {**os.environ, **({} if password is None else {"GROQSCOPE_GRAFANA_PASSWORD": password})}
    compose = (programs["DOCKER_COMPOSE"], "-f", "docker-compose.yml", "config", "--format", "json")
    given = json.loads(run(*compose, env=surroundings))["services"]["grafana"]["environment"]
    port = free_port()
    environment = {
        **given,
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_PATHS_DATA": str(folder / "data"),
        "GF_PATHS_LOGS": str(folder / "logs"),
        "GF_PATHS_PLUGINS": str(folder / "plugins"),
        "GF_PATHS_PROVISIONING": str(ROOT / "stack/grafana/provisioning"),
    }
    settings = ROOT / "stack/grafana/grafana.ini"
    command = [programs["GRAFANA"], "server", "--homepath", programs["GRAFANA_HOME"], "--config", str(settings)]
    address = f"http://127.0.0.1:{port}/api/"
    with (
        started(command, folder / "log", f"{address}health", environment),
        httpx.Client(base_url=address, trust_env=False) as client,
    ):
        yield client


def test_without_a_password_nobody_can_log_in(programs: dict[str, str], tmp_path: Path):
    """There is no login form, and none of the passwords that are tried first is the admin's."""
    with _grafana(programs, tmp_path, None) as client:
        guesses = [client.get("admin/stats", auth=("admin", p)).status_code for p in ("admin", "", PASSWORD)]
        form = client.get("frontend/settings").json()["disableLoginForm"]

    assert guesses == [401, 401, 401]
    assert form is True


def test_the_users_password_makes_an_admin(programs: dict[str, str], tmp_path: Path):
    """With GROQSCOPE_GRAFANA_PASSWORD there is a login form, and the admin may write; visitors still may not."""
    with _grafana(programs, tmp_path, PASSWORD) as client:
        form = client.get("frontend/settings").json()["disableLoginForm"]
        made = client.post("folders", json={"title": "mine"}, auth=("admin", PASSWORD)).status_code
        visitor = client.post("folders", json={"title": "other"}).status_code

    assert form is False
    assert made == 200
    assert visitor == 403
