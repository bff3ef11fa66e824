"""All settings of one `configure()`, from arguments and `OTEL_*` variables, checked before anything is built."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final, Literal, cast

from groqscope.configuration import environment
from groqscope.configuration.errors import ConfigurationError
from groqscope.store import HOME_VARIABLE, store_directory

Signal = Literal["traces", "metrics", "logs"]
Protocol = Literal["http/protobuf", "http/json", "grpc"]
Exporter = Literal["otlp", "console", "none", "local"]

PROTOCOLS: Final = ("http/protobuf", "http/json", "grpc")
_EXPORTERS: Final = ("otlp", "console", "none")
_DEFAULT_ENDPOINTS: Final[Mapping[str, str]] = {"grpc": "http://localhost:4317"}
_DEFAULT_HTTP_ENDPOINT: Final = "http://localhost:4318"
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
_WHOLE_ABOVE_ZERO: Final = (
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_BLRP_MAX_QUEUE_SIZE",
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BLRP_EXPORT_TIMEOUT",
)
_ABOVE_ZERO: Final = (
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BLRP_SCHEDULE_DELAY",
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_METRIC_EXPORT_TIMEOUT",
)
_LIMITS: Final = tuple(
    f"OTEL_{name}"
    for name in (
        "ATTRIBUTE_COUNT_LIMIT",
        "ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "SPAN_ATTRIBUTE_COUNT_LIMIT",
        "SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "SPAN_EVENT_COUNT_LIMIT",
        "SPAN_LINK_COUNT_LIMIT",
        "EVENT_ATTRIBUTE_COUNT_LIMIT",
        "LINK_ATTRIBUTE_COUNT_LIMIT",
    )
)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one signal goes over OTLP."""

    endpoint: str
    """For HTTP the whole URL, path included."""
    protocol: Protocol
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    timeout: float = 10.0
    """Seconds for one request."""
    compression: str = "none"
    certificate: str | None = None
    client_key: str | None = None
    client_certificate: str | None = None


@dataclass(frozen=True, slots=True)
class SignalSettings:
    """What happens to one signal."""

    exporters: tuple[Exporter, ...]
    destination: Destination | None = None
    """Set when `otlp` is among the exporters."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the providers are made from."""

    traces: SignalSettings
    metrics: SignalSettings
    logs: SignalSettings
    directory: Path | None
    """The local store; set when a signal goes there."""
    own_directory: bool
    """Whether the user named it; else it is the default place, and one that cannot be written is no mistake."""


