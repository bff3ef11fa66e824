"""Creates processors and readers from the settings."""

import importlib
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    ConsoleLogRecordExporter,
    LogRecordExporter,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    MetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor, SpanExporter

from groqscope.configuration.environment import ConfigurationError, Environment
from groqscope.configuration.settings import GRPC, Destination, Settings, SignalSettings
from groqscope.delivery import OtlpSender, Signal
from groqscope.store import OTHERS, LocalMetricExporter, LocalSpanExporter

if TYPE_CHECKING:
    from groqscope.delivery import RetryingSender

OTHERS_VARIABLE: Final = "GROQSCOPE_STORE_OTHERS"
_LOCAL_DELAY_MS: Final = 1000.0
"""Shorter than for an endpoint: writing a file is cheap, and `groqscope tail` follows it."""
_HTTP: Final = "opentelemetry.exporter.otlp.proto.http"
_CREDENTIALS: Final = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_{}CREDENTIAL_PROVIDER"

senders: Final["WeakSet[RetryingSender]"] = WeakSet()
"""The senders of this process, to be flushed at exit."""


def span_processors(settings: Settings) -> list[SpanProcessor]:
    """Return the processors that export spans."""
    processors: list[SpanProcessor] = []
    for exporter in settings.traces.exporters:
        if exporter == "console":
            processors.append(SimpleSpanProcessor(ConsoleSpanExporter()))
        elif exporter == "local" and settings.directory is not None:
            delay = None if settings.environment.text("OTEL_BSP_SCHEDULE_DELAY") else _LOCAL_DELAY_MS
            others = settings.environment.number(OTHERS_VARIABLE, whole=True)
            local = LocalSpanExporter(
                settings.directory,
                others=OTHERS if others is None else int(others),
                on_closed=partial(_compact, settings.directory),
            )
            processors.append(BatchSpanProcessor(local, schedule_delay_millis=delay))
        elif exporter == "otlp" and settings.traces.destination is not None:
            processors.append(_BatchProcessor(_span_exporter(settings.environment, settings.traces.destination)))
        elif (made := _registered(settings, "traces", exporter, SpanExporter)) is not None:
            processors.append(BatchSpanProcessor(made))
    return processors


def _compact(store: Path) -> None:
    from groqscope.history import compact_in_background  # when the first file is full

    compact_in_background(store)


def metric_readers(settings: Settings) -> list[MetricReader]:
    """Return the readers that export metrics."""
    readers: list[MetricReader] = []
    for exporter in settings.metrics.exporters:
        if exporter == "console":
            readers.append(PeriodicExportingMetricReader(ConsoleMetricExporter()))
        elif exporter == "local" and settings.directory is not None:
            readers.append(PeriodicExportingMetricReader(LocalMetricExporter(settings.directory)))
        elif exporter == "otlp" and settings.metrics.destination is not None:
            made = _metric_exporter(settings.environment, settings.metrics.destination)
            readers.append(PeriodicExportingMetricReader(made))
        elif (made := _registered(settings, "metrics", exporter, (MetricExporter, MetricReader))) is not None:
            readers.append(made if isinstance(made, MetricReader) else PeriodicExportingMetricReader(made))
    return readers


def log_processors(settings: Settings) -> list[LogRecordProcessor]:
    """Return the processors that export log records; without an endpoint there are none.

    They use OpenTelemetry's exporters: protobuf even if the protocol is JSON, and no spool on disk.
    """
    processors: list[LogRecordProcessor] = []
    for exporter in settings.logs.exporters:
        if exporter == "console":
            processors.append(SimpleLogRecordProcessor(ConsoleLogRecordExporter()))
        elif exporter == "otlp" and settings.logs.destination is not None:
            destination = settings.logs.destination
            make = _official(destination, "_log_exporter", "OTLPLogExporter")
            processors.append(BatchLogRecordProcessor(make(**_arguments(destination))))
        elif (made := _registered(settings, "logs", exporter, LogRecordExporter)) is not None:
            processors.append(BatchLogRecordProcessor(made))
    return processors


def _registered(settings: Settings, signal: Signal, name: str, kind: type | tuple[type, ...]) -> Any:
    """Return an exporter that another package registered; `None`, logged once, if creating it fails."""
    of_signal: SignalSettings = getattr(settings, signal)
    factory = of_signal.registered.get(name)
    if factory is None:
        return None
    try:
        made = factory()
        if isinstance(made, kind):
            return made
        why = f"{type(made).__name__} is not an exporter of {signal}"
    except Exception as error:  # noqa: BLE001 - another package may raise anything
        why = f"creating it failed ({type(error).__name__}: {error})"
    settings.environment.note(f"OTEL_{signal.upper()}_EXPORTER", name, f"{why}; it is not used")
    return None


