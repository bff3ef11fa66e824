"""The services as bare programs: the stack's own configuration, changed for the test, on free ports."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from stack_support.services import ROOT, until

CONFIGURATION = ROOT / "stack/collector"


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Collector:
    """A running collector."""

    http: int
    """Port of OTLP over HTTP."""
    own_metrics: int
    folder: Path
    client: httpx.Client

    def exported(self, signal: str) -> str:
        """Give what was exported so far: whole lines, since the collector may be at the next one."""
        file = self.folder / f"{signal}.jsonl"
        return file.read_text(encoding="utf-8").rpartition("\n")[0] if file.exists() else ""

    def spans(self) -> list[dict[str, Any]]:
        """Give the exported spans."""
        found = []
        for line in self.exported("traces").splitlines():
            for resource in json.loads(line)["resourceSpans"]:
                found += [s for scope in resource["scopeSpans"] for s in scope["spans"]]
        return found

    def offer(self, signal: str, body: bytes) -> httpx.Response:
        """Send OTLP, and give the answer."""
        url = f"http://127.0.0.1:{self.http}/v1/{signal}"
        return self.client.post(url, content=body, headers={"Content-Type": "application/x-protobuf"})

    def post(self, signal: str, body: bytes) -> None:
        """Send OTLP, and insist."""
        self.offer(signal, body).raise_for_status()

    def told(self) -> str:
        """Give its own metrics."""
        return self.client.get(f"http://127.0.0.1:{self.own_metrics}/metrics").text


@contextmanager
def collector(
    program: str, folder: Path, *layers: str | Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> Iterator[Collector]:
    """Run stack/collector/collector.yaml with `layers` over it: names of files beside it, or settings."""
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
        "service": {
            "telemetry": {
                "metrics": {
                    "readers": [
                        {
                            "pull": {
                                "exporter": {
                                    "prometheus": {
                                        "host": "127.0.0.1",
                                        "port": own,
                                        "without_type_suffix": True,
                                        "without_units": True,
                                        "without_scope_info": True,
                                    }
                                }
                            }
                        }
                    ]
                }
            },
            "pipelines": {s: {"exporters": [f"file/{s}"]} for s in ("traces", "metrics")},
        },
    }
    command = [program]
    for number, layer in enumerate(("collector.yaml", here, *layers)):
        file = CONFIGURATION / layer if isinstance(layer, str) else folder / f"layer{number}.yaml"
        if not isinstance(layer, str):
            file.write_text(yaml.safe_dump(layer), encoding="utf-8")
        command += ["--config", str(file)]
    with (
        httpx.Client(trust_env=False) as client,
        started(command, folder / "log", f"http://127.0.0.1:{health}", environment),
    ):
        yield Collector(http, own, folder, client)


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


@contextmanager
def prometheus(program: str, folder: Path, changes: Mapping[str, Any], *arguments: str) -> Iterator[Prometheus]:
    """Run stack/prometheus/prometheus.yml with some keys of it replaced, and the arguments of docker-compose.yml."""
    folder.mkdir(exist_ok=True)
    settings = yaml.safe_load((ROOT / "stack/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump({**settings, **changes}), encoding="utf-8")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    given = [a for a in compose["services"]["prometheus"]["command"] if a.startswith(("--web", "--enable"))]
    url = f"127.0.0.1:{free_port()}"
    command = [
        program,
        *given,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={url}",
    ]
    with (
        started([*command, *arguments], folder / "log", f"http://{url}/-/ready"),
        httpx.Client(trust_env=False) as client,
    ):
        yield Prometheus(f"http://{url}", client)


@contextmanager
def started(command: list[str], log: Path, ready: str, environment: Mapping[str, str] | None = None) -> Iterator[None]:
    """Run a program until the block ends; the block begins when `ready` answers with success."""
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={"PATH": "", **(environment or {})})
        try:

            def answers() -> bool:
                assert process.poll() is None, log.read_text()
                try:
                    return httpx.get(ready, trust_env=False).status_code == 200
                except httpx.TransportError:
                    return False

            until(f"{ready} answers", answers, seconds=60)
            yield
        finally:
            process.kill()
            process.wait()


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
        made.status.code = 2
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
