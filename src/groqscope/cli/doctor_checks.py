"""The checks of `groqscope doctor`: packages, instrumentation, configuration, a test request and a test span."""

import os
import re
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from groqscope.configuration import Configuration

State = Literal["ok", "broken", "note", "unknown"]
"""`note`: not a problem, but worth knowing."""

PACKAGES: Final = ("groq", "httpx", "opentelemetry-api", "opentelemetry-sdk", "logfire", "genai-prices")
EXTRAS: Final = {
    "pydantic-ai": ("pydantic-ai-slim",),
    "simulator": ("starlette", "uvicorn"),
    "aiohttp": ("httpx-aiohttp",),
    "grpc": ("opentelemetry-exporter-otlp-proto-grpc",),
}
OTHERS: Final = ("opentelemetry-instrumentation-groq", "openinference-instrumentation-groq", "openlit", "langfuse")
"""Packages that can observe Groq's SDK too."""
_VARIABLES: Final = ("OTEL_", "GROQ", "LOGFIRE_")
_SECRET: Final = ("KEY", "TOKEN", "HEADERS", "SECRET", "PASSWORD")
_HARMLESS: Final = frozenset({"OTEL_EXPORTER_OTLP_CLIENT_KEY"})
"""Variables that contain the path of a file."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    part: Literal["instrumentation", "telemetry", "test"]
    name: str
    state: State
    detail: str
    remedy: str | None = None


def versions(names: tuple[str, ...]) -> dict[str, str | None]:
    """Return the installed version of each package; `None` when it is not installed."""
    return {name: _version(name) for name in names}


def extras() -> dict[str, str | None]:
    """Return the versions of the packages of each extra of groqscope; `None` when one is missing."""
    found = {extra: versions(packages) for extra, packages in EXTRAS.items()}
    return {
        extra: None if None in packages.values() else ", ".join(f"{name} {v}" for name, v in packages.items())
        for extra, packages in found.items()
    }


def variables() -> dict[str, str]:
    """Return the relevant environment variables, with values that may be secret hidden."""
    from groqscope._exchange import without_password

    names = sorted(name for name in os.environ if name.startswith(_VARIABLES))
    return {name: "(set, not shown)" if _is_secret(name) else without_password(os.environ[name]) for name in names}


def examine() -> Iterator[Finding]:
    """Yield findings one by one, in the order in which telemetry passes through them."""
    yield from _instrumentation()
    yield _trial()
    yield from _telemetry()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _is_secret(name: str) -> bool:
    return name not in _HARMLESS and any(part in name for part in _SECRET)


def _instrumentation() -> Iterator[Finding]:
    import groq

    from groqscope.instrument import is_instrumented
    from groqscope.instrument.instrumentor import OTHER_CLIENTS

    here = is_instrumented(groq.Groq) and is_instrumented(groq.AsyncGroq)
    off = {n.strip() for n in os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")}
    if here:
        yield Finding("instrumentation", "every Groq client", "ok", "observed in this process, from its start")
    elif off & {"groq", "*"}:
        detail = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names it, so opentelemetry-instrument will not observe Groq"
        yield Finding("instrumentation", "zero code", "broken", detail, "remove groq from that variable")
    else:
        detail = "not in this process: your program calls groqscope.instrument(), or opentelemetry-instrument starts it"
        yield Finding("instrumentation", "every Groq client", "unknown", detail)
    openai = _version("openai")
    if openai is not None:
        yield _openai(openai)
    others = {name: version for name, version in versions(OTHERS).items() if version is not None}
    if others:
        named = ", ".join(f"{name} {version}" for name, version in others.items())
        detail = f"{named} can observe Groq too: if it is enabled, each call has two spans"
        yield Finding("instrumentation", "others", "note", detail, "enable only one of them")
    unseen = [name for name, version in versions(OTHER_CLIENTS).items() if version is not None]
    if unseen:
        detail = f"{' and '.join(unseen)} can ask Groq without its SDK or openai's: such requests are not seen"
        yield Finding("instrumentation", "not seen", "note", detail, "ask Groq with the package groq or openai")


def _openai(version: str) -> Finding:
    """Return at which hosts openai's SDK is observed, and over which HTTP library; it is not imported for that."""
    from groqscope.instrument.families import OLDEST
    from groqscope.instrument.hosts import hosts

    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < OLDEST:
        detail = f"openai {version} is not observed: it lacks methods that {'.'.join(map(str, OLDEST))} has"
        return Finding("instrumentation", "openai at Groq", "note", detail, "update openai")
    at = ", ".join(sorted(host if port is None else f"{host}:{port}" for host, port in hosts(None)))
    libraries = [f"{name} {found}" for name, found in versions(("httpx", "httpx2")).items() if found is not None]
    detail = f"openai {version} (HTTP by {' or '.join(libraries)}) is observed with groq, in requests to {at}"
    return Finding("instrumentation", "openai at Groq", "ok", detail)


