"""`configure()`: what settings mean, how invalid ones are reported, and that everything that ended is exported."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

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
from support.collector import Collector, collector
from support.programs import Done, Programs
from support.waiting import wait_for

from groqscope.configuration import ConfigurationError, configure, settings
from groqscope.configuration.environment import Environment
from groqscope.configuration.settings import Settings
from groqscope.store import read_records

BASE = "OTEL_EXPORTER_OTLP_"
Run = Callable[..., Done]


@pytest.fixture(name="endpoint")
def _endpoint() -> Iterator[Collector]:
    with collector() as running:
        yield running


def _read(**given: Any) -> Settings:
    arguments: dict[str, Any] = {"endpoint": None, "protocol": None, "headers": None, "directory": None}
    return settings.read(**arguments | given)


@pytest.fixture(name="run")
def _run(programs: Programs) -> Run:
    """Run a program in the present environment and some variables more, and check its exit status."""
    prelude = """
        import groqscope, json, logging, os, signal, sys, threading
        from opentelemetry import metrics, trace
        logging.basicConfig(format="%(levelname)s %(name)s %(message)s", level=logging.INFO)
    """

    def run(code: str, *, status: int = 0, **environment: str) -> Done:
        done = programs.run(textwrap.dedent(prelude) + textwrap.dedent(code), {**os.environ, **environment})
        assert done.status == status, done.stderr
        return done

    return run


def _warnings(done: Done) -> list[str]:
    return [line for line in done.stderr.splitlines() if not line.startswith("INFO httpx")]


def _stored(kind: str = "traces") -> list[dict[str, Any]]:
    directory = Path(os.environ["GROQSCOPE_HOME"]) / "store"
    return [json.loads(line) for path in directory.glob(f"{kind}-*") for line in path.read_bytes().split(b"\n")[:-1]]


def _stored_spans() -> list[dict[str, Any]]:
    return [s for line in _stored() for r in line["resourceSpans"] for c in r["scopeSpans"] for s in c["spans"]]


# What the variables mean


def test_nothing_set_is_the_local_store() -> None:
    """Without an endpoint spans and metrics go to the local store, and log records nowhere."""
    settings = _read()

    assert (settings.traces.exporters, settings.metrics.exporters, settings.logs.exporters) == (
        ("local",),
        ("local",),
        ("none",),
    )
    assert settings.directory == Path(os.environ["GROQSCOPE_HOME"]) / "store"


def test_endpoint_gets_the_path_of_each_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base endpoint is extended; one of a single signal is used as it is."""
    monkeypatch.setenv(f"{BASE}ENDPOINT", "http://collector:4318/")
    monkeypatch.setenv(f"{BASE}METRICS_ENDPOINT", "https://metrics/write")
    settings = _read()

    assert settings.traces.destination is not None
    assert settings.metrics.destination is not None
    assert settings.traces.destination.endpoint == "http://collector:4318/v1/traces"
    assert settings.metrics.destination.endpoint == "https://metrics/write"
    assert settings.directory is None


def test_one_signal_alone_may_have_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an endpoint for spans only, metrics stay local."""
    monkeypatch.setenv(f"{BASE}TRACES_ENDPOINT", "http://collector/x")
    settings = _read()

    assert (settings.traces.exporters, settings.metrics.exporters) == (("otlp",), ("local",))


def test_arguments_go_before_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument replaces its variable; headers are added to those of the variable."""
    monkeypatch.setenv(f"{BASE}TRACES_ENDPOINT", "http://other/x")
    monkeypatch.setenv(f"{BASE}PROTOCOL", "grpc")
    monkeypatch.setenv(f"{BASE}HEADERS", "x-tenant=a%20b,X-Key=1")
    destination = _read(endpoint="http://mine", protocol="http/json", headers={"X-Key": "2"}).traces.destination

    assert destination is not None
    assert (destination.endpoint, destination.protocol) == ("http://mine/v1/traces", "http/json")
    assert destination.headers == {"x-tenant": "a b", "x-key": "2"}
    assert "a b" not in repr(destination)


