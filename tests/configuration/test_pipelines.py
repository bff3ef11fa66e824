"""Where spans and metrics go: by which protocol, with which components, once each."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from support.collector import Collector
from support.configured import Run
from support.programs import Done


@pytest.fixture(name="afresh")
def _afresh(tmp_path: Path) -> Run:
    """Run a program in a new process, with the packages in `packages` installed."""
    (tmp_path / "packages").mkdir(exist_ok=True)

    def run(code: str, **environment: str) -> Done:
        done = subprocess.run(
            [sys.executable, "-c", "import groqscope, os, sys\nfrom opentelemetry import metrics, trace\n" + code],
            env={**os.environ, "PYTHONPATH": str(tmp_path / "packages"), **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    return run


_PACKAGE = """
import random
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, InMemoryMetricReader
from opentelemetry.sdk.trace.export import ConsoleSpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

class Spans(ConsoleSpanExporter):
    def __init__(self):
        super().__init__(formatter=lambda span: f"theirs {span.name} {span.context.span_id}\\n")
class Reader(InMemoryMetricReader):
    def collect(self, timeout_millis=10_000):
        print("their reader")
        super().collect(timeout_millis)
class Ids(RandomIdGenerator):
    def generate_span_id(self):
        return 77
class Propagator(TraceContextTextMapPropagator):
    def inject(self, carrier, *_, **__):
        carrier["theirs"] = "yes"
def sampler(argument):
    return ALWAYS_OFF if argument == "off" else ALWAYS_ON
def broken(*_):
    raise RuntimeError("out of order")
"""
_POINTS = """
[opentelemetry_traces_exporter]
theirs = theirs:Spans
broken = theirs:broken
missing = theirs.missing:Spans
[opentelemetry_metrics_exporter]
theirs = theirs:Reader
[opentelemetry_traces_sampler]
theirs = theirs:sampler
broken = theirs:broken
[opentelemetry_id_generator]
theirs = theirs:Ids
[opentelemetry_propagator]
theirs = theirs:Propagator
"""


@pytest.fixture(name="package")
def _package(tmp_path: Path) -> None:
    """Install a package that registers one of everything."""
    information = tmp_path / "packages" / "theirs-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(_POINTS)
    (tmp_path / "packages" / "theirs.py").write_text(_PACKAGE)


@pytest.mark.usefixtures("package")
def test_registered_components(afresh: Run, endpoint: Collector) -> None:
    """What a package registered is used: exporters, a metric reader, an id generator, a propagator, a sampler."""
    done = afresh(
        """
groqscope.configure()
from opentelemetry.propagate import inject
carrier = {}
with trace.get_tracer("groqscope").start_as_current_span("s"):
    inject(carrier)
metrics.get_meter("m").create_counter("c").add(1)
print(carrier)
groqscope.flush(10)
""",
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.url,
        OTEL_TRACES_EXPORTER="otlp,theirs",
        OTEL_METRICS_EXPORTER="theirs",
        OTEL_PYTHON_ID_GENERATOR="theirs",
        OTEL_PROPAGATORS="theirs,b3",
        OTEL_TRACES_SAMPLER="theirs",
        OTEL_TRACES_SAMPLER_ARG="on",
    )

    assert "{'theirs': 'yes'}" in done.stdout
    assert "theirs s 77" in done.stdout
    assert "their reader" in done.stdout
    assert [span.name for span in endpoint.spans()] == ["s"]
    assert done.stderr.splitlines() == [
        (
            "OTEL_PROPAGATORS=theirs,b3: 'b3' is not installed (there is no entry point of that name in"
            " opentelemetry_propagator); it is not used"
        )
    ]


@pytest.mark.usefixtures("package")
def test_registered_components_that_fail(afresh: Run, endpoint: Collector) -> None:
    """A sampler and exporters that cannot be made or imported are reported, each once, and the rest works."""
    done = afresh(
        "groqscope.configure(); trace.get_tracer('groqscope').start_span('s').end(); print(groqscope.flush(10))",
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.url,
        OTEL_TRACES_EXPORTER="broken,missing,otlp",
        OTEL_TRACES_SAMPLER="broken",
    )

    assert done.stdout == "True\n"
    assert endpoint.span_names() == ["s"]
    assert sorted(line.partition(":")[0] for line in done.stderr.splitlines()) == [
        "OTEL_TRACES_EXPORTER=broken",
        "OTEL_TRACES_EXPORTER=broken,missing,otlp",
        "OTEL_TRACES_SAMPLER=broken",
    ]
    assert done.stderr.count("RuntimeError: out of order") == 2


@pytest.mark.usefixtures("package")
def test_registered_sampler_gets_its_argument(afresh: Run, endpoint: Collector) -> None:
    """The variable's argument is passed to the sampler unchanged."""
    afresh(
        "groqscope.configure(); trace.get_tracer('groqscope').start_span('s').end(); print(groqscope.flush(10))",
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.url,
        OTEL_TRACES_SAMPLER="theirs",
        OTEL_TRACES_SAMPLER_ARG="off",
    )

    assert endpoint.span_names() == []


