"""The configuration file of `OTEL_CONFIG_FILE`."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.collector import Collector
from support.configured import Run, stored_spans, warnings
from support.programs import Done

from groqscope.configuration import ConfigurationError, configure

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
    assert warnings(done) == []
    assert stored_spans() == []


def test_configuration_file_goes_before_arguments(by_file: Callable[..., Done], endpoint: Collector) -> None:
    """Arguments beside a file have no effect, which is logged; invalid ones still raise."""
    done = by_file(_FILE.format(exporter="otlp_http", sink=endpoint.url), "service_name='mine'")

    assert done.stdout.startswith("configured from-file True 0")
    assert len(warnings(done)) == 1
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
    (warning,) = warnings(done)

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
