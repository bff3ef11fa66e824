"""The bundled services as a test holds them: started by docker compose, asked over HTTP."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from stack_support.traffic import Post, post_by

ROOT = Path(__file__).parents[2]
PORTS = (3000, 3200, 4317, 4318, 7946, 8888, 9090, 9095, 13133, 14317)
COLLECTOR, TEMPO = "http://127.0.0.1:4318", "http://127.0.0.1:3200"
PROMETHEUS, GRAFANA = "http://127.0.0.1:9090", "http://127.0.0.1:3000"

PASSWORD = "only-for-this-test"
"""Of Grafana's admin; what is so without one is tried in test_grafana.py."""


def tools() -> Path | None:
    """Give the folder of the tools that can run the services here, if there is one."""
    folder = os.environ.get("GROQSCOPE_STACK_TOOLS")
    return Path(folder).resolve() if folder else None


def run(*command: str | Path, timeout: float = 300, **options: Any) -> str:
    """Run a program and give its output; a failure shows it all."""
    done = subprocess.run(
        [str(c) for c in command], cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False, **options
    )
    assert done.returncode == 0, f"{command[0]} {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def until(what: str, found: Callable[[], Any], *, seconds: float = 60) -> Any:
    """Look until something is there, and give it."""
    end = time.monotonic() + seconds
    while True:
        value = found()
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.5)


def as_many(found: list[Any], count: float) -> list[Any] | None:
    """Give what was found if it is that many: something to wait for."""
    return found if len(found) == count else None


@dataclass
class Services:
    """A running stack."""

    folder: Path
    """Of the tools."""
    project: str = "groqscope-test"
    http: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=30))

    @property
    def post(self) -> Post:
        """Sends OTLP to the collector."""
        return post_by(self.http, COLLECTOR)

    def compose(self, *arguments: str) -> str:
        """Run docker compose on the project."""
        options = ("--progress", "plain", "-p", self.project, "-f", "docker-compose.yml")
        surroundings = {**os.environ, "GROQSCOPE_GRAFANA_PASSWORD": PASSWORD}
        return run(self.folder / "compose", *options, *arguments, env=surroundings)

    def get(self, url: str, **params: Any) -> Any:
        """Ask for JSON; `None` when nobody answers, or not with success."""
        try:
            answer = self.http.get(url, params=params)
        except httpx.TransportError:
            return None
        return answer.json() if answer.status_code == 200 else None

    def prometheus(self, query: str, at: float | None = None) -> list[dict[str, Any]]:
        """Ask Prometheus for an instant vector."""
        answer = self.http.get(
            f"{PROMETHEUS}/api/v1/query", params={"query": query, **({} if at is None else {"time": at})}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]["result"]

    def total(self, query: str) -> float:
        """Ask Prometheus for one number, 0 when there is none."""
        return sum(float(s["value"][1]) for s in self.prometheus(query))

    def search(self, query: str, *, hours: float = 2, limit: int = 100) -> list[dict[str, Any]]:
        """Search Tempo by TraceQL."""
        now = int(time.time())
        params = {"q": query, "limit": limit, "start": now - int(hours * 3600), "end": now + 1, "spss": 20}
        answer = self.http.get(f"{TEMPO}/api/search", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["traces"]

    def trace(self, trace_id: str) -> dict[str, Any] | None:
        """Get a trace from Tempo."""
        return self.get(f"{TEMPO}/api/traces/{trace_id}")

    def ask_grafana(self, target: dict[str, Any], start: float, end: float) -> dict[str, Any]:
        """Run one query of a panel through Grafana's own API, as a visitor without a login."""
        body = {"queries": [target], "from": str(int(start * 1000)), "to": str(int(end * 1000))}
        answer = self.http.post(f"{GRAFANA}/api/ds/query", json=body)
        assert answer.status_code == 200, f"{target.get('expr', target)}\n{answer.text}"
        return answer.json()["results"]["A"]


@contextmanager
def running(folder: Path) -> Iterator[Services]:
    """Bring the stack up, and down again with everything it stored."""
    busy = [port for port in PORTS if _listening(port)]
    assert not busy, f"ports {busy} of 127.0.0.1 are taken: is a stack running already? docker compose down"
    run(folder / "images", timeout=2400)
    services = Services(folder)
    try:
        services.compose("up", "-d", "--wait")
        until("Tempo is ready", lambda: _ready(services), seconds=60)
        yield services
    finally:
        services.compose("down", "-v", "--timeout", "5")
        services.http.close()


def _ready(services: Services) -> bool:
    try:
        return services.http.get(f"{TEMPO}/ready").status_code == 200
    except httpx.TransportError:
        return False


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
