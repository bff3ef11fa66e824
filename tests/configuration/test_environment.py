"""Variables as people spell them, and those that cannot be used."""

import os

import pytest
from support.collector import Collector
from support.configured import BASE, Run, warnings

from groqscope.configuration.environment import Environment


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
    (warning,) = warnings(done)

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

    assert (done.stdout, warnings(done)) == ("True\n", [])
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