class _BatchProcessor(BatchSpanProcessor):
    """A batch processor that also flushes its exporter, which the SDK's does not."""

    def __init__(self, exporter: SpanExporter) -> None:
        super().__init__(exporter)
        self._flush_exporter = exporter.force_flush

    def force_flush(self, timeout_millis: int | None = None) -> bool:
        deadline = time.monotonic() + (30_000 if timeout_millis is None else timeout_millis) / 1000
        exported = super().force_flush(timeout_millis)
        left = max(0, int((deadline - time.monotonic()) * 1000))
        return self._flush_exporter(left) and exported


def _span_exporter(environment: Environment, destination: Destination) -> SpanExporter:
    make = _official(destination, "trace_exporter", "OTLPSpanExporter")
    sender = _retrying_sender(environment, destination, "traces")
    if sender is None:
        return make(**_arguments(destination))
    from groqscope.delivery import SpoolingSpanExporter

    return SpoolingSpanExporter(sender)


def _metric_exporter(environment: Environment, destination: Destination) -> MetricExporter:
    make = _official(destination, "metric_exporter", "OTLPMetricExporter")
    sender = _retrying_sender(environment, destination, "metrics")
    if sender is None:
        return make(**_arguments(destination))
    from groqscope.delivery import SpoolingMetricExporter

    # It knows the variables for temporality and aggregation; nothing is sent by it.
    official: MetricExporter = make(**_arguments(destination))
    exporter = SpoolingMetricExporter(sender, official._preferred_temporality, official._preferred_aggregation)  # noqa: SLF001 - there is no getter
    official.shutdown()
    return exporter


def _retrying_sender(environment: Environment, destination: Destination, signal: Signal) -> "RetryingSender | None":
    """Return a sender that survives an outage of the endpoint; `None` where OpenTelemetry's own exporter is used.

    That is the case for gRPC, for credential providers, and without a home directory for the spool.
    """
    variables = (_CREDENTIALS.format(""), _CREDENTIALS.format(f"{signal.upper()}_"))
    if destination.protocol == "grpc" or environment.text(*variables) is not None:
        return None
    from groqscope.delivery import RetryingSender, Spool, spool_for

    try:
        directory = spool_for(destination.endpoint)
    except (OSError, RuntimeError):
        return None
    sender = RetryingSender(sender_for(destination, signal), Spool(directory, signal))
    senders.add(sender)
    return sender


def sender_for(destination: Destination, signal: Signal) -> OtlpSender:
    """Return a sender of one signal over HTTP.

    Raises:
        ConfigurationError: the protocol is gRPC.
    """
    if destination.protocol == "grpc":
        raise ConfigurationError(f"{destination.endpoint}: only http/protobuf and http/json work here, not grpc")
    return OtlpSender(
        destination.endpoint,
        signal,
        protocol=destination.protocol,
        headers=destination.headers,
        timeout=destination.timeout,
        compression=destination.compression,
        certificate=destination.certificate,
        client_certificate=destination.client_certificate,
        client_key=destination.client_key,
    )


def _official(destination: Destination, module: str, name: str) -> Any:
    package = GRPC if destination.protocol == "grpc" else _HTTP
    try:
        return getattr(importlib.import_module(f"{package}.{module}"), name)
    except ImportError as error:
        raise ConfigurationError(
            f"protocol={destination.protocol!r}: the exporter for it is not installed;"
            " run: pip install 'groqscope[grpc]', or use http/protobuf"
        ) from error


def _arguments(destination: Destination) -> dict[str, Any]:
    """Return arguments for OpenTelemetry's exporters, which read certificates from the environment themselves."""
    compression: Any
    if destination.protocol == "grpc":
        from grpc import Compression as GrpcCompression

        kinds = {"gzip": GrpcCompression.Gzip, "deflate": GrpcCompression.Deflate}
        compression = kinds.get(destination.compression, GrpcCompression.NoCompression)
    else:
        from opentelemetry.exporter.otlp.proto.http import Compression

        compression = Compression(destination.compression)
    return {
        "endpoint": destination.endpoint,
        "headers": dict(destination.headers),
        "timeout": destination.timeout,
        "compression": compression,
    }