def test_directory_goes_before_the_endpoint_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A given directory selects the local store."""
    monkeypatch.setenv(f"{BASE}ENDPOINT", "http://collector:4318")
    settings = _read(directory=tmp_path)

    assert (settings.traces.exporters, settings.directory) == (("local",), tmp_path)


def test_empty_variables_are_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable means what an absent one means."""
    for name in (f"{BASE}ENDPOINT", f"{BASE}PROTOCOL", f"{BASE}HEADERS", "OTEL_TRACES_EXPORTER", "OTEL_TRACES_SAMPLER"):
        monkeypatch.setenv(name, " ")

    assert _read().traces.exporters == ("local",)


@pytest.mark.parametrize(
    ("value", "exporters"),
    [("none", ("none",)), ("console", ("console",)), ("otlp,console", ("otlp", "console")), ("OTLP", ("otlp",))],
)
def test_exporter_variable(monkeypatch: pytest.MonkeyPatch, value: str, exporters: tuple[str, ...]) -> None:
    """`OTEL_TRACES_EXPORTER` chooses; `otlp` without an endpoint is the default endpoint of the specification."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", value)
    settings = _read()

    assert settings.traces.exporters == exporters
    if "otlp" in exporters:
        assert settings.traces.destination is not None
        assert settings.traces.destination.endpoint == "http://localhost:4318/v1/traces"


def test_grpc_endpoint_needs_no_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """GRPC takes `host:port`, and no path is added."""
    monkeypatch.setenv(f"{BASE}PROTOCOL", "grpc")
    monkeypatch.setenv(f"{BASE}ENDPOINT", "collector:4317")
    destination = _read().traces.destination

    assert destination is not None
    assert destination.endpoint == "collector:4317"


# What wrong ones get


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (f"{BASE}PROTOCOL", "carrier-pigeon", "expected one of grpc, http/json, http/protobuf"),
        (f"{BASE}TRACES_PROTOCOL", "http", "expected one of"),
        (f"{BASE}ENDPOINT", "http://", "not a URL"),
        (f"{BASE}ENDPOINT", "http://host:port", "not a URL"),
        (f"{BASE}ENDPOINT", "ftp://user:hunter2@host", "not a URL"),
        (f"{BASE}METRICS_ENDPOINT", "ftp://host", "not a URL"),
        (f"{BASE}HEADERS", "a=1,sk-secret", "entry 2 of 2"),
        (f"{BASE}HEADERS", "api-key: sk-secret", "entry 1 of 1"),
        (f"{BASE}HEADERS", "two words=sk-secret", "entry 1 of 1"),
        (f"{BASE}HEADERS", "a=%0d%0ab", "that no HTTP header can have"),
        (f"{BASE}TIMEOUT", "soon", "expected a number above 0"),
        (f"{BASE}TIMEOUT", "nan", "expected a number above 0"),
        (f"{BASE}TIMEOUT", "0", "expected a number above 0"),
        (f"{BASE}TIMEOUT", "10000", "taken as milliseconds: 10 s"),
        (f"{BASE}TRACES_TIMEOUT", "inf", "expected a number above 0"),
        (f"{BASE}COMPRESSION", "zip", "expected one of deflate, gzip, none"),
        (f"{BASE}CERTIFICATE", "/no/such/file", "no such file"),
        (f"{BASE}CERTIFICATE", __file__, "not a PEM certificate"),
        (f"{BASE}CLIENT_CERTIFICATE", __file__, "not a PEM certificate"),
        (f"{BASE}INSECURE", "yes", "expected one of false, true"),
        (f"{BASE}METRICS_TEMPORALITY_PREFERENCE", "sometimes", "expected one of"),
        (f"{BASE}METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "exponential", "expected one of"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "'zipkin' is not installed"),
        ("OTEL_TRACES_EXPORTER", "otlp,zipkin", "'zipkin' is not installed"),
        ("OTEL_METRICS_EXPORTER", "prometheus", "'prometheus' is not installed"),
        ("OTEL_TRACES_EXPORTER", "none,otlp", "none cannot be combined with other exporters"),
        ("OTEL_BSP_SCHEDULE_DELAY", "5s", "expected a number above 0"),
        ("OTEL_BSP_SCHEDULE_DELAY", "1e300", "expected a number above 0"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "-5", "expected a number above 0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "expected a whole number of at least 1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1.5", "expected a whole number of at least 1"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "9999", "larger than the queue, 2048; reduced to that"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "expected a number above 0"),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "1m", "expected a number above 0"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "many", "expected a whole number of at least 0"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "-1", "expected a whole number of at least 0"),
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "x", "expected a whole number of at least 0"),
        ("OTEL_TRACES_SAMPLER", "parentbased_jaeger_remote", "is not installed"),
        ("OTEL_TRACES_SAMPLER_ARG", "10%", "expected a number of at least 0"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5", "expected a ratio from 0 to 1"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "some", "expected one of"),
        ("OTEL_PYTHON_ID_GENERATOR", "xray", "is not installed"),
        ("OTEL_PYTHON_TRACER_PROVIDER", "theirs", "is not installed"),
        ("OTEL_PYTHON_CONTEXT", "theirs", "is not installed"),
        ("OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER", "gcp", "is not installed"),
        ("OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER", "gcp", "is not installed"),
        ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "moon,otel", "'moon' is not installed"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=a,broken", "'broken' is not of the form key=value"),
        ("OTEL_SDK_DISABLED", "yes", "expected one of false, true"),
        ("OTEL_CONFIG_FILE", "/no/such/file", "the other OTEL_* variables are used instead"),
    ],
)
def test_variable_that_cannot_be_used(run: Run, endpoint: Collector, name: str, value: str, words: str) -> None:
    """One warning names the variable and its value, unless it may be a secret; everything else works."""
    environment = {f"{BASE}ENDPOINT": endpoint.url, name: value}
    if name == "OTEL_TRACES_SAMPLER_ARG":
        environment["OTEL_TRACES_SAMPLER"] = "traceidratio"
    if name == f"{BASE}ENDPOINT":
        environment[f"{BASE}TRACES_ENDPOINT"] = f"{endpoint.url}/v1/traces"
    done = run(
        """
        where = groqscope.configure()
        trace.get_tracer("groqscope").start_span("s").end()
        metrics.get_meter("m").create_counter("c").add(1)
        print(len(where.problems), groqscope.flush(10))
        """,
        **environment,
    )
    (warning,) = _warnings(done)

    assert warning.startswith("WARNING groqscope ")
    assert words in warning
    assert name in warning
    assert value.replace("user:hunter2@", "***@") in warning or name.endswith("HEADERS")
    assert "sk-" not in done.stderr
    assert done.stdout.startswith("1 True")
    assert endpoint.span_names() == ["s"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (f"{BASE}COMPRESSION", "GZIP"),
        (f"{BASE}COMPRESSION", " deflate "),
        (f"{BASE}PROTOCOL", "HTTP/JSON"),
        (f"{BASE}METRICS_TEMPORALITY_PREFERENCE", "Delta"),
        (f"{BASE}METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "BASE2_exponential_bucket_histogram"),
        (f"{BASE}HEADERS", '"api-key=abc"'),
        (f"{BASE}CERTIFICATE", " "),
        ("OTEL_TRACES_EXPORTER", "otlp_proto_http"),
        ("OTEL_TRACES_EXPORTER", " OTLP , otlp_proto_http "),
        ("OTEL_LOGS_EXPORTER", "otlp_proto_http"),
        ("OTEL_TRACES_SAMPLER", "ParentBased_Always_On"),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
        ("OTEL_BSP_SCHEDULE_DELAY", "5000.0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", ""),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", '"60000"'),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=caf%C3%A9,url=http://x/?a=b,"),
        ("OTEL_PYTHON_ID_GENERATOR", "random"),
        ("OTEL_SDK_DISABLED", "False"),
        ("OTEL_CONFIG_FILE", ""),
    ],
)
def test_variable_in_another_spelling(run: Run, endpoint: Collector, name: str, value: str) -> None:
    """Case, blanks, quotes, empty values and names of registered exporters are accepted without a warning."""
    done = run(
        """
        groqscope.configure()
        trace.get_tracer("groqscope").start_span("s").end()
        print(groqscope.flush(10))
        """,
        **{f"{BASE}ENDPOINT": endpoint.url, name: value},
    )

    assert (done.stdout, _warnings(done)) == ("True\n", [])
    traces = [request for request in endpoint.requests if request.path == "/v1/traces"]
    assert len(traces) == 1
    if name.endswith("HEADERS"):
        assert traces[0].headers["api-key"] == "abc"


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("{url}/otlp/", "/otlp/v1/traces"),
        ("{url}/otlp?token=1", "/otlp/v1/traces?token=1"),
        ("{bare}", "/v1/traces"),
        ('"{url}"', "/v1/traces"),
    ],
)
def test_base_endpoint(run: Run, endpoint: Collector, value: str, path: str) -> None:
    """A signal's path is inserted before the query; without a scheme HTTP is used, with a warning."""
    given = value.format(url=endpoint.url, bare=endpoint.url.removeprefix("http://"))
    done = run(
        "groqscope.configure(); trace.get_tracer('groqscope').start_span('s').end(); groqscope.flush(10)",
        **{f"{BASE}ENDPOINT": given, "OTEL_METRICS_EXPORTER": "none"},
    )

    assert [request.path for request in endpoint.requests] == [path]
    assert ("taken as http://" in done.stderr) == ("{bare}" in value)


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


