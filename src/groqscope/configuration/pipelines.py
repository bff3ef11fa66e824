"""Processors and readers made from the settings."""

import importlib
import time
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    MetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor, SpanExporter

from groqscope.configuration import environment
from groqscope.configuration.errors import ConfigurationError
from groqscope.configuration.settings import Destination, Settings, Signal
from groqscope.delivery import OtlpSender
from groqscope.store import LocalMetricExporter, LocalSpanExporter

if TYPE_CHECKING:
    from groqscope.delivery.retrying import RetryingSender

_LOCAL_DELAY_MS: Final = 1000.0
"""A file costs less than a request to an endpoint, and `groqscope tail` looks at it."""
_GRPC: Final = "opentelemetry.exporter.otlp.proto.grpc"
_HTTP: Final = "opentelemetry.exporter.otlp.proto.http"
_CREDENTIALS: Final = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_{}CREDENTIAL_PROVIDER"

senders: Final["WeakSet[RetryingSender]"] = WeakSet()
"""Those that have batches on their way."""


def span_processors(settings: Settings) -> list[SpanProcessor]:
    """Make the processors that export spans."""
    processors: list[SpanProcessor] = []
    for exporter in settings.traces.exporters:
        if exporter == "console":
            processors.append(SimpleSpanProcessor(ConsoleSpanExporter()))
        elif exporter == "local":
            delay = None if environment.text("OTEL_BSP_SCHEDULE_DELAY") else _LOCAL_DELAY_MS
            local = LocalSpanExporter(settings.directory)
            processors.append(BatchSpanProcessor(local, schedule_delay_millis=delay))
        elif exporter == "otlp" and settings.traces.destination is not None:
            processors.append(_BatchProcessor(_span_exporter(settings.traces.destination)))
    return processors


def metric_readers(settings: Settings) -> list[MetricReader]:
    """Make the readers that export metrics."""
    readers: list[MetricReader] = []
    for exporter in settings.metrics.exporters:
        if exporter == "console":
            readers.append(PeriodicExportingMetricReader(ConsoleMetricExporter()))
        elif exporter == "local":
            readers.append(PeriodicExportingMetricReader(LocalMetricExporter(settings.directory)))
        elif exporter == "otlp" and settings.metrics.destination is not None:
            readers.append(PeriodicExportingMetricReader(_metric_exporter(settings.metrics.destination)))
    return readers


def log_processors(settings: Settings) -> list[LogRecordProcessor]:
    """Make the processors that export log records; without an endpoint there are none.

    They go by the official exporters: as protobuf where the protocol says JSON, and without waiting on disk.
    """
    processors: list[LogRecordProcessor] = []
    for exporter in settings.logs.exporters:
        if exporter == "console":
            from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter

            processors.append(SimpleLogRecordProcessor(ConsoleLogRecordExporter()))
        elif exporter == "otlp" and settings.logs.destination is not None:
            destination = settings.logs.destination
            make = _official(destination, "_log_exporter", "OTLPLogExporter")
            processors.append(BatchLogRecordProcessor(make(**_arguments(destination))))
    return processors


class _BatchProcessor(BatchSpanProcessor):
    """Flushes its exporter too, which the SDK's does not."""

    def __init__(self, exporter: SpanExporter) -> None:
        super().__init__(exporter)
        self._flush_exporter = exporter.force_flush

    def force_flush(self, timeout_millis: int | None = None) -> bool:
        deadline = time.monotonic() + (30_000 if timeout_millis is None else timeout_millis) / 1000
        exported = super().force_flush(timeout_millis)
        left = max(0, int((deadline - time.monotonic()) * 1000))
        return self._flush_exporter(left) and exported


def _span_exporter(destination: Destination) -> SpanExporter:
    make = _official(destination, "trace_exporter", "OTLPSpanExporter")
    sender = _retrying_sender(destination, "traces")
    if sender is None:
        return make(**_arguments(destination))
    from groqscope.delivery.exporters import SpoolingSpanExporter

    return SpoolingSpanExporter(sender)


def _metric_exporter(destination: Destination) -> MetricExporter:
    make = _official(destination, "metric_exporter", "OTLPMetricExporter")
    sender = _retrying_sender(destination, "metrics")
    if sender is None:
        return make(**_arguments(destination))
    from groqscope.delivery.exporters import SpoolingMetricExporter

    # It knows the variables for temporality and aggregation; nothing is sent by it.
    official: MetricExporter = make(endpoint=destination.endpoint)
    exporter = SpoolingMetricExporter(sender, official._preferred_temporality, official._preferred_aggregation)  # noqa: SLF001 - there is no getter
    official.shutdown()
    return exporter


def _retrying_sender(destination: Destination, signal: Signal) -> "RetryingSender | None":
    """Make what survives an outage; gRPC and credential providers are left to the official exporters."""
    variables = (_CREDENTIALS.format(""), _CREDENTIALS.format(f"{signal.upper()}_"))
    if destination.protocol == "grpc" or environment.text(*variables) is not None:
        return None
    from groqscope.delivery.retrying import RetryingSender
    from groqscope.delivery.spool import Spool, spool_for

    sender = RetryingSender(sender_for(destination, signal), Spool(spool_for(destination.endpoint), signal))
    senders.add(sender)
    return sender


def sender_for(destination: Destination, signal: Signal) -> OtlpSender:
    """Make what sends a signal over HTTP.

    Raises:
        ConfigurationError: the protocol is gRPC.
    """
    if destination.protocol == "grpc":
        raise ConfigurationError(f"{destination.endpoint}: only http/protobuf and http/json can be used here, not grpc")
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
    package = _GRPC if destination.protocol == "grpc" else _HTTP
    try:
        return getattr(importlib.import_module(f"{package}.{module}"), name)
    except ImportError as error:
        raise ConfigurationError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL={destination.protocol}: the exporter for it is not installed;"
            " run: pip install 'groqscope[grpc]', or use http/protobuf"
        ) from error


def _arguments(destination: Destination) -> dict[str, Any]:
    """Give what the official exporters take; certificates and compression they read from the environment themselves."""
    return {"endpoint": destination.endpoint, "headers": dict(destination.headers), "timeout": destination.timeout}