def test_each_span_is_sent_once_with_the_headers(run: Run, endpoint: Collector) -> None:
    """Logfire's own exporters are not added to ours: there is one request for spans and one for metrics."""
    run(
        """
        groqscope.configure()
        trace.get_tracer("groqscope").start_span("s").end()
        metrics.get_meter("m").create_counter("c").add(1)
        assert os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.url,
        OTEL_EXPORTER_OTLP_HEADERS="x-tenant=shop",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        OTEL_SERVICE_NAME="till",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
    )

    assert sorted(r.path for r in endpoint.requests) == ["/v1/metrics", "/v1/traces"]
    assert {r.headers["x-tenant"] for r in endpoint.requests} == {"shop"}
    assert {r.headers["content-encoding"] for r in endpoint.requests} == {"gzip"}
    assert endpoint.span_names() == ["s"]
    message = next(r.message for r in endpoint.requests if r.path == "/v1/traces")
    resource = {a.key: a.value.string_value for a in message.resource_spans[0].resource.attributes}
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("till", "test")
    assert not (Path(os.environ["GROQSCOPE_HOME"]) / "store").exists()


@pytest.mark.parametrize("protocol", ["http/json", "grpc"])
def test_protocols(run: Run, protocol: str, endpoint: Collector) -> None:
    """JSON goes to the same paths with its own type; gRPC to its own service."""
    code = "groqscope.configure(); trace.get_tracer('groqscope').start_span('s').end(); groqscope.flush()"
    server = grpc.server(ThreadPoolExecutor(1))
    received: list[ExportTraceServiceRequest] = []
    service = _TraceService(received)
    add_TraceServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    url = endpoint.url if protocol == "http/json" else f"http://127.0.0.1:{port}"
    try:
        run(
            code,
            OTEL_EXPORTER_OTLP_ENDPOINT=url,
            OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
            OTEL_METRICS_EXPORTER="none",
        )
    finally:
        server.stop(0)

    if protocol == "grpc":
        names = [s.name for m in received for r in m.resource_spans for c in r.scope_spans for s in c.spans]
    else:
        (request,) = endpoint.requests
        assert (request.path, request.headers["content-type"]) == ("/v1/traces", "application/json")
        names = [s["name"] for r in request.message["resourceSpans"] for c in r["scopeSpans"] for s in c["spans"]]
    assert names == ["s"]


class _TraceService(TraceServiceServicer):
    def __init__(self, received: list[ExportTraceServiceRequest]) -> None:
        self.received = received

    def Export(self, request: ExportTraceServiceRequest, context: object) -> ExportTraceServiceResponse:  # noqa: N802 - gRPC's name
        self.received.append(request)
        return ExportTraceServiceResponse()


def test_spans_of_an_outage_are_sent_by_the_next_process(run: Run, endpoint: Collector) -> None:
    """A process that ends while the endpoint is down leaves its spans on disk; the next one sends them."""
    endpoint.down()
    done = run(
        "groqscope.configure(); trace.get_tracer('groqscope').start_span('first').end()",
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.url,
        OTEL_METRICS_EXPORTER="none",
    )
    assert "does not accept telemetry" in done.stderr
    endpoint.up()
    run(
        "groqscope.configure(); trace.get_tracer('groqscope').start_span('second').end(); assert groqscope.flush()",
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.url,
        OTEL_METRICS_EXPORTER="none",
    )

    assert sorted(endpoint.span_names()) == ["first", "second"]
    assert list((Path(os.environ["GROQSCOPE_HOME"]) / "spool").rglob("*.jsonl")) == []