def test_no_home_directory(run: Run, endpoint: Collector) -> None:
    """Without a home directory (as in a cloud function) an endpoint works; without an endpoint there is one warning."""
    code = """
        from pathlib import Path
        def none():
            raise RuntimeError("Could not determine home directory.")
        Path.home = none
        print(groqscope.configure().status)
        trace.get_tracer("groqscope").start_span("s").end()
        print(groqscope.flush(10))
    """
    nowhere = {"GROQSCOPE_HOME": "", "XDG_STATE_HOME": "", "LOCALAPPDATA": ""}
    sent = run(code, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.url, **nowhere)
    kept = run(code, **nowhere)

    assert (sent.stdout, _warnings(sent)) == ("configured\nTrue\n", [])
    assert endpoint.span_names() == ["s"]
    assert kept.stdout == "configured\nTrue\n"
    assert kept.stderr.count("\n") == 1
    assert "no home directory" in kept.stderr


def test_chosen_home_that_cannot_be_written_is_a_warning(run: Run, tmp_path: Path) -> None:
    """`GROQSCOPE_HOME` is a variable like the others: the program runs."""
    (tmp_path / "file").touch()
    done = run(
        "print(groqscope.configure().status); trace.get_tracer('groqscope').start_span('s').end(); groqscope.flush()",
        GROQSCOPE_HOME=str(tmp_path / "file"),
    )

    assert done.stdout == "configured\n"
    assert done.stderr.count("cannot write to") == 1


