"""Processors and readers made from the settings."""

import importlib
from typing import Any

from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, ConsoleLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    MetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor, SpanExporter

from groqscope.configuration._errors import ConfigurationError
from groqscope.configuration._settings import Destination, Settings
from groqscope.store import LocalMetricExporter, LocalSpanExporter

_GRPC = "opentelemetry.exporter.otlp.proto.grpc"
_HTTP = "opentelemetry.exporter.otlp.proto.http"


def span_processors(settings: Settings) -> list[SpanProcessor]:
    """Make the processors that export spans."""
    processors: list[SpanProcessor] = []
    for exporter in settings.traces.exporters:
        if exporter == "console":
            processors.append(SimpleSpanProcessor(ConsoleSpanExporter()))
        elif exporter == "local":
            processors.append(BatchSpanProcessor(LocalSpanExporter(settings.directory)))
        elif exporter == "otlp" and settings.traces.destination is not None:
            processors.append(BatchSpanProcessor(_span_exporter(settings.traces.destination)))
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
    """Make the processors that export log records; without an endpoint there are none."""
    processors: list[LogRecordProcessor] = []
    for exporter in settings.logs.exporters:
        if exporter == "console":
            processors.append(SimpleLogRecordProcessor(ConsoleLogRecordExporter()))
        elif exporter == "otlp" and settings.logs.destination is not None:
            destination = settings.logs.destination
            make = _official(destination, "_log_exporter", "OTLPLogExporter")
            processors.append(BatchLogRecordProcessor(make(**_arguments(destination))))
    return processors


def _span_exporter(destination: Destination) -> SpanExporter:
    return _official(destination, "trace_exporter", "OTLPSpanExporter")(**_arguments(destination))


def _metric_exporter(destination: Destination) -> MetricExporter:
    return _official(destination, "metric_exporter", "OTLPMetricExporter")(**_arguments(destination))


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
