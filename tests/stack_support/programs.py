"""The services as bare programs: the stack's own configuration, changed for the test, on free ports."""

import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from support.waiting import wait_for

from stack_support.given import program

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "stack/collector"


def free_port() -> int:
    """Return a port that nobody listens on, below those that the kernel gives to connections.

    So nobody's connection takes it while the service that it belongs to is down.
    """
    for _ in range(100):
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("no port is free")


@dataclass
class Process:
    """A program that a test starts and ends, by its process ID."""

    command: list[str]
    log: Path
    ready: str
    """Address that answers with success once it is up."""
    environment: Mapping[str, str] = field(default_factory=dict)
    _running: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        with self.log.open("a") as out:
            self._running = subprocess.Popen(self.command, stdout=out, stderr=out, env={"PATH": "", **self.environment})
        wait_for(self._answers, f"{self.ready} answers", seconds=60)

    def _answers(self) -> bool:
        assert self._running is not None
        assert self._running.poll() is None, self.log.read_text()
        try:
            return httpx.get(self.ready, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """Let it end by itself."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self._end(signal.SIGKILL)

    def _end(self, by: signal.Signals) -> None:
        if self._running is not None:
            os.kill(self._running.pid, by)
            self._running.wait(timeout=60)
            self._running = None


@dataclass
class Collector:
    """A collector, running or not."""

    process: Process
    http: int
    """Port of OTLP over HTTP."""
    own_metrics: int
    folder: Path
    client: httpx.Client

    def exported(self, signal: str) -> str:
        """Return what was exported to files so far: whole lines, since the collector may be at the next one."""
        file = self.folder / f"{signal}.jsonl"
        return file.read_text(encoding="utf-8").rpartition("\n")[0] if file.exists() else ""

    def spans(self) -> list[dict[str, Any]]:
        """Return the exported spans."""
        found = []
        for line in self.exported("traces").splitlines():
            for resource in json.loads(line)["resourceSpans"]:
                found += [s for scope in resource["scopeSpans"] for s in scope["spans"]]
        return found

    def offer(self, signal: str, body: bytes) -> httpx.Response:
        """Send OTLP, and return the answer."""
        url = f"http://127.0.0.1:{self.http}/v1/{signal}"
        return self.client.post(url, content=body, headers={"Content-Type": "application/x-protobuf"})

    def post(self, signal: str, body: bytes) -> None:
        """Send OTLP, and insist."""
        if body:
            self.offer(signal, body).raise_for_status()

    def told(self) -> str:
        """Return its own metrics."""
        return self.client.get(f"http://127.0.0.1:{self.own_metrics}/metrics").text


TO_FILES: Mapping[str, Any] = {
    "service": {"pipelines": {s: {"exporters": [f"file/{s}"]} for s in ("traces", "metrics")}}
}
"""Laid over a collector's settings: it writes to files, in place of Tempo and Prometheus."""


def _collector(
    folder: Path, *layers: str | Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> Collector:
    """Prepare stack/collector/collector.yaml with `layers` over it: names of files beside it, or settings."""
    folder.mkdir(exist_ok=True)
    http, grpc, own, health = (free_port() for _ in range(4))
    here = {
        "extensions": {
            "health_check": {"endpoint": f"127.0.0.1:{health}"},
            "file_storage": {"directory": f"{folder}/queue", "compaction": {"directory": f"{folder}/queue"}},
        },
        "receivers": {
            "otlp": {
                "protocols": {
                    "grpc": {"endpoint": f"127.0.0.1:{grpc}"},
                    "http": {"endpoint": f"127.0.0.1:{http}"},
                }
            }
        },
        "exporters": {
            f"file/{s}": {"path": f"{folder}/{s}.jsonl", "flush_interval": "200ms"} for s in ("traces", "metrics")
        },
        "service": {"telemetry": {"metrics": {"readers": [{"pull": {"exporter": {"prometheus": _own(own)}}}]}}},
    }
    command = program("OTELCOL")
    for number, layer in enumerate(("collector.yaml", here, *layers)):
        file = CONFIGURATION / layer if isinstance(layer, str) else folder / f"layer{number}.yaml"
        if not isinstance(layer, str):
            file.write_text(yaml.safe_dump(layer), encoding="utf-8")
        command += ["--config", str(file)]
    process = Process(command, folder / "log", f"http://127.0.0.1:{health}", environment or {})
    return Collector(process, http, own, folder, httpx.Client(trust_env=False))


def _own(port: int) -> dict[str, Any]:
    """Move the collector's own metrics to a port; the rest is collector.yaml's, since a layer replaces all."""
    settings = yaml.safe_load((CONFIGURATION / "collector.yaml").read_text(encoding="utf-8"))
    (reader,) = settings["service"]["telemetry"]["metrics"]["readers"]
    return {**reader["pull"]["exporter"]["prometheus"], "host": "127.0.0.1", "port": port}


@contextmanager
def collector(
    folder: Path, *layers: str | Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> Iterator[Collector]:
    """Run a collector that writes to files, unless a layer says otherwise."""
    prepared = _collector(folder, TO_FILES, *layers, environment=environment)
    with prepared.client:
        prepared.process.start()
        try:
            yield prepared
        finally:
            prepared.process.kill()


def local_collector(folder: Path, *, tempo: str, prometheus: str, room: int | None = None) -> Collector:
    """Prepare a collector that sends to these addresses, and tries again sooner than after 15 s.

    Args:
        folder: what it writes.
        tempo: where spans go.
        prometheus: where metrics go.
        room: bytes of each queue, if not as many as collector.yaml says.
    """
    retry: dict[str, Any] = {"retry_on_failure": {"initial_interval": "200ms", "max_interval": "1s"}}
    if room is not None:
        retry["sending_queue"] = {"queue_size": room, "batch": {"min_size": 0, "max_size": 0}}
    exporters = {
        "otlp_grpc/tempo": {"endpoint": tempo, **retry},
        "otlp_http/prometheus": {"endpoint": prometheus, **retry},
    }
    return _collector(folder, {"exporters": exporters})


@dataclass
class Prometheus:
    """A running Prometheus."""

    url: str
    client: httpx.Client

    def post(self, signal: str, body: bytes) -> None:
        """Send OTLP, and insist."""
        headers = {"Content-Type": "application/x-protobuf"}
        self.client.post(f"{self.url}/api/v1/otlp/v1/{signal}", content=body, headers=headers).raise_for_status()

    def query(self, query: str) -> list[dict[str, Any]]:
        """Ask for an instant vector."""
        answer = self.client.get(f"{self.url}/api/v1/query", params={"query": query})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]["result"]


def _prometheus(folder: Path, port: int, changes: Mapping[str, Any], *arguments: str) -> Process:
    """Prepare stack/prometheus/prometheus.yml with some keys replaced, and the arguments of docker-compose.yml."""
    folder.mkdir(exist_ok=True)
    settings = yaml.safe_load((ROOT / "stack/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump({**settings, **changes}), encoding="utf-8")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    given = [a for a in compose["services"]["prometheus"]["command"] if a.startswith(("--web", "--enable"))]
    command = [
        *program("PROMETHEUS"),
        *given,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        *arguments,
    ]
    return Process(command, folder / "log", f"http://127.0.0.1:{port}/-/ready")


@contextmanager
def prometheus(folder: Path, changes: Mapping[str, Any], *arguments: str) -> Iterator[Prometheus]:
    """Run a Prometheus."""
    port = free_port()
    process = _prometheus(folder, port, changes, *arguments)
    process.start()
    try:
        with httpx.Client(trust_env=False) as client:
            yield Prometheus(f"http://127.0.0.1:{port}", client)
    finally:
        process.kill()


def local_prometheus(folder: Path, port: int, scraped: Mapping[str, int]) -> Process:
    """Prepare a Prometheus with the rules, that scrapes the ports of jobs more often than every 15 s."""
    jobs = [{"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for job, port in scraped.items()]
    changes = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "5s"},
        "rule_files": [str(ROOT / "stack/prometheus/rules/*.yml")],
        "scrape_configs": jobs,
    }
    return _prometheus(folder, port, changes)


_SHORT = {"initial_interval": "100ms", "max_interval": "500ms", "max_elapsed_time": "1s"}
_DEAD = {"timeout": "1s", "retry_on_failure": _SHORT} | {
    "sending_queue": {
        "queue_size": 600,
        "num_consumers": 1,
        "batch": {"flush_timeout": "100ms", "min_size": 0, "max_size": 0},
    }
}
FAILING: Mapping[str, Any] = {
    "exporters": {
        "otlp_grpc/tempo": {"endpoint": "127.0.0.1:1", **_DEAD},
        "otlp_http/prometheus": {"endpoint": "http://127.0.0.1:1", **_DEAD},
    },
    "service": {
        "pipelines": {"traces": {"exporters": ["otlp_grpc/tempo"]}, "metrics": {"exporters": ["otlp_http/prometheus"]}}
    },
}
"""Laid over a collector's settings: it cannot deliver, its queues hold two small exports, and it soon gives up."""


def traces(*spans: Span, resource: Mapping[str, str] | None = None) -> bytes:
    """Put spans into one export."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    for key, value in (resource or {"service.name": "test"}).items():
        put(group.resource.attributes.add(), key, value)
    group.scope_spans.add().spans.extend(spans)
    return request.SerializeToString()


def span(name: str, trace: int, *, seconds: float = 0.1, error: bool = False, **attributes: Any) -> Span:
    """Make a span; `__` in names of attributes stands for a dot."""
    end = time.time_ns()
    made = Span(
        name=name,
        trace_id=trace.to_bytes(16, "big"),
        span_id=(trace + 1).to_bytes(8, "big"),
        start_time_unix_nano=end - int(seconds * 1e9),
        end_time_unix_nano=end,
    )
    if error:
        made.status.code = Status.STATUS_CODE_ERROR
    for key, value in attributes.items():
        put(made.attributes.add(), key.replace("__", "."), value)
    return made


def put(pair: Any, key: str, value: Any) -> None:
    """Write an attribute."""
    pair.key = key
    if isinstance(value, list):
        for item in value:
            pair.value.array_value.values.add().string_value = item
    else:
        kind = {str: "string_value", int: "int_value", float: "double_value", bool: "bool_value"}[type(value)]
        setattr(pair.value, kind, value)