def test_environment_is_left_as_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is hidden from the SDK during set-up is there again afterwards."""
    for name, value in {"OTEL_BSP_SCHEDULE_DELAY": "5s", "OTEL_TRACES_SAMPLER": "coin", f"{BASE}HEADERS": "x"}.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    environment = Environment()
    environment.milliseconds("OTEL_BSP_SCHEDULE_DELAY")
    with environment.presented(hidden=[f"{BASE}HEADERS"]):
        inside = dict(os.environ)

    assert dict(os.environ) == before
    assert inside.keys() == before.keys() - {"OTEL_BSP_SCHEDULE_DELAY", f"{BASE}HEADERS"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"protocol": "smtp"}, "protocol='smtp': expected one of"),
        ({"endpoint": "nowhere"}, "endpoint=nowhere: not a URL"),
        ({"endpoint": "http://a", "directory": "b"}, "give one of them"),
        ({"headers": {"authorization": "schlüssel"}}, r"^headers: one \(not shown.*\) is not valid in HTTP"),
        ({"headers": {"a b": "c"}}, "is not valid in HTTP"),
    ],
)
def test_invalid_argument(given: dict[str, Any], words: str) -> None:
    """An invalid argument is reported as an argument, not as a variable."""
    with pytest.raises(ConfigurationError, match=words):
        configure(**{"endpoint": "http://localhost", **given})


def test_directory_that_cannot_be_one(tmp_path: Path) -> None:
    """If a file is in the place of the store, the error names it."""
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match=r"file/store: cannot write the local store there: "):
        configure(directory=tmp_path / "file" / "store")


def test_grpc_without_its_exporter_names_the_extra(run: Run) -> None:
    """Without the gRPC exporter the error says what to install."""
    done = run(
        """
        sys.modules["opentelemetry.exporter.otlp.proto.grpc.trace_exporter"] = None
        try:
            groqscope.configure(endpoint="http://127.0.0.1:1", protocol="grpc")
        except ValueError as error:
            print(error)
        """
    )

    assert "pip install 'groqscope[grpc]'" in done.stdout
    assert "protocol='grpc'" in done.stdout


def test_default_directory_that_cannot_be_written_is_a_warning(run: Run, tmp_path: Path) -> None:
    """On a read-only machine that nobody configured the program runs, and one warning says what is lost."""
    (tmp_path / "state").touch()
    done = run(
        "groqscope.configure(); trace.get_tracer('groqscope').start_span('s').end(); [groqscope.flush() for _ in '12']",
        GROQSCOPE_HOME="",
        XDG_STATE_HOME=str(tmp_path / "state"),
    )

    assert done.stderr.count("cannot write to") == 1
    assert "Set GROQSCOPE_HOME" in done.stderr


_FILE = """
file_format: "1.0"
resource:
  attributes:
    - {{name: service.name, value: from-file}}
