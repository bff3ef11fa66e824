"""The services as a test holds them: asked over HTTP, stopped and started; given by docker compose, or run here.

Run here are the collector and Prometheus, with the project's own configuration on free ports; `support.tempo.FakeTempo`
and `stack_support.grafana` stand in for the other two.
"""

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
from support import tempo as fake_tempo
from support.waiting import wait_for

from stack_support import grafana as fake_grafana
from stack_support.given import program
from stack_support.programs import Process, free_port, local_collector, local_prometheus
from stack_support.traffic import Post, post_by

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, timeout: float = 300, **options: Any) -> str:
    """Run a program and return its output; a failure shows it all."""
    done = subprocess.run(
        [str(c) for c in command], cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False, **options
    )
    assert done.returncode == 0, f"{command[0]} {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


class Switch(Protocol):
    """Stops and starts a service by its name in docker-compose.yml."""

    def stop(self, service: str) -> None:
        """Let it end by itself."""

    def kill(self, service: str) -> None:
        """End it as `kill -9` does."""

    def start(self, service: str) -> None:
        """Start it with what it kept."""


@dataclass
class Stack:
    """A running stack."""

    collector: str
    tempo: str
    prometheus: str
    grafana: str
    switch: Switch
    real_tempo: bool
    """Whether Tempo is Tempo: what it tells of itself is there, and what is written down of its answers can be held
    against it."""
    http: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=30))

    @property
    def post(self) -> Post:
        """Sends OTLP to the collector."""
        return post_by(self.http, self.collector)

    @property
    def addresses(self) -> list[str]:
        """As options of `groqscope stack check`."""
        return ["--tempo", self.tempo, "--prometheus", self.prometheus, "--grafana", self.grafana]

    def get(self, url: str, **params: Any) -> Any:
        """Ask for JSON; `None` when nobody answers, or not with success."""
        try:
            answer = self.http.get(url, params=params)
        except httpx.TransportError:
            return None
        return answer.json() if answer.status_code == 200 else None

    def query(self, query: str, at: float | None = None) -> list[dict[str, Any]]:
        """Ask Prometheus for an instant vector."""
        return self._result("query", query=query, **({} if at is None else {"time": at}))

    def query_range(self, query: str, start: float, end: float, step: int) -> list[dict[str, Any]]:
        """Ask Prometheus for series."""
        return self._result("query_range", query=query, start=start, end=end, step=step)

    def _result(self, path: str, **params: Any) -> list[dict[str, Any]]:
        answer = self.http.post(f"{self.prometheus}/api/v1/{path}", data=params)
        assert answer.status_code == 200, f"{params['query']}\n{answer.text}"
        found = answer.json()
        assert not found.get("warnings"), f"{params['query']}\n{found['warnings']}"
        return found["data"]["result"]

    def exemplars(self, query: str, start: float, end: float) -> set[str]:
        """Ask Prometheus for the trace IDs of a query's exemplars."""
        found = self.get(f"{self.prometheus}/api/v1/query_exemplars", query=query, start=start, end=end)
        return {e["labels"]["trace_id"] for series in found["data"] for e in series["exemplars"]}

    def total(self, query: str) -> float:
        """Ask Prometheus for one number, 0 when there is none, or no Prometheus."""
        answer = self.get(f"{self.prometheus}/api/v1/query", query=query)
        return sum(float(s["value"][1]) for s in answer["data"]["result"]) if answer else 0

    def search(self, query: str, *, hours: float = 2, limit: int = 100) -> list[dict[str, Any]]:
        """Search Tempo by TraceQL."""
        now = int(time.time())
        params = {"q": query, "limit": limit, "start": now - int(hours * 3600), "end": now + 1, "spss": 20}
        answer = self.http.get(f"{self.tempo}/api/search", params=params)
        assert answer.status_code == 200, f"{query}\n{answer.text}"
        return answer.json()["traces"]

    def trace(self, trace_id: str) -> dict[str, Any] | None:
        """Get a trace from Tempo."""
        return self.get(f"{self.tempo}/api/traces/{trace_id}")

    def ask_grafana(self, target: dict[str, Any], start: float, end: float) -> dict[str, Any]:
        """Run one query of a panel through Grafana's own API, as a visitor without a login."""
        body = {"queries": [target], "from": str(int(start * 1000)), "to": str(int(end * 1000))}
        answer = self.http.post(f"{self.grafana}/api/ds/query", json=body)
        assert answer.status_code == 200, f"{target.get('expr', target)}\n{answer.text}"
        return answer.json()["results"]["A"]


