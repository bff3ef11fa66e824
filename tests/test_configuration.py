"""`configure()`: what the settings mean, what wrong ones get, and that everything ended is exported."""

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

from groqscope.configuration import ConfigurationError, configure, settings
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


@pytest.fixture(name="run", scope="module")
def _run() -> Iterator[Run]:
    """Run a program, with the environment as it is now and some variables more, and expect how it ends."""
    prelude = """
        import groqscope, json, logging, os, signal, sys, threading
        from opentelemetry import metrics, trace
        logging.basicConfig(format="%(levelname)s %(name)s %(message)s", level=logging.INFO)
    """
    with Programs() as programs:

        def run(code: str, *, status: int = 0, **environment: str) -> Done:
            done = programs.run(textwrap.dedent(prelude) + textwrap.dedent(code), {**os.environ, **environment})
            assert done.status == status, done.stderr
            return done

        yield run


def _stored(kind: str = "traces") -> list[dict[str, Any]]:
    directory = Path(os.environ["GROQSCOPE_HOME"]) / "store"
    return [json.loads(line) for path in directory.glob(f"{kind}-*") for line in path.read_bytes().splitlines()]


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
    """An argument replaces its variable; headers are added to."""
    monkeypatch.setenv(f"{BASE}TRACES_ENDPOINT", "http://other/x")
    monkeypatch.setenv(f"{BASE}PROTOCOL", "grpc")
    monkeypatch.setenv(f"{BASE}HEADERS", "x-tenant=a%20b,X-Key=1")
    destination = _read(endpoint="http://mine", protocol="http/json", headers={"X-Key": "2"}).traces.destination

    assert destination is not None
    assert (destination.endpoint, destination.protocol) == ("http://mine/v1/traces", "http/json")
    assert destination.headers == {"x-tenant": "a b", "x-key": "2"}
    assert "a b" not in repr(destination)


def test_directory_goes_before_the_endpoint_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who names a directory wants the local store."""
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
        (f"{BASE}ENDPOINT", "collector:4318", "not a URL of an OTLP endpoint"),
        (f"{BASE}ENDPOINT", "http://", "not a URL"),
        (f"{BASE}ENDPOINT", "http://host:port", "not a URL"),
        (f"{BASE}METRICS_ENDPOINT", "ftp://host", "not a URL"),
        (f"{BASE}HEADERS", "a=1,nonsense", "entry 2 of 2"),
        (f"{BASE}HEADERS", "two words=1", "entry 1 of 1"),
        (f"{BASE}HEADERS", "a=%0d%0ab", "URL-encode"),
        (f"{BASE}TIMEOUT", "soon", "expected a number above 0"),
        (f"{BASE}TIMEOUT", "nan", "expected a number above 0"),
        (f"{BASE}COMPRESSION", "zip", "expected one of deflate, gzip, none"),
        (f"{BASE}CERTIFICATE", "/no/such/file", "no such file"),
        (f"{BASE}METRICS_TEMPORALITY_PREFERENCE", "sometimes", "expected one of"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "expected otlp, console or none, not 'zipkin'"),
        ("OTEL_TRACES_EXPORTER", "none,otlp", "none goes with nothing else"),
        ("OTEL_BSP_SCHEDULE_DELAY", "often", "expected a number above 0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "expected a whole number of at least 1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1.5", "expected a whole number of at least 1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100", "a batch larger than the queue"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-1", "expected a number above 0"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "many", "expected a whole number of at least 0"),
        ("OTEL_TRACES_SAMPLER", "coin", "expected one of"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "some", "expected one of"),
    ],
)
def test_wrong_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    """A setting that cannot be used is one error, at `configure()`, that names the variable and what is expected."""
    monkeypatch.setenv(f"{BASE}ENDPOINT", "http://localhost:4318")
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError) as caught:
        configure()
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    if not name.endswith("HEADERS"):
        assert value in message
    assert name in message or "BATCH_SIZE" in message


def test_header_that_is_wrong_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A malformed list of headers may be a pasted key: the message does not show it."""
    monkeypatch.setenv(f"{BASE}ENDPOINT", "http://localhost:4318")
    monkeypatch.setenv(f"{BASE}HEADERS", "sk-secret")

    with pytest.raises(ConfigurationError) as caught:
        configure()
    assert "secret'" not in str(caught.value)
    assert "sk-" not in str(caught.value)