tracer_provider:
  processors:
    - batch:
        exporter:
          {exporter}: {{endpoint: "{sink}/file/v1/traces"}}
"""


@pytest.fixture(name="by_file")
def _by_file(run: Run, endpoint: Collector, tmp_path: Path) -> Callable[..., Done]:
    """Configure a program by a file that names the endpoint, beside variables that name another."""

    def by_file(text: str, arguments: str = "") -> Done:
        (tmp_path / "otel.yaml").write_text(text)
        return run(
            f"""
            where = groqscope.configure({arguments})
            print(where.status, where.service_name, where.config_file is not None, len(where.problems))
            trace.get_tracer("groqscope").start_span("s").end()
            print(groqscope.flush(10), groqscope.shutdown(), groqscope.shutdown())
            """,
            OTEL_CONFIG_FILE=str(tmp_path / "otel.yaml"),
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.url,
            OTEL_TRACES_SAMPLER="always_off",
        )

    return by_file


def test_configuration_file(by_file: Callable[..., Done], endpoint: Collector) -> None:
    """`OTEL_CONFIG_FILE` alone decides; all other variables are ignored."""
    done = by_file(_FILE.format(exporter="otlp_http", sink=endpoint.url))

    assert done.stdout == "configured from-file True 0\nTrue True True\n"
    assert [request.path for request in endpoint.requests] == ["/file/v1/traces"]
    assert _warnings(done) == []
    assert _stored_spans() == []


def test_configuration_file_goes_before_arguments(by_file: Callable[..., Done], endpoint: Collector) -> None:
    """Arguments beside a file have no effect, which is logged; invalid ones still raise."""
    done = by_file(_FILE.format(exporter="otlp_http", sink=endpoint.url), "service_name='mine'")

    assert done.stdout.startswith("configured from-file True 0")
    assert len(_warnings(done)) == 1
    assert "these settings have no effect" in done.stderr
    with pytest.raises(ConfigurationError, match="protocol='smtp'"):
        configure(protocol="smtp")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (_FILE.format(exporter="otlp_carrier_pigeon", sink="http://x"), "otlp_carrier_pigeon"),
        (_FILE.format(exporter="otlp_http", sink="${env:SINK}"), "write ${NAME}"),
        ('file_format: "9.0"\n', "9.0"),
        ("file_format: [", "otel.yaml"),
    ],
)
def test_configuration_file_that_cannot_be_used(
    by_file: Callable[..., Done], endpoint: Collector, text: str, words: str
) -> None:
    """If the installed version cannot use it, one sentence says so, and the variables are used."""
    done = by_file(text)
    (warning,) = _warnings(done)

    assert warning.startswith("WARNING groqscope OTEL_CONFIG_FILE=")
    assert warning.endswith("the other OTEL_* variables are used instead")
    assert words in warning
    assert done.stdout.startswith("configured unknown_service:python False 1\n")
    assert {request.path for request in endpoint.requests} <= {"/v1/metrics"}


def test_configuration_file_that_disables(by_file: Callable[..., Done]) -> None:
    """A file may switch OpenTelemetry off."""
    assert by_file('file_format: "1.0"\ndisabled: true\n').stdout.startswith("disabled None False 0")


def test_configuration_file_without_its_package(run: Run, endpoint: Collector) -> None:
    """Without the package for it, the warning names what to install."""
    done = run(
        """
        sys.modules["opentelemetry.configuration"] = None
        groqscope.configure()
        trace.get_tracer("groqscope").start_span("s").end()
        """,
        OTEL_CONFIG_FILE="otel.yaml",
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.url,
    )

    assert "pip install opentelemetry-configuration" in done.stderr
    assert endpoint.span_names() == ["s"]


# What a configured process does


def test_spans_and_metrics_reach_the_local_store_at_exit(run: Run) -> None:
    """Without an endpoint, spans, explicit buckets and exemplars are on disk when the process has ended."""
    done = run(
        """
        print(groqscope.configure(service_name="shop"))
        with trace.get_tracer("groqscope").start_as_current_span("work"):
            metrics.get_meter("m").create_histogram("h", explicit_bucket_boundaries_advisory=[0.5, 2.5]).record(1)
        """
    )

    assert "service_name='shop'" in done.stdout
    assert [s["name"] for s in _stored_spans()] == ["work"]
    (line,) = _stored("metrics")
    (point,) = line["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["histogram"]["dataPoints"]
    assert point["explicitBounds"] == [0.5, 2.5]
    assert point["exemplars"][0]["traceId"] == _stored_spans()[0]["traceId"]
    names = {a["key"]: a["value"] for a in line["resourceMetrics"][0]["resource"]["attributes"]}
    assert names["service.name"] == {"stringValue": "shop"}
    assert done.stderr == ""


_END = {
    "the end of the program": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "an unhandled exception": ("raise KeyError('x')", 1),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM); threading.Event().wait(20)", -signal.SIGTERM),
}


@pytest.mark.parametrize("way", _END)
def test_everything_ended_is_exported_whatever_the_end(run: Run, way: str, endpoint: Collector) -> None:
    """However a process ends (short of SIGKILL), what had ended is exported; its exit status is unchanged."""
    code, status = _END[way]
    run(
        f"groqscope.configure()\ntrace.get_tracer('groqscope').start_span('done').end()\n{code}",
        status=status,
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.url,
    )

    assert endpoint.span_names() == ["done"]


def test_flush_without_time_raises_nothing(run: Run) -> None:
    """A flush that does not finish in its time returns False, and the rest is exported at the end."""
    done = run(
        """
        groqscope.configure()
        metrics.get_meter("m").create_counter("c").add(1)
        trace.get_tracer("groqscope").start_span("done").end()
        print(groqscope.flush(0))
        """
    )

    assert done.stdout == "False\n"
    assert [s["name"] for s in _stored_spans()] == ["done"]


def test_sigterm_runs_what_was_registered_first(run: Run) -> None:
    """Open requests are ended, by callbacks that were registered for that, before the flush."""
    run(
        """
        groqscope.configure()
        span = trace.get_tracer("groqscope").start_span("open")
        from groqscope._termination import before_termination
        before_termination(span.end)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(20)
        """,
        status=-signal.SIGTERM,
    )

    assert [s["name"] for s in _stored_spans()] == ["open"]


def test_requests_that_are_open_at_sigterm_are_exported_as_abandoned(run: Run) -> None:
    """After SIGTERM in the middle of a stream its span is in the store, ended and marked as abandoned."""
    run(
        """
        from groq import Groq
        from groqscope.simulator import Simulator
        with Simulator() as simulator:
            groqscope.configure()
            groqscope.instrument()
            client = Groq(api_key="x", base_url=simulator.base_url)
            stream = client.chat.completions.create(
                model="llama-3.3-70b-versatile", stream=True, messages=[{"role": "user", "content": "hi"}])
            next(iter(stream))
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(20)
        """,
        status=-signal.SIGTERM,
    )

    (record,) = read_records([Path(os.environ["GROQSCOPE_HOME"]) / "store"])
    assert (record.outcome, record.chunks) == ("abandoned", 1)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_sigkill_loses_at_most_what_was_not_yet_written() -> None:
    """Ended spans are written while the process lives, and are there after `kill -9`."""
    code = """
        import groqscope, threading
        from opentelemetry import trace
        groqscope.configure()
        tracer = trace.get_tracer("groqscope")
        for number in range(20):
            tracer.start_span(str(number)).end()
        print("ended", flush=True)
        threading.Event().wait(60)
    """
    environment = {**os.environ, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ended\n"
        wait_for(lambda: len(_stored_spans()) == 20)
        process.kill()

    assert sorted(int(s["name"]) for s in _stored_spans()) == list(range(20))
    assert process.returncode == -signal.SIGKILL


def test_sigterm_handler_of_the_application_stays(run: Run) -> None:
    """If the application handles SIGTERM, or `configure()` runs in another thread, no handler is installed."""
    done = run(
        """
        signal.signal(signal.SIGTERM, handler := lambda *_: None)
        groqscope.configure()
        print(signal.getsignal(signal.SIGTERM) is handler)
        groqscope.shutdown()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        thread = threading.Thread(target=groqscope.configure)
        thread.start()
        thread.join()
        print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
        """
    )

    assert done.stdout.split() == ["True", "True"]


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX")
@pytest.mark.parametrize("remote", [False, True])
def test_children_after_a_fork_export_their_own(run: Run, *, remote: bool, endpoint: Collector) -> None:
    """Each process of a prefork server exports what it recorded, once, and nothing of its parent's."""
    run(
        """
        groqscope.configure()
        tracer = trace.get_tracer("groqscope")
        tracer.start_span("before").end()
        for number in range(3):
            if os.fork() == 0:
                tracer.start_span(f"child {number}").end()
                sys.exit()
        for _ in range(3):
            os.wait()
        tracer.start_span("after").end()
        """,
        **({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.url} if remote else {}),
    )

    names = endpoint.span_names() if remote else [s["name"] for s in _stored_spans()]
    assert sorted(names) == ["after", "before", "child 0", "child 1", "child 2"]