class _Composed:
    """Services of docker compose."""

    def _compose(self, *arguments: str) -> None:
        run(*program("DOCKER_COMPOSE"), "--progress", "plain", *arguments)

    def stop(self, service: str) -> None:
        self._compose("stop", "--timeout", "30", service)

    def kill(self, service: str) -> None:
        self._compose("kill", service)

    def start(self, service: str) -> None:
        self._compose("start", service)


@contextmanager
def given(addresses: Mapping[str, str]) -> Iterator[Stack]:
    """Hold a stack that runs already."""
    urls: dict[str, Any] = {name.removeprefix("STACK_").lower(): url for name, url in addresses.items()}
    stack = Stack(
        **urls,
        switch=_Composed(),
        real_tempo=True,
    )
    with stack.http:
        wait_for(lambda: _ready(stack), "Tempo is ready", seconds=60)
        yield stack


def _ready(stack: Stack) -> bool:
    try:
        return stack.http.get(f"{stack.tempo}/ready").status_code == 200
    except httpx.TransportError:
        return False


class _StandIn:
    """A stand-in, started and stopped like a process."""

    def __init__(self, serve: Callable[[], Any]) -> None:
        self._serve = serve
        self._up = ExitStack()

    def start(self) -> None:
        self._up.enter_context(self._serve())

    def stop(self) -> None:
        self._up.close()

    kill = stop


class _Local:
    """Services that run here."""

    def __init__(self, services: Mapping[str, Process | _StandIn]) -> None:
        self._services = services

    def stop(self, service: str) -> None:
        self._services[service].stop()

    def kill(self, service: str) -> None:
        self._services[service].kill()

    def start(self, service: str) -> None:
        self._services[service].start()


@contextmanager
def local(folder: Path) -> Iterator[Stack]:
    """Run a stack here, on free ports of the loopback."""
    traces = fake_tempo.FakeTempo()
    ports = {name: free_port() for name in ("tempo", "tempo_otlp", "prometheus", "grafana")}
    tempo, prometheus = f"http://127.0.0.1:{ports['tempo']}", f"http://127.0.0.1:{ports['prometheus']}"

    @contextmanager
    def both_sides_of_tempo() -> Iterator[None]:
        with fake_tempo.serving(traces, ports["tempo"]), fake_tempo.receiving(traces, ports["tempo_otlp"]):
            yield

    collector = local_collector(
        folder / "collector", tempo=f"127.0.0.1:{ports['tempo_otlp']}", prometheus=f"{prometheus}/api/v1/otlp"
    )
    scraped = {"otel-collector": collector.own_metrics, "prometheus": ports["prometheus"]}
    scraped |= {"tempo": ports["tempo"], "grafana": ports["grafana"]}
    services = {
        "tempo": _StandIn(both_sides_of_tempo),
        "prometheus": local_prometheus(folder / "prometheus", ports["prometheus"], scraped),
        "otel-collector": collector.process,
        "grafana": _StandIn(lambda: fake_grafana.serving(prometheus, tempo, ports["grafana"])),
    }
    switch = _Local(services)
    with ExitStack() as up:
        for service in services.values():
            service.start()
            up.callback(service.kill)
        stack = Stack(
            collector=f"http://127.0.0.1:{collector.http}",
            tempo=tempo,
            prometheus=prometheus,
            grafana=f"http://127.0.0.1:{ports['grafana']}",
            switch=switch,
            real_tempo=False,
        )
        with stack.http:
            yield stack
