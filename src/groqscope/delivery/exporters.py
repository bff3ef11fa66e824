"""OpenTelemetry exporters to an OTLP endpoint that lose nothing while the endpoint is unavailable."""

from collections.abc import Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.metrics.view import Aggregation
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from groqscope.delivery.retrying import Batch, RetryingSender
from groqscope.store.exporters import encode_metric_line, encode_span_line


class SpoolingSpanExporter(SpanExporter):
    """Passes each batch of spans to a sender; never waits for the endpoint."""

    def __init__(self, sender: RetryingSender) -> None:
        self.sender = sender
        sender.start()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Accept a batch: when this returns it is being sent, or is in the spool."""
        if spans:
            self.sender.submit(
                Batch(tuple(spans), len(spans), self.sender.otlp.protocol, encode_spans, encode_span_line)
            )
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what can be sent now; return whether nothing is left."""
        return self.sender.flush(timeout_millis / 1000)

    def shutdown(self, timeout_millis: float = 10_000) -> None:
        """Send what can be sent within the timeout, and leave the rest in the spool."""
        self.sender.close(timeout_millis / 1000)


class SpoolingMetricExporter(MetricExporter):
    """Passes each collection of metrics to a sender; never waits for the endpoint."""

    def __init__(
        self,
        sender: RetryingSender,
        preferred_temporality: dict[type, AggregationTemporality] | None = None,
        preferred_aggregation: dict[type, Aggregation] | None = None,
    ) -> None:
        super().__init__(preferred_temporality, preferred_aggregation)
        self.sender = sender
        sender.start()

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Accept a collection: when this returns it is being sent, or is in the spool."""
        del timeout_millis, kwargs
        self.sender.submit(Batch(metrics_data, 1, self.sender.otlp.protocol, encode_metrics, encode_metric_line))
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Send what can be sent now; return whether nothing is left."""
        return self.sender.flush(timeout_millis / 1000)

    def shutdown(self, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        """Send what can be sent within the timeout, and leave the rest in the spool."""
        del kwargs
        self.sender.close(timeout_millis / 1000)