def test_configure_twice_is_safe(run: Run, endpoint: Collector) -> None:
    """The second call changes nothing; if it brings settings, one warning says so."""
    done = run(
        f"""
        first = groqscope.configure()
        assert groqscope.configure() is first
        assert groqscope.configure(endpoint="{endpoint.url}") is first
        assert groqscope.configure(endpoint="{endpoint.url}") is first
        trace.get_tracer("groqscope").start_span("s").end()
        """
    )

    assert [s["name"] for s in _stored_spans()] == ["s"]
    assert done.stderr.count("configured already") == 1
    assert endpoint.requests == []


def test_configure_again_after_shutdown(run: Run, endpoint: Collector) -> None:
    """After `shutdown()` another configuration takes over, and what the first had is exported."""
    run(
        f"""
        tracer = trace.get_tracer("groqscope")
        groqscope.configure()
        tracer.start_span("first").end()
        assert groqscope.shutdown()
        groqscope.configure(endpoint="{endpoint.url}")
        tracer.start_span("second").end()
        """
    )

    assert [s["name"] for s in _stored_spans()] == ["first"]
    assert endpoint.span_names() == ["second"]


_PROVIDERS = {
    "the SDK's": """
        from opentelemetry.sdk.trace import TracerProvider
        trace.set_tracer_provider(TracerProvider())
    """,
    "logfire's": """
        import logfire
        logfire.configure(send_to_logfire=False, console=False)
    """,
}