def test_password_in_a_url_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a message show the password of a URL."""
    monkeypatch.setenv(f"{BASE}ENDPOINT", "ftp://user:hunter2@host")

    with pytest.raises(ConfigurationError) as caught:
        configure()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"protocol": "smtp"}, "protocol='smtp': expected one of"),
        ({"endpoint": "nowhere"}, "endpoint=nowhere: not a URL"),
        ({"endpoint": "http://a", "directory": "b"}, "give one of them"),
        ({"headers": {"authorization": "schlüssel"}}, r"^headers: one \(not shown.*\) that HTTP cannot carry"),
        ({"headers": {"a b": "c"}}, "that HTTP cannot carry"),
    ],
)
def test_wrong_argument(given: dict[str, Any], words: str) -> None:
    """A wrong argument is named as an argument."""
    with pytest.raises(ConfigurationError, match=words):
        configure(**{"endpoint": "http://localhost"} | given)


def test_directory_that_cannot_be_one(tmp_path: Path) -> None:
    """A store where a file stands is refused by name."""
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match=r"file/store: the local store cannot be written there: "):
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
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=grpc" in done.stdout


def test_default_directory_that_cannot_be_written_is_a_warning(run: Run, tmp_path: Path) -> None:
    """On a read-only machine that nobody configured, the program runs; one warning says what is lost."""
    (tmp_path / "state").touch()
    done = run(
        "groqscope.configure(); trace.get_tracer('t').start_span('s').end(); groqscope.flush(); groqscope.flush()",
        GROQSCOPE_HOME="",
        XDG_STATE_HOME=str(tmp_path / "state"),
    )

    assert done.stderr.count("cannot write to") == 1
    assert "Set GROQSCOPE_HOME" in done.stderr


# What a configured process does


def test_spans_and_metrics_reach_the_local_store_at_exit(run: Run) -> None:
    """Without an endpoint, spans, explicit buckets and exemplars are on disk when the process has ended."""
    done = run(
        """
        print(groqscope.configure(service_name="shop"))
        with trace.get_tracer("t").start_as_current_span("work"):
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
    """However the process ends (short of SIGKILL), what had ended is sent; the exit status is that of the end."""
    code, status = _END[way]
    run(
        f"groqscope.configure()\ntrace.get_tracer('t').start_span('done').end()\n{code}",
        status=status,
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.url,
    )

    assert endpoint.span_names() == ["done"]


def test_flush_without_time_raises_nothing(run: Run) -> None:
    """A flush that cannot do its work in its time says so, and what it did not do is done at the end."""
    done = run(
        """
        groqscope.configure()
        metrics.get_meter("m").create_counter("c").add(1)
        trace.get_tracer("t").start_span("done").end()
        print(groqscope.flush(0))
        """
    )

    assert done.stdout == "False\n"
    assert [s["name"] for s in _stored_spans()] == ["done"]


def test_sigterm_runs_what_was_registered_first(run: Run) -> None:
    """Open requests are ended before the flush, by those who registered for it."""
    run(
        """
        groqscope.configure()
        span = trace.get_tracer("t").start_span("open")
        groqscope.configuration.before_termination(span.end)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(20)
        """,
        status=-signal.SIGTERM,
    )

    assert [s["name"] for s in _stored_spans()] == ["open"]