def _trial() -> Finding:
    """Make a streamed request to a mock transport in this process, and read its record back from a file."""
    from groqscope.store import read_records

    name = "request"
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Finding("test", name, "unknown", "not tried, since OpenTelemetry is switched off")
    try:
        with tempfile.TemporaryDirectory(prefix="groqscope-doctor-") as directory:
            _ask(Path(directory))
            back = list(read_records([directory]))
    except Exception as error:  # noqa: BLE001 - the command reports any failure
        return Finding("test", name, "broken", f"a request answered in this process failed: {error!r}", _REPORT)
    if [record.outcome for record in back] != ["completed"]:
        detail = "a request answered in this process was not observed"
        return Finding(
            "test", name, "broken", detail, "is the version of groq supported? pip install -U groqscope groq"
        )
    (record,) = back
    if record.phases.total() != record.duration_ns:
        return Finding("test", name, "broken", "the phases of a request do not add up to its duration", _REPORT)
    detail = f"a stream of {record.chunks} chunks was observed, written and read back; phases add up"
    return Finding("test", name, "ok", detail)


_REPORT: Final = "this is a bug in groqscope: please report it with the output of groqscope doctor --json"
_CHUNK: Final = b'data: {"id":"chatcmpl-doctor","object":"chat.completion.chunk","created":1,"model":"doctor",'
_STREAM: Final = (
    _CHUNK + b'"choices":[{"index":0,"delta":{"role":"assistant","content":"Well"},"finish_reason":null}],'
    b'"x_groq":{"id":"req_doctor"}}\n\n'
    + _CHUNK
    + b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"req_doctor",'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}}\n\n'
    b"data: [DONE]\n\n"
)


def _ask(directory: Path) -> None:
    import httpx
    from groq import Groq
    from opentelemetry.metrics import NoOpMeterProvider
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    from groqscope.instrument import flush, instrument
    from groqscope.store import LocalSpanExporter

    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(LocalSpanExporter(directory)))
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=_STREAM)

    def respond(_: httpx.Request) -> httpx.Response:
        return answer

    with (
        _left_alone(),
        httpx.Client(transport=httpx.MockTransport(respond), trust_env=False) as http,
        Groq(api_key="none", base_url="http://doctor.invalid", max_retries=0, http_client=http) as client,
    ):
        instrument(client, tracer_provider=provider, meter_provider=NoOpMeterProvider())
        stream = client.chat.completions.create(
            model="doctor", messages=[{"role": "user", "content": "How are you?"}], stream=True
        )
        for _ in stream:
            pass
        flush()
    provider.shutdown()


@contextmanager
def _left_alone() -> Generator[None]:
    """Keep the test request out of the telemetry of an instrumented process."""
    import groq

    from groqscope.instrument import instrument, is_instrumented, uninstrument

    observed = is_instrumented(groq.Groq)
    if observed:
        uninstrument()
    try:
        yield
    finally:
        if observed:
            instrument()