@pytest.mark.parametrize("whose", _PROVIDERS)
def test_providers_of_others_stay(run: Run, whose: str) -> None:
    """If providers are already set, nothing is added, which is logged once."""
    done = run(
        textwrap.dedent(_PROVIDERS[whose])
        + textwrap.dedent("""
        before = trace.get_tracer_provider()
        print(groqscope.configure().status, groqscope.configure().status)
        assert trace.get_tracer_provider() is before
        trace.get_tracer("groqscope").start_span("s").end()
        """)
    )

    assert done.stdout.split() == ["existing", "existing"]
    assert done.stderr.count("providers are set already") == 1
    assert "groqscope.run_metrics()" in done.stderr
    assert not (Path(os.environ["GROQSCOPE_HOME"]) / "store").exists()


def test_sdk_disabled(run: Run) -> None:
    """`OTEL_SDK_DISABLED=true` sets nothing up."""
    done = run(
        "print(groqscope.configure().status); trace.get_tracer('groqscope').start_span('s').end()",
        OTEL_SDK_DISABLED="true",
    )

    assert done.stdout.split() == ["disabled"]
    assert not (Path(os.environ["GROQSCOPE_HOME"]) / "store").exists()


@pytest.mark.parametrize(
    ("sampler", "argument", "kept"),
    [("always_off", "", 0), ("traceidratio", "0", 0), ("parentbased_traceidratio", "1.0", 1), ("always_on", "0", 1)],
)
def test_sampler_of_the_environment(run: Run, sampler: str, argument: str, kept: int) -> None:
    """`OTEL_TRACES_SAMPLER` and its argument mean what they mean for the SDK, in spite of Logfire."""
    run(
        "groqscope.configure(); trace.get_tracer('groqscope').start_span('s').end()",
        OTEL_TRACES_SAMPLER=sampler,
        OTEL_TRACES_SAMPLER_ARG=argument,
    )

    assert len(_stored_spans()) == kept


