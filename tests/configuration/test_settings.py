"""Arguments and variables: which of them decides, and what an invalid argument gets."""

import os
from pathlib import Path
from typing import Any

import pytest
from support.collector import Collector
from support.configured import BASE, Run, warnings

from groqscope.configuration import ConfigurationError, configure, settings
from groqscope.configuration.settings import Settings


def read(**given: Any) -> Settings:
    arguments: dict[str, Any] = {"endpoint": None, "protocol": None, "headers": None, "directory": None}
    return settings.read(**arguments | given)


def test_nothing_set_is_the_local_store() -> None:
    """Without an endpoint spans and metrics go to the local store, and log records nowhere."""
    settings = read()

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
    settings = read()

    assert settings.traces.destination is not None
    assert settings.metrics.destination is not None
    assert settings.traces.destination.endpoint == "http://collector:4318/v1/traces"
    assert settings.metrics.destination.endpoint == "https://metrics/write"
    assert settings.directory is None


def test_one_signal_alone_may_have_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an endpoint for spans only, metrics stay local."""
    monkeypatch.setenv(f"{BASE}TRACES_ENDPOINT", "http://collector/x")
    settings = read()

    assert (settings.traces.exporters, settings.metrics.exporters) == (("otlp",), ("local",))


def test_arguments_go_before_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument replaces its variable; headers are added to those of the variable."""
    monkeypatch.setenv(f"{BASE}TRACES_ENDPOINT", "http://other/x")
    monkeypatch.setenv(f"{BASE}PROTOCOL", "grpc")
    monkeypatch.setenv(f"{BASE}HEADERS", "x-tenant=a%20b,X-Key=1")
    destination = read(endpoint="http://mine", protocol="http/json", headers={"X-Key": "2"}).traces.destination

    assert destination is not None
    assert (destination.endpoint, destination.protocol) == ("http://mine/v1/traces", "http/json")
    assert destination.headers == {"x-tenant": "a b", "x-key": "2"}
    assert "a b" not in repr(destination)


def test_directory_goes_before_the_endpoint_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A given directory selects the local store."""
    monkeypatch.setenv(f"{BASE}ENDPOINT", "http://collector:4318")
    settings = read(directory=tmp_path)

    assert (settings.traces.exporters, settings.directory) == (("local",), tmp_path)


def test_empty_variables_are_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable means what an absent one means."""
    for name in (f"{BASE}ENDPOINT", f"{BASE}PROTOCOL", f"{BASE}HEADERS", "OTEL_TRACES_EXPORTER", "OTEL_TRACES_SAMPLER"):
        monkeypatch.setenv(name, " ")

    assert read().traces.exporters == ("local",)


@pytest.mark.parametrize(
    ("value", "exporters"),
    [("none", ("none",)), ("console", ("console",)), ("otlp,console", ("otlp", "console")), ("OTLP", ("otlp",))],
)
def test_exporter_variable(monkeypatch: pytest.MonkeyPatch, value: str, exporters: tuple[str, ...]) -> None:
    """`OTEL_TRACES_EXPORTER` chooses; `otlp` without an endpoint is the default endpoint of the specification."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", value)
    settings = read()

    assert settings.traces.exporters == exporters
    if "otlp" in exporters:
        assert settings.traces.destination is not None
        assert settings.traces.destination.endpoint == "http://localhost:4318/v1/traces"


def test_grpc_endpoint_needs_no_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """GRPC takes `host:port`, and no path is added."""
    monkeypatch.setenv(f"{BASE}PROTOCOL", "grpc")
    monkeypatch.setenv(f"{BASE}ENDPOINT", "collector:4317")
    destination = read().traces.destination

    assert destination is not None
    assert destination.endpoint == "collector:4317"


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

    assert (sent.stdout, warnings(sent)) == ("configured\nTrue\n", [])
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