def _telemetry() -> Iterator[Finding]:
    import groqscope
    from groqscope.configuration import ConfigurationError

    try:
        where = groqscope.configure()
    except ConfigurationError as error:
        yield Finding("telemetry", "configuration", "broken", str(error), "correct that setting")
        return
    for problem in where.problems:
        yield Finding("telemetry", "setting", "broken", problem, "correct or unset that variable")
    if where.status == "disabled":
        variable = "OTEL_CONFIG_FILE" if os.environ.get("OTEL_CONFIG_FILE") else "OTEL_SDK_DISABLED"
        detail = f"{variable} disables OpenTelemetry: nothing is recorded"
        yield Finding("telemetry", "configuration", "broken", detail, f"unset {variable}")
        return
    if where.config_file is not None:
        yield Finding("telemetry", "spans", "ok", f"as {where.config_file} says (OTEL_CONFIG_FILE)")
        yield Finding("test", "span", "unknown", "not tried, since the exporters are not groqscope's")
        return
    if where.status == "existing":
        detail = "another library set the providers of this process; groqscope uses them unchanged"
        yield Finding("telemetry", "spans", "note", detail)
        yield Finding("test", "span", "unknown", "not tried, since the exporters are not groqscope's")
        return
    yield from _destinations(where)


def _destinations(where: "Configuration") -> Iterator[Finding]:
    if where.endpoint is not None:
        yield Finding("telemetry", "spans", "ok", f"{where.endpoint} ({where.protocol})")
        yield _sent(where)
    if "local" in where.exporters and where.directory is not None:
        yield Finding("telemetry", "spans", "ok", f"the local store, {where.directory} (no endpoint is set)")
        yield _written(where.directory)
    if "console" in where.exporters:
        yield Finding("telemetry", "spans", "ok", "standard output (OTEL_TRACES_EXPORTER=console)")
    if where.exporters == ("none",):
        detail = "OTEL_TRACES_EXPORTER=none: spans are discarded"
        yield Finding("telemetry", "spans", "broken", detail, "unset it, or use otlp")
    if where.logfire:
        yield Finding("telemetry", "logfire", "ok", "a token is present: telemetry goes to logfire too")
    if os.environ.get("OTEL_TRACES_SAMPLER", "").lower().endswith("always_off"):
        yield Finding("telemetry", "sampling", "broken", "OTEL_TRACES_SAMPLER samples nothing", "unset it")


def _sent(where: "Configuration") -> Finding:
    """Send a test span as records are sent, and return the endpoint's response."""
    from groqscope.configuration import ConfigurationError, otlp_sender
    from groqscope.delivery import Delivered, Refused

    name = "span"
    if where.protocol == "grpc":
        return Finding("test", name, "unknown", "not tried over gRPC", "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")
    try:
        with otlp_sender("traces") as sender:
            delivery = sender.send_line(_test_span())
    except (ConfigurationError, ValueError, OSError) as error:
        return Finding("test", name, "broken", str(error), "correct that setting")
    if isinstance(delivery, Delivered):
        if delivery.rejected:
            return Finding("test", name, "broken", f"{where.endpoint} rejected a test span: {delivery.message}")
        return Finding("test", name, "ok", f"{where.endpoint} accepted a test span")
    if isinstance(delivery, Refused):
        rights = delivery.status in {401, 403}
        remedy = "is OTEL_EXPORTER_OTLP_HEADERS right?" if rights else "is this an OTLP endpoint over HTTP (port 4318)?"
        return Finding("test", name, "broken", f"{where.endpoint} refused a test span: {delivery.reason}", remedy)
    remedy = "start it (the bundled stack: docker compose up -d); until then spans are kept on disk"
    return Finding("test", name, "broken", f"{where.endpoint} did not accept a test span: {delivery.reason}", remedy)


def _test_span() -> bytes:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    from groqscope import semconv
    from groqscope.store import encode_span_line

    resource = Resource({semconv.SERVICE_NAME: "groqscope-doctor"})
    provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
    span: Any = provider.get_tracer(semconv.SCOPE).start_span(semconv.SPAN_DOCTOR)
    span.end()
    return encode_span_line([span]) or b""


def _written(directory: Path) -> Finding:
    """Write a test span to the local store, and remove it again."""
    from groqscope.store import make_private

    try:
        make_private(directory)
        with tempfile.NamedTemporaryFile(dir=directory, prefix="doctor-", suffix=".tmp") as file:
            file.write(_test_span())
            file.flush()
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = "set GROQSCOPE_HOME to a writable directory"
        return Finding("test", "span", "broken", f"{directory} cannot be written: {reason}", remedy)
    return Finding("test", "span", "ok", f"{directory} accepted a test span")
