"""All settings of one `configure()`, from arguments and `OTEL_*` variables, validated before anything is created."""

import importlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast
from urllib.parse import urlsplit

from groqscope._diagnostics import log_once
from groqscope.configuration.environment import ConfigurationError, Environment, check_headers, check_url
from groqscope.store import HOME_VARIABLE, store_directory

if TYPE_CHECKING:
    from groqscope.delivery import Signal

_logger = logging.getLogger("groqscope")

Protocol = Literal["http/protobuf", "http/json", "grpc"]

GRPC: Final = "opentelemetry.exporter.otlp.proto.grpc"
PROTOCOLS: Final = ("http/protobuf", "http/json", "grpc")
_EXPORTERS: Final = frozenset({"otlp", "otlp_proto_http", "console", "none"})
"""Exporters that need no entry point."""
_PROTOCOL_OF: Final[Mapping[str, Protocol]] = {"otlp_proto_http": "http/protobuf", "otlp_proto_grpc": "grpc"}
"""Names under which OpenTelemetry's packages register exporters, with their protocols."""
_DEFAULT_ENDPOINTS: Final[Mapping[str, str]] = {"grpc": "http://localhost:4317"}
_DEFAULT_HTTP_ENDPOINT: Final = "http://localhost:4318"
_DEFAULT_TIMEOUT_S: Final = 10.0
_DEFAULT_BATCH: Final = 512
_DEFAULT_QUEUE: Final = 2048
_SAMPLERS: Final = frozenset(
    {
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    }
)
_DURATIONS: Final = (
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_BLRP_SCHEDULE_DELAY",
    "OTEL_BLRP_EXPORT_TIMEOUT",
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_METRIC_EXPORT_TIMEOUT",
)
_LIMITS: Final = tuple(
    f"OTEL_{name}_LIMIT"
    for name in (
        "ATTRIBUTE_COUNT",
        "ATTRIBUTE_VALUE_LENGTH",
        "SPAN_ATTRIBUTE_COUNT",
        "SPAN_ATTRIBUTE_VALUE_LENGTH",
        "SPAN_EVENT_COUNT",
        "SPAN_LINK_COUNT",
        "EVENT_ATTRIBUTE_COUNT",
        "LINK_ATTRIBUTE_COUNT",
        "LOGRECORD_ATTRIBUTE_COUNT",
        "LOGRECORD_ATTRIBUTE_VALUE_LENGTH",
    )
)
_LOADED_ELSEWHERE: Final = {
    "OTEL_PYTHON_CONTEXT": "opentelemetry_context",
    "OTEL_PYTHON_TRACER_PROVIDER": "opentelemetry_tracer_provider",
    "OTEL_PYTHON_METER_PROVIDER": "opentelemetry_meter_provider",
    "OTEL_PYTHON_LOGGER_PROVIDER": "opentelemetry_logger_provider",
    **{
        f"OTEL_PYTHON_EXPORTER_OTLP_{kind}{signal}_CREDENTIAL_PROVIDER": "opentelemetry_otlp_credential_provider"
        for kind in ("HTTP", "GRPC")
        for signal in ("", "_TRACES", "_METRICS", "_LOGS")
    },
}
"""Entry point groups of what the API or an exporter loads itself, raising or logging a traceback on unknown names."""


@dataclass(frozen=True, slots=True)
class Destination:
    """The OTLP endpoint of one signal."""

    endpoint: str
    """For HTTP the full URL including the path."""
    protocol: Protocol
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    timeout: float = _DEFAULT_TIMEOUT_S
    """Timeout of one request in seconds."""
    compression: str = "none"
    certificate: str | None = None
    client_key: str | None = None
    client_certificate: str | None = None


@dataclass(frozen=True, slots=True)
class SignalSettings:
    """How one signal is exported."""

    exporters: tuple[str, ...]
    """`otlp`, `console`, `none`, `local`, or the registered name of another package's exporter."""
    destination: Destination | None = None
    """Set if `otlp` is among the exporters."""
    registered: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Exporter classes of other packages, by registered name."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that providers are created from."""

    traces: SignalSettings
    metrics: SignalSettings
    logs: SignalSettings
    directory: Path | None
    """The local store; set if a signal is written there."""
    own_directory: bool
    """Whether the directory was an argument, so that it is an error if it cannot be written."""
    environment: Environment
    sampler: Any = None
    """Set if another package provides it; the SDK handles its own."""
    id_generator: Any = None


