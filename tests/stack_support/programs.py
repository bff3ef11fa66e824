"""The collector as a bare program: its own configuration, with files for exporters and free ports."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
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
        """Give what was exported so far."""
        file = self.folder / f"{signal}.jsonl"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def spans(self) -> list[dict[str, Any]]:
        """Give the exported spans."""
        found = []
        for line in self.exported("traces").splitlines():
            for resource in json.loads(line)["resourceSpans"]:
                found += [s for scope in resource["scopeSpans"] for s in scope["spans"]]
        return found

    def post(self, signal: str, body: bytes) -> None:
        """Send OTLP, and insist."""
        headers = {"Content-Type": "application/x-protobuf"}
        self.client.post(f"http://127.0.0.1:{self.http}/v1/{signal}", content=body, headers=headers).raise_for_status()

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
    with ExitStack() as exits:
        client = exits.enter_context(httpx.Client(trust_env=False))
        log = exits.enter_context((folder / "log").open("w"))
        process = exits.enter_context(
            subprocess.Popen(command, stdout=log, stderr=log, env={"PATH": "", **(environment or {})})
        )
        exits.callback(process.kill)

        def healthy() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            try:
                return client.get(f"http://127.0.0.1:{health}").status_code == 200
            except httpx.TransportError:
                return False

        until("the collector is healthy", healthy, seconds=30)
        yield Collector(http, own, folder, client)


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