def read(
    *,
    endpoint: str | None,
    protocol: str | None,
    headers: Mapping[str, str] | None,
    directory: Path | str | None,
) -> Settings:
    """Read and check all settings; an argument goes before the variables.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    _check_sdk_settings()
    arguments = (endpoint, protocol, headers, directory)
    traces, metrics, logs = (_signal(signal, *arguments) for signal in ("traces", "metrics", "logs"))
    local = "local" in traces.exporters or "local" in metrics.exporters
    return Settings(
        traces=traces,
        metrics=metrics,
        logs=logs,
        directory=_directory(directory) if local else None,
        own_directory=directory is not None or environment.text(HOME_VARIABLE) is not None,
    )


def destination(
    signal: Signal, *, endpoint: str | None, protocol: str | None = None, headers: Mapping[str, str] | None = None
) -> Destination:
    """Give where one signal would go, by arguments and variables, whatever exporter they choose.

    Raises:
        ConfigurationError: a setting cannot be used, or there is no endpoint.
    """
    if endpoint is None and environment.text(_name(signal, "ENDPOINT"), _name(None, "ENDPOINT")) is None:
        raise ConfigurationError("no endpoint: give one (http://127.0.0.1:4318), or set OTEL_EXPORTER_OTLP_ENDPOINT")
    return _destination(signal, endpoint, protocol, headers)


def _signal(
    signal: Signal,
    endpoint: str | None,
    protocol: str | None,
    headers: Mapping[str, str] | None,
    directory: Path | str | None,
) -> SignalSettings:
    exporters = _exporters(signal)
    given = endpoint is not None or (
        directory is None and environment.text(_name(signal, "ENDPOINT"), _name(None, "ENDPOINT")) is not None
    )
    if not exporters:
        fallback: Exporter = "none" if signal == "logs" else "local"
        exporters = ("otlp",) if given else (fallback,)
    if "otlp" not in exporters:
        return SignalSettings(exporters)
    return SignalSettings(exporters, _destination(signal, endpoint, protocol, headers))


def _destination(
    signal: Signal, endpoint: str | None, protocol: str | None, headers: Mapping[str, str] | None
) -> Destination:
    chosen = _protocol(signal, protocol)
    names = [_name(signal, "HEADERS"), _name(None, "HEADERS")]
    compressions = (_name(signal, "COMPRESSION"), _name(None, "COMPRESSION"))
    return Destination(
        endpoint=_endpoint(signal, endpoint, chosen),
        protocol=chosen,
        headers=environment.headers(*names) | environment.check_headers(headers or {}),
        timeout=environment.number(_name(signal, "TIMEOUT"), _name(None, "TIMEOUT"), above=0) or 10.0,
        compression=environment.choice(compressions, ("none", "gzip", "deflate")) or "none",
        certificate=_file(signal, "CERTIFICATE"),
        client_key=_file(signal, "CLIENT_KEY"),
        client_certificate=_file(signal, "CLIENT_CERTIFICATE"),
    )


def _exporters(signal: Signal) -> tuple[Exporter, ...]:
    name = f"OTEL_{signal.upper()}_EXPORTER"
    found = environment.text(name)
    if found is None:
        return ()
    chosen = tuple(part.strip().lower() for part in found[1].split(",") if part.strip())
    for one in chosen:
        if one not in _EXPORTERS:
            raise ConfigurationError(f"{name}={found[1]}: expected otlp, console or none, not {one!r}")
    if "none" in chosen and len(chosen) > 1:
        raise ConfigurationError(f"{name}={found[1]}: none goes with nothing else")
    return cast("tuple[Exporter, ...]", chosen)


def _protocol(signal: Signal, given: str | None) -> Protocol:
    if given is not None and given not in PROTOCOLS:
        raise ConfigurationError(f"protocol={given!r}: expected one of {', '.join(PROTOCOLS)}")
    chosen = given or environment.choice((_name(signal, "PROTOCOL"), _name(None, "PROTOCOL")), PROTOCOLS)
    return cast("Protocol", chosen or "http/protobuf")


def _endpoint(signal: Signal, given: str | None, protocol: Protocol) -> str:
    bare = protocol == "grpc"
    own = environment.text(_name(signal, "ENDPOINT"))
    if given is None and own is not None:
        return environment.check_url(*own, bare=bare)
    if given is not None:
        # Some copy the address of one signal; a variable means what OpenTelemetry says it means.
        given = given.rstrip("/").removesuffix("/v1/traces").removesuffix("/v1/metrics").removesuffix("/v1/logs")
    base = ("endpoint", given) if given is not None else environment.text(_name(None, "ENDPOINT"))
    name, value = base or ("endpoint", _DEFAULT_ENDPOINTS.get(protocol, _DEFAULT_HTTP_ENDPOINT))
    environment.check_url(name, value, bare=bare)
    return value if bare else f"{value.rstrip('/')}/v1/{signal}"


def _file(signal: Signal, what: str) -> str | None:
    found = environment.text(_name(signal, what), _name(None, what))
    if found is None:
        return None
    name, value = found
    if not Path(value).is_file():
        raise ConfigurationError(f"{name}={value}: no such file")
    return value


def _name(signal: Signal | None, what: str) -> str:
    return f"OTEL_EXPORTER_OTLP_{signal.upper()}_{what}" if signal else f"OTEL_EXPORTER_OTLP_{what}"


def _directory(given: Path | str | None) -> Path:
    if given is not None:
        return Path(given).expanduser()
    try:
        return store_directory()
    except OSError as error:
        raise ConfigurationError(str(error)) from error


def _check_sdk_settings() -> None:
    """Check what the SDK reads by itself, where it would pass over a mistake in a log line or raise without a name."""
    for name in _WHOLE_ABOVE_ZERO:
        environment.number(name, at_least=1, whole=True)
    for name in _ABOVE_ZERO:
        environment.number(name, above=0)
    for name in _LIMITS:
        environment.number(name, whole=True)
    for kind in ("BSP", "BLRP"):
        batch = environment.number(f"OTEL_{kind}_MAX_EXPORT_BATCH_SIZE", at_least=1, whole=True) or 512
        queue = environment.number(f"OTEL_{kind}_MAX_QUEUE_SIZE", at_least=1, whole=True) or 2048
        if batch > queue:
            raise ConfigurationError(
                f"OTEL_{kind}_MAX_EXPORT_BATCH_SIZE={batch:g}: a batch larger than the queue,"
                f" OTEL_{kind}_MAX_QUEUE_SIZE={queue:g}"
            )
    _check_sampler()
    environment.choice(("OTEL_METRICS_EXEMPLAR_FILTER",), ("always_on", "always_off", "trace_based"))
    environment.choice((_name("metrics", "TEMPORALITY_PREFERENCE"),), ("cumulative", "delta", "lowmemory"))
    environment.choice(
        (_name("metrics", "DEFAULT_HISTOGRAM_AGGREGATION"),),
        ("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
    )


def _check_sampler() -> None:
    found = environment.text("OTEL_TRACES_SAMPLER")
    if found is None:
        return
    name, value = found
    if value.lower() not in _SAMPLERS and not entry_points(group="opentelemetry_traces_sampler", name=value):
        raise ConfigurationError(f"{name}={value}: expected one of {', '.join(sorted(_SAMPLERS))}")
    ratio = environment.number("OTEL_TRACES_SAMPLER_ARG") if value.lower().endswith("traceidratio") else None
    if ratio is not None and ratio > 1:
        raise ConfigurationError(f"OTEL_TRACES_SAMPLER_ARG={ratio:g}: expected a share from 0 to 1")