def read(
    *,
    endpoint: str | None,
    protocol: str | None,
    headers: Mapping[str, str] | None,
    directory: Path | str | None,
    environment: Environment | None = None,
) -> Settings:
    """Read and validate all settings; an argument overrides the variables.

    Raises:
        ConfigurationError: an argument is invalid.
    """
    environment = environment or Environment()
    _check_what_the_sdk_reads(environment)
    arguments = (endpoint, protocol, headers, directory)
    with environment.presented():  # importing a component may read the variables
        traces, metrics, logs = (_signal(environment, signal, *arguments) for signal in ("traces", "metrics", "logs"))
        sampler, id_generator = _sampler(environment), _id_generator(environment)
    local = "local" in traces.exporters or "local" in metrics.exporters
    return Settings(
        traces=traces,
        metrics=metrics,
        logs=logs,
        directory=_directory(directory) if local else None,
        own_directory=directory is not None,
        environment=environment,
        sampler=sampler,
        id_generator=id_generator,
    )


def destination(
    signal: "Signal", *, endpoint: str | None, protocol: str | None = None, headers: Mapping[str, str] | None = None
) -> Destination:
    """Return the OTLP endpoint of one signal by arguments and variables, even if another exporter is selected.

    Raises:
        ConfigurationError: an argument is invalid, or there is no endpoint.
    """
    environment = Environment()
    found = _destination(environment, signal, endpoint, protocol, headers)
    if endpoint is None and not _has_endpoint(environment, signal):
        raise ConfigurationError("no endpoint: give one (http://127.0.0.1:4318), or set OTEL_EXPORTER_OTLP_ENDPOINT")
    return found


def _signal(
    environment: Environment,
    signal: "Signal",
    endpoint: str | None,
    protocol: str | None,
    headers: Mapping[str, str] | None,
    directory: Path | str | None,
) -> SignalSettings:
    name = f"OTEL_{signal.upper()}_EXPORTER"
    components = environment.components(name, f"opentelemetry_{signal}_exporter", known=_EXPORTERS)
    chosen = [_PROTOCOL_OF.get(component, component) for component, _ in components]
    registered = {component: loaded for component, loaded in components if loaded is not None}
    if "none" in chosen and len(chosen) > 1:
        environment.note(name, ",".join(chosen), "none cannot be combined with other exporters; it is not used")
        chosen = [exporter for exporter in chosen if exporter != "none"]
    for exporter in chosen:
        if exporter in PROTOCOLS:
            protocol = protocol or exporter
    exporters = tuple(dict.fromkeys("otlp" if exporter in PROTOCOLS else exporter for exporter in chosen))
    found = _destination(environment, signal, endpoint, protocol, headers)
    if not exporters:
        given = endpoint is not None or (directory is None and _has_endpoint(environment, signal))
        exporters = ("otlp",) if given else ("none" if signal == "logs" else "local",)
    return SignalSettings(exporters, found if "otlp" in exporters else None, registered)


def _destination(
    environment: Environment,
    signal: "Signal",
    endpoint: str | None,
    protocol: str | None,
    headers: Mapping[str, str] | None,
) -> Destination:
    def names(what: str) -> tuple[str, str]:
        return _name(signal, what), _name(None, what)

    chosen = _protocol(environment, signal, protocol)
    authority, certificate, key = environment.certificates(
        names("CERTIFICATE"), names("CLIENT_CERTIFICATE"), names("CLIENT_KEY")
    )
    for name in names("INSECURE"):
        environment.boolean(name)
    return Destination(
        endpoint=_endpoint(environment, signal, endpoint, chosen),
        protocol=chosen,
        headers=environment.headers(*names("HEADERS")) | check_headers(headers or {}),
        timeout=environment.seconds(*names("TIMEOUT")) or _DEFAULT_TIMEOUT_S,
        compression=environment.choice(names("COMPRESSION"), ("none", "gzip", "deflate")) or "none",
        certificate=authority,
        client_key=key,
        client_certificate=certificate,
    )


def _protocol(environment: Environment, signal: "Signal", given: str | None) -> Protocol:
    if given is not None and given not in PROTOCOLS:
        raise ConfigurationError(f"protocol={given!r}: expected one of {', '.join(PROTOCOLS)}")
    names = _name(signal, "PROTOCOL"), _name(None, "PROTOCOL")
    chosen = given or environment.choice(names, PROTOCOLS)
    if given is None and chosen == "grpc" and not _has_grpc():
        for name in filter(environment.text, names):
            why = "the exporter for it is not installed: pip install 'groqscope[grpc]'; http/protobuf is used"
            environment.note(name, chosen, why)
            environment.replace(name, None)
        chosen = None
    return cast("Protocol", chosen or "http/protobuf")


def _has_grpc() -> bool:
    try:
        importlib.import_module(f"{GRPC}.trace_exporter")
    except ImportError:
        return False
    return True