def test_requests_that_are_open_at_sigterm_are_exported_as_abandoned(run: Run) -> None:
    """SIGTERM in the middle of a stream: its span is in the store, ended and marked."""
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
def test_sigkill_loses_at_most_the_last_flush_interval() -> None:
    """What ended longer ago than the batch processor's delay is on disk when the process is killed."""
    code = """
        import groqscope, sys, time
        from opentelemetry import trace
        groqscope.configure()
        tracer = trace.get_tracer("t")
        for number in range(10_000):
            tracer.start_span(str(number)).end()
            print(number, time.monotonic(), flush=True)
            time.sleep(0.005)
    """
    environment = {**os.environ, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    seen: list[tuple[int, float]] = []
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            number, ended = line.split()
            seen.append((int(number), float(ended)))
            if len(seen) == 200:
                break
        process.kill()

    stored = {int(s["name"]) for s in _stored_spans()}
    newest = seen[-1][1]
    # The interval, and as much again for writing on a busy machine.
    assert {number for number, ended in seen if newest - ended > 0.5} <= stored
    assert len(stored) < 10_000


def test_sigterm_handler_of_the_application_stays(run: Run) -> None:
    """Where the application handles SIGTERM, or `configure()` runs in another thread, nothing is installed."""
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
    """Logfire's own exporters are not set beside ours: one request for spans, one for metrics, with our headers."""
    run(
        """
        groqscope.configure()
        trace.get_tracer("t").start_span("s").end()
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
    code = "groqscope.configure(); trace.get_tracer('t').start_span('s').end(); groqscope.flush()"
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
    """A process that ends while the endpoint is away leaves its spans on disk; the next one sends them."""
    endpoint.down()
    done = run(
        "groqscope.configure(); trace.get_tracer('t').start_span('first').end()",
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.url,
        OTEL_METRICS_EXPORTER="none",
    )
    assert "does not take telemetry" in done.stderr
    endpoint.up()
    run(
        "groqscope.configure(); trace.get_tracer('t').start_span('second').end(); assert groqscope.flush()",
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
        tracer = trace.get_tracer("t")
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
    """The second call changes nothing; one that brings settings says so, once."""
    done = run(
        f"""
        first = groqscope.configure()
        assert groqscope.configure() is first
        assert groqscope.configure(endpoint="{endpoint.url}") is first
        assert groqscope.configure(endpoint="{endpoint.url}") is first
        trace.get_tracer("t").start_span("s").end()
        """
    )

    assert [s["name"] for s in _stored_spans()] == ["s"]
    assert done.stderr.count("configured already") == 1
    assert endpoint.requests == []


def test_configure_again_after_shutdown(run: Run, endpoint: Collector) -> None:
    """After `shutdown()` another configuration takes over, and what the first had is exported."""
    run(
        f"""
        tracer = trace.get_tracer("t")
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
    """Where providers are set already nothing is added, and that is said once."""
    done = run(
        textwrap.dedent(_PROVIDERS[whose])
        + textwrap.dedent("""
        before = trace.get_tracer_provider()
        print(groqscope.configure().status, groqscope.configure().status)
        assert trace.get_tracer_provider() is before
        trace.get_tracer("t").start_span("s").end()
        """)
    )

    assert done.stdout.split() == ["existing", "existing"]
    assert done.stderr.count("providers are set already") == 1
    assert not (Path(os.environ["GROQSCOPE_HOME"]) / "store").exists()


def test_sdk_disabled(run: Run) -> None:
    """`OTEL_SDK_DISABLED=true` sets nothing up."""
    done = run(
        "print(groqscope.configure().status); trace.get_tracer('t').start_span('s').end()", OTEL_SDK_DISABLED="true"
    )

    assert done.stdout.split() == ["disabled"]
    assert not (Path(os.environ["GROQSCOPE_HOME"]) / "store").exists()


@pytest.mark.parametrize(
    ("sampler", "argument", "kept"),
    [("always_off", "", 0), ("traceidratio", "0", 0), ("parentbased_traceidratio", "1.0", 1), ("always_on", "0", 1)],
)
def test_sampler_of_the_environment(run: Run, sampler: str, argument: str, kept: int) -> None:
    """`OTEL_TRACES_SAMPLER` and its argument are the SDK's, whatever logfire makes of the argument."""
    run(
        "groqscope.configure(); trace.get_tracer('t').start_span('s').end()",
        OTEL_TRACES_SAMPLER=sampler,
        OTEL_TRACES_SAMPLER_ARG=argument,
    )

    assert len(_stored_spans()) == kept


def test_scrubber_leaves_our_fixed_forms_alone(run: Run) -> None:
    """Attributes of ours that cannot hold a secret stay; others are scrubbed, as the user's callback says."""
    run(
        """
        import logfire
        groqscope.configure(scrubbing=logfire.ScrubbingOptions(
            callback=lambda match: match.value if match.path[-1] == "mine" else None))
        span = trace.get_tracer("t").start_span("s", attributes={
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
        trace.get_tracer("t").start_span("s").end()
        groqscope.flush()
    """

    assert run(code, LOGFIRE_SEND_TO_LOGFIRE="true").stdout.split() == ["False"]