def test_scrubber_leaves_our_fixed_forms_alone(run: Run) -> None:
    """Attributes that cannot hold a secret stay; others are scrubbed, as the user's callback says."""
    run(
        """
        import logfire
        groqscope.configure(scrubbing=logfire.ScrubbingOptions(
            callback=lambda match: match.value if match.path[-1] == "mine" else None))
        span = trace.get_tracer("groqscope").start_span("s", attributes={
            "groq.request.id": "req_auth123", "groq.stream.error": "bad password x",
            "mine": "a password x", "other": "a password x"})
        span.add_event("e", {"gen_ai.tool.call.id": "call_auth", "note": "my secret is"})
        span.end()
        """
    )

    (span,) = _stored_spans()
    values = {a["key"]: a["value"].get("stringValue") for a in span["attributes"] + span["events"][0]["attributes"]}
    assert values["groq.request.id"] == "req_auth123"
    assert values["gen_ai.tool.call.id"] == "call_auth"
    assert values["mine"] == "a password x"
    assert [values[n] for n in ("other", "groq.stream.error", "note")] == [
        "[Scrubbed due to 'password']",
        "[Scrubbed due to 'password']",
        "[Scrubbed due to 'secret']",
    ]


def test_nothing_goes_to_logfires_cloud_without_a_token(run: Run) -> None:
    """Without a token logfire sends nothing, also when the environment says to send."""
    code = """
        import socket
        socket.socket.connect = lambda *_: os._exit(9)
        print(groqscope.configure().logfire)
        trace.get_tracer("groqscope").start_span("s").end()
        groqscope.flush()
    """

    assert run(code, LOGFIRE_SEND_TO_LOGFIRE="true").stdout.split() == ["False"]