def _endpoint(environment: Environment, signal: "Signal", given: str | None, protocol: Protocol) -> str:
    bare = protocol == "grpc"
    if given is not None:
        check_url("endpoint", given, bare=bare)
        # An argument may be copied from one signal's endpoint; a variable is used as OpenTelemetry specifies.
        base = given.rstrip("/").removesuffix("/v1/traces").removesuffix("/v1/metrics").removesuffix("/v1/logs")
    else:
        own = environment.url(_name(signal, "ENDPOINT"), bare=bare)
        if own is not None:
            return own
        base = environment.url(_name(None, "ENDPOINT"), bare=bare)
        base = base or _DEFAULT_ENDPOINTS.get(protocol, _DEFAULT_HTTP_ENDPOINT)
    if bare:
        return base
    parts = urlsplit(base)
    return parts._replace(path=f"{parts.path.rstrip('/')}/v1/{signal}", fragment="").geturl()


def _has_endpoint(environment: Environment, signal: "Signal") -> bool:
    return environment.text(_name(signal, "ENDPOINT"), _name(None, "ENDPOINT")) is not None


def _name(signal: "Signal | None", what: str) -> str:
    return f"OTEL_EXPORTER_OTLP_{signal.upper()}_{what}" if signal else f"OTEL_EXPORTER_OTLP_{what}"


def _directory(given: Path | str | None) -> Path | None:
    """Return the local store; `None` if there is no home directory to keep it in."""
    try:
        return Path(given).expanduser() if given is not None else store_directory()
    except (OSError, RuntimeError) as error:
        if given is not None:
            raise ConfigurationError(f"directory={str(given)!r}: {error}") from error
        log_once(_logger, "groqscope cannot store telemetry: %s. Set %s to a writable directory.", error, HOME_VARIABLE)
        return None


def _check_what_the_sdk_reads(environment: Environment) -> None:
    for name in _DURATIONS:
        environment.milliseconds(name)
    for name in _LIMITS:
        environment.count(name)
    for kind in ("BSP", "BLRP"):
        _check_batches(environment, f"OTEL_{kind}_MAX_EXPORT_BATCH_SIZE", f"OTEL_{kind}_MAX_QUEUE_SIZE")
    environment.choice(("OTEL_METRICS_EXEMPLAR_FILTER",), ("always_on", "always_off", "trace_based"))
    environment.choice((_name("metrics", "TEMPORALITY_PREFERENCE"),), ("cumulative", "delta", "lowmemory"))
    environment.choice(
        (_name("metrics", "DEFAULT_HISTOGRAM_AGGREGATION"),),
        ("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
    )
    environment.pairs("OTEL_RESOURCE_ATTRIBUTES")
    environment.only_installed("OTEL_PROPAGATORS", "opentelemetry_propagator", known=("none",))
    detectors = "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS"
    environment.only_installed(detectors, "opentelemetry_resource_detector", known=("*",))
    for name, group in _LOADED_ELSEWHERE.items():
        environment.only_installed(name, group)


def _check_batches(environment: Environment, batch_name: str, queue_name: str) -> None:
    batch, queue = environment.count(batch_name, at_least=1), environment.count(queue_name, at_least=1)
    if (batch or _DEFAULT_BATCH) <= (queue or _DEFAULT_QUEUE):
        return
    if batch is not None:
        environment.note(batch_name, str(batch), f"larger than the queue, {queue or _DEFAULT_QUEUE}; reduced to that")
    environment.replace(batch_name, str(queue or _DEFAULT_QUEUE))


def _sampler(environment: Environment) -> Any:
    """Return the sampler if another package registered it; otherwise validate the variables for the SDK's own."""
    name, argument = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
    chosen = environment.components(name, "opentelemetry_traces_sampler", known=_SAMPLERS)
    value = environment.text(argument)
    component, factory = chosen[0] if chosen else (None, None)
    if factory is None:
        environment.replace(name, component)
        if component is None or not component.endswith("traceidratio"):
            # logfire would sample by the argument whatever the sampler is.
            environment.replace(argument, None)
        else:
            share = environment.number(argument)
            if share is not None and share > 1:
                environment.refuse(argument, "expected a ratio from 0 to 1")
                share = None
            environment.replace(argument, f"{1 if share is None else share}")
        return None
    environment.replace(name, None)
    environment.replace(argument, None)
    return _made(environment, name, cast("str", component), lambda: factory(value[1] if value else None))


def _id_generator(environment: Environment) -> Any:
    name = "OTEL_PYTHON_ID_GENERATOR"
    chosen = environment.components(name, "opentelemetry_id_generator")
    return _made(environment, name, *chosen[0]) if chosen else None


def _made(environment: Environment, name: str, component: str, make: Callable[[], Any]) -> Any:
    """Return what the factory of another package creates; `None`, logged once, if it fails."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - somebody else's package may fail in any way
        environment.note(name, component, f"creating it failed ({type(error).__name__}: {error}); it is not used")
        return None
